//! Numbers that nobody can guess in practice, from a seed that the shard was given: a shard draws no
//! randomness itself, so that a simulation repeats.

use protocol::TopicId;

/// SplitMix64 over a 128-bit seed: two independent streams, one for each half of an id.
#[derive(Clone, Debug)]
pub(crate) struct Random {
    streams: [u64; 2],
}

impl Random {
    pub(crate) fn new(seed: u128) -> Self {
        let high = u64::try_from(seed >> 64).expect("the upper half");
        let low = u64::try_from(seed & u128::from(u64::MAX)).expect("the lower half");
        Self { streams: [high, low] }
    }

    fn draw(&mut self, stream: usize) -> u64 {
        self.streams[stream] = self.streams[stream].wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.streams[stream];
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A random topic id of version 4, as Kafka draws them. Never one that Kafka reserves: its first
    /// text digit is not a dash either.
    pub(crate) fn topic_id(&mut self) -> TopicId {
        let high = self.draw(0).to_be_bytes();
        let low = self.draw(1).to_be_bytes();
        let mut id = [0; 16];
        id[..8].copy_from_slice(&high);
        id[8..].copy_from_slice(&low);
        id[6] = id[6] & 0x0f | 0x40;
        id[8] = id[8] & 0x3f | 0x80;
        // Base64 of a first byte below 0xf8 does not begin with '-'.
        if id[0] >= 0xf8 {
            id[0] &= 0x7f;
        }
        TopicId(id)
    }

    /// Such an id as text, for whoever needs a name that nobody else has.
    pub(crate) fn uuid(&mut self) -> String {
        let hex = format!("{:032x}", u128::from_be_bytes(self.topic_id().0));
        [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
    }

    /// A positive number of 31 bits.
    pub(crate) fn session_id(&mut self) -> i32 {
        let bits = self.draw(0) & 0x7fff_ffff;
        i32::try_from(bits).expect("31 bits").max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn equal_seeds_draw_equal_ids_and_none_repeats() {
        let (mut one, mut two) = (Random::new(7), Random::new(7));
        let ids: Vec<_> = (0..1000).map(|_| one.topic_id()).collect();
        assert!(ids.iter().all(|id| *id == two.topic_id() && !id.to_string().starts_with('-')));
        let mut unique = ids.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), ids.len());
        assert!((0..1000).all(|_| one.session_id() > 0));
    }
}
