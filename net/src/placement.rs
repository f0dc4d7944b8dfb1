//! Which data shard an accepted connection goes to: the one with the fewest. Kept by the shard that
//! accepts, told by the others when a connection of theirs has ended.

/// The node's connections by data shard, as seen by the accepting shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Invariant: the sum is at most `connections_max`.
    open: Vec<usize>,
    connections_max: usize,
}

impl Placement {
    /// `connections_max` is the node's, over all shards.
    #[must_use]
    pub fn new(data_shards: usize, connections_max: usize) -> Self {
        assert!(data_shards > 0, "no shard to place a connection on");
        Self { open: vec![0; data_shards], connections_max }
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
        let mut placement = Placement::new(3, 10);
        let places: Vec<_> = (0..4).map(|_| placement.place()).collect();
        assert_eq!(places, [Some(0), Some(1), Some(2), Some(0)]);
        placement.ended(2);
        assert_eq!(placement.place(), Some(2));
    }

    #[test]
    fn a_full_node_takes_no_more() {
        let mut placement = Placement::new(2, 2);
        assert!(placement.place().is_some() && placement.place().is_some());
        assert_eq!(placement.place(), None);
        placement.ended(1);
        assert_eq!((placement.place(), placement.connections()), (Some(1), 2));
    }
}
