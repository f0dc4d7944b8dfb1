//! The connections of a shard, by the driver's slot.

use crate::connection::Connection;
use crate::ids::ConnectionId;

/// Boxed, so that the table itself costs 8 bytes a slot and growing it moves no connection.
#[derive(Debug, Default)]
pub(super) struct Table {
    slots: Vec<Option<Box<Connection>>>,
    open: usize,
}

impl Table {
    pub(super) const fn len(&self) -> usize {
        self.open
    }

    pub(super) fn get(&self, id: ConnectionId) -> Option<&Connection> {
        let found = self.slots.get(Self::place(id))?.as_deref()?;
        (found.id == id).then_some(found)
    }

    pub(super) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        let found = self.slots.get_mut(Self::place(id))?.as_deref_mut()?;
        (found.id == id).then_some(found)
    }

    pub(super) fn insert(&mut self, connection: Connection) {
        let place = Self::place(connection.id);
        if place >= self.slots.len() {
            self.slots.resize_with(place + 1, || None);
        }
        assert!(self.slots[place].is_none(), "a slot was given again before its Closed");
        self.slots[place] = Some(Box::new(connection));
        self.open += 1;
    }

    pub(super) fn remove(&mut self, id: ConnectionId) -> Option<Box<Connection>> {
        self.get(id)?;
        self.open -= 1;
        self.slots[Self::place(id)].take()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Connection> {
        self.slots.iter().flatten().map(AsRef::as_ref)
    }

    fn place(id: ConnectionId) -> usize {
        usize::try_from(id.slot()).expect("usize has at least 32 bits")
    }
}
