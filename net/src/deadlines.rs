//! When which connection has to be looked at next: one entry a connection, kept lazily.
//!
//! Activity only ever moves a deadline later, and that costs nothing here: the entry stays where it
//! is, and the connection is looked at once too often. So an entry is never later than the true
//! deadline, and 5,000 idle connections cost one look each in `idle_ms_max`.

use std::collections::BTreeSet;

use runtime::clock::Monotonic;

use crate::ids::ConnectionId;

/// The connections of a shard by the time of their entry.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    entries: BTreeSet<(Monotonic, ConnectionId)>,
}

impl Deadlines {
    pub(crate) fn first(&self) -> Option<Monotonic> {
        self.entries.first().map(|(at, _)| *at)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Makes sure that the connection, whose entry is at `entry`, is looked at by `deadline`.
    pub(crate) fn set(
        &mut self,
        connection: ConnectionId,
        entry: &mut Option<Monotonic>,
        deadline: Option<Monotonic>,
    ) {
        let Some(deadline) = deadline else { return };
        match *entry {
            Some(at) if at <= deadline => return,
            Some(at) => assert!(self.entries.remove(&(at, connection)), "an entry was lost"),
            None => {}
        }
        self.entries.insert((deadline, connection));
        *entry = Some(deadline);
    }

    pub(crate) fn remove(&mut self, connection: ConnectionId, entry: &mut Option<Monotonic>) {
        if let Some(at) = entry.take() {
            assert!(self.entries.remove(&(at, connection)), "an entry was lost");
        }
    }

    /// Takes out a connection whose entry is due.
    pub(crate) fn pop_due(&mut self, now: Monotonic) -> Option<ConnectionId> {
        let (at, connection) = *self.entries.first()?;
        if at > now {
            return None;
        }
        self.entries.pop_first();
        Some(connection)
    }
}

#[cfg(test)]
mod tests {
    use super::{ConnectionId, Deadlines, Monotonic};

    #[test]
    fn a_later_deadline_leaves_the_entry_and_an_earlier_one_moves_it() {
        let (mut deadlines, mut entry) = (Deadlines::default(), None);
        let connection = ConnectionId::new(1, 1);
        deadlines.set(connection, &mut entry, Some(Monotonic(50)));
        deadlines.set(connection, &mut entry, Some(Monotonic(80)));
        assert_eq!(deadlines.first(), Some(Monotonic(50)));
        deadlines.set(connection, &mut entry, Some(Monotonic(20)));
        assert_eq!((deadlines.first(), deadlines.len()), (Some(Monotonic(20)), 1));
        assert_eq!(deadlines.pop_due(Monotonic(19)), None);
        assert_eq!(deadlines.pop_due(Monotonic(20)), Some(connection));
        assert_eq!(deadlines.first(), None);
    }
}
