//! Newtypes of Kafka's ids and positions. Message structs carry raw integers as Kafka's schemas do;
//! the broker turns them into these at the door, so that two of them can never be swapped.

use std::fmt;

macro_rules! ids {
    ($($(#[$meta:meta])* $name:ident($raw:ty);)*) => { $(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $raw);

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(formatter)
            }
        }

        impl From<$raw> for $name {
            fn from(raw: $raw) -> Self {
                Self(raw)
            }
        }
    )* };
}

ids! {
    /// The position of a record in a partition's log.
    Offset(i64);
    /// Counts the leaderships of a partition; bytes are the leader's word under its epoch.
    LeaderEpoch(i32);
    /// An idempotent or transactional producer.
    ProducerId(i64);
    /// Fences older instances of the same producer.
    ProducerEpoch(i16);
    /// The number of a partition within its topic.
    PartitionIndex(i32);
    /// A node.
    BrokerId(i32);
    /// Pairs a response with its request on one connection.
    CorrelationId(i32);
}

/// A topic's identity: 128 random bits, new for each creation of the same name. All zero means "none".
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId(pub [u8; 16]);

impl TopicId {
    pub const NONE: Self = Self([0; 16]);

    #[must_use]
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }

    /// Reads Kafka's text form, as it stands in `partition.metadata` and on command lines.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != DIGITS {
            return None;
        }
        let (mut bits, mut padding) = (0u128, 0);
        for (index, digit) in text.chars().enumerate() {
            let value = ALPHABET.iter().position(|letter| *letter == digit)? as u128;
            if index + 1 < DIGITS {
                bits = bits << 6 | value;
            } else {
                bits = bits << 2 | value >> 4;
                padding = value & 0b1111;
            }
        }
        (padding == 0).then_some(Self(bits.to_be_bytes()))
    }
}

const ALPHABET: [char; 64] = base64_alphabet();
/// 22 digits of 6 bits hold 132 bits: the last digit ends in four bits of padding.
const DIGITS: usize = 22;

impl From<[u8; 16]> for TopicId {
    fn from(raw: [u8; 16]) -> Self {
        Self(raw)
    }
}

/// Kafka's text form: URL-safe base64 of the sixteen bytes, without padding.
impl fmt::Display for TopicId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bits = u128::from_be_bytes(self.0);
        for digit in 1..=DIGITS {
            let value = if digit < DIGITS { bits >> 122 } else { (bits >> 126) << 4 };
            bits <<= 6;
            fmt::Write::write_char(formatter, ALPHABET[(value & 63) as usize])?;
        }
        Ok(())
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "TopicId({self})")
    }
}

const fn base64_alphabet() -> [char; 64] {
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut alphabet = ['A'; 64];
    let mut index = 0;
    while index < 64 {
        alphabet[index] = digits[index] as char;
        index += 1;
    }
    alphabet
}

#[cfg(test)]
mod tests {
    use super::TopicId;

    #[test]
    fn topic_id_prints_as_kafka_prints_it() {
        assert_eq!(TopicId::NONE.to_string(), "AAAAAAAAAAAAAAAAAAAAAA");
        // Python: base64.urlsafe_b64encode(bytes(range(240, 256)))
        let id = TopicId(std::array::from_fn(|index| 240 + u8::try_from(index).unwrap()));
        assert_eq!(id.to_string(), "8PHy8_T19vf4-fr7_P3-_w");
        assert_eq!(TopicId::parse("8PHy8_T19vf4-fr7_P3-_w"), Some(id));
        for wrong in
            ["", "8PHy8_T19vf4-fr7_P3-_x", "8PHy8_T19vf4-fr7_P3-_", "8PHy8/T19vf4-fr7_P3-_w"]
        {
            assert_eq!(TopicId::parse(wrong), None);
        }
    }
}
