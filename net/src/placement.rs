//! Which data shard a connection goes to: the one with the fewest when it is accepted, the one that owns what its
//! requests are about when that is known. Kept by the shard that
//! accepts, told by the others when a connection of theirs has ended.

/// So many connections a shard may have in any case before none is moved to it.
const MOVED_CONNECTIONS_MIN: usize = 8;

/// The node's connections by data shard, as seen by the accepting shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Invariant: the sum is at most `connections_max`.
    open: Vec<usize>,
    connections_max: usize,
    /// What one shard takes.
    shard_max: usize,
}

impl Placement {
    /// `connections_max` is the node's, over all shards; each of which takes `shard_max`.
    #[must_use]
    pub fn new(data_shards: usize, connections_max: usize, shard_max: usize) -> Self {
        assert!(data_shards > 0, "no shard to place a connection on");
        assert!(connections_max <= data_shards * shard_max, "more than the shards take");
        Self { open: vec![0; data_shards], connections_max, shard_max }
    }

    #[must_use]
    pub fn connections(&self) -> usize {
        self.open.iter().sum()
    }

    /// The shard for one more connection, which counts from now on. `None`: the node is full, and the
    /// connection is closed at once.
    pub fn place(&mut self) -> Option<usize> {
        if self.connections() >= self.connections_max {
            return None;
        }
        let shards = self.open.iter().enumerate();
        let (shard, _) = shards.min_by_key(|(_, open)| **open)?;
        self.open[shard] += 1;
        Some(shard)
    }

    /// The shard for a connection that would do better on `to` than where it is, on `from`: that one, unless
    /// it would have far more than its share of the connections.
    pub fn move_to(&mut self, from: usize, to: usize) -> usize {
        let share = self.connections().div_ceil(self.open.len());
        let most = share.saturating_add(share / 2).max(MOVED_CONNECTIONS_MIN).min(self.shard_max);
        let to = if self.open[to] < most { to } else { from };
        self.ended(from);
        self.open[to] += 1;
        to
    }

    /// A connection of that shard has ended, or could not be adopted.
    pub fn ended(&mut self, shard: usize) {
        assert!(self.open[shard] > 0, "shard {shard} has no connection that could end");
        self.open[shard] -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::Placement;

    #[test]
    fn a_connection_goes_to_the_shard_with_the_fewest() {
        let mut placement = Placement::new(3, 10, 10);
        let places: Vec<_> = (0..4).map(|_| placement.place()).collect();
        assert_eq!(places, [Some(0), Some(1), Some(2), Some(0)]);
        placement.ended(2);
        assert_eq!(placement.place(), Some(2));
    }

    #[test]
    fn connections_move_to_where_they_are_better_off_but_not_all_of_them() {
        let mut placement = Placement::new(4, 1000, 1000);
        for _ in 0..80 {
            placement.place();
        }
        let moved = (0..20).filter(|_| placement.move_to(1, 0) == 0).count();
        assert_eq!((moved, placement.connections()), (10, 80), "half more than its share of 20");
        placement.ended(0);
        assert_eq!(placement.move_to(2, 0), 0, "there is room again");
        let mut small = Placement::new(2, 1000, 1000);
        let _ = (small.place(), small.place(), small.place());
        assert_eq!([small.move_to(0, 1), small.move_to(0, 1)], [1, 1], "few are no burden");
        assert_eq!(small.connections(), 3);
        let mut full = Placement::new(2, 4, 2);
        assert!((0..4).all(|_| full.place().is_some()));
        assert_eq!(full.move_to(0, 1), 0, "no shard takes more than it can");
    }

    #[test]
    fn a_full_node_takes_no_more() {
        let mut placement = Placement::new(2, 2, 2);
        assert!(placement.place().is_some() && placement.place().is_some());
        assert_eq!(placement.place(), None);
        placement.ended(1);
        assert_eq!((placement.place(), placement.connections()), (Some(1), 2));
    }
}
