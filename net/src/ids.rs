//! Names of the things of this crate: a connection, a request on it, a listener.

use std::fmt;

/// One accepted connection of one shard: the slot that the driver keeps its socket in, and how often
/// that slot had been used before. An id is never reused, so whatever arrives late for a closed
/// connection (a completion, a response) is recognised and dropped.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(u64);

impl ConnectionId {
    #[must_use]
    pub const fn new(slot: u32, generation: u32) -> Self {
        Self(((generation as u64) << 32) | slot as u64)
    }

    #[must_use]
    pub const fn slot(self) -> u32 {
        (self.0 & 0xffff_ffff) as u32
    }

    #[must_use]
    pub const fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self)
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.slot(), self.generation())
    }
}

/// The place of a request among all requests of its connection, from 0. Responses leave in this order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Sequence(pub u64);

/// A named listener of the node, by its place in the configuration.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ListenerId(pub u16);

/// Who is at the other end of a connection, as far as was proven. Every request is authorised for it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Principal {
    /// Nothing was proven: Kafka's `User:ANONYMOUS`.
    #[default]
    Anonymous,
    /// Kafka's `User:<name>`.
    User(Box<str>),
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("User:ANONYMOUS"),
            Self::User(name) => write!(f, "User:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ConnectionId, Principal};

    #[test]
    fn a_connection_id_keeps_slot_and_generation_apart() {
        let id = ConnectionId::new(u32::MAX, 7);
        assert_eq!((id.slot(), id.generation()), (u32::MAX, 7));
        assert_ne!(id, ConnectionId::new(u32::MAX, 8));
        assert_eq!(ConnectionId::new(3, 1).to_string(), "3.1");
    }

    #[test]
    fn principals_are_written_as_kafka_writes_them() {
        assert_eq!(Principal::default().to_string(), "User:ANONYMOUS");
        assert_eq!(Principal::User("ada".into()).to_string(), "User:ada");
    }
}
