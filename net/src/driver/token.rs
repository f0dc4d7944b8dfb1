//! Names of this crate's operations among all operations of a shard's ring.
//!
//! ```text
//!   63      56 55            32 31                    0
//!   ┌─────────┬────────────────┬───────────────────────┐
//!   │   tag   │      slot      │      generation       │
//!   └─────────┴────────────────┴───────────────────────┘
//! ```

use runtime::ring::Token;

use crate::ids::ConnectionId;

/// The top byte of tokens of connections. Other users of the ring take other tags.
pub const SOCKET_TAG: u8 = 1;
/// The top byte of tokens of listeners.
pub const LISTENER_TAG: u8 = 2;

/// Slots that fit a token; far beyond the descriptors of a ring.
pub(super) const SLOTS_MAX: usize = 1 << 24;

pub(super) fn socket_token(connection: ConnectionId) -> Token {
    token(SOCKET_TAG, connection.slot(), connection.generation())
}

pub(super) fn listener_token(place: u32) -> Token {
    token(LISTENER_TAG, place, 0)
}

/// The connection that a token names, if it names one.
pub(super) fn connection_of(token: Token) -> Option<ConnectionId> {
    (tag(token) == SOCKET_TAG).then(|| ConnectionId::new(slot(token), low(token.0)))
}

/// The place of the listener that a token names, if it names one.
pub(super) fn listener_of(token: Token) -> Option<u32> {
    (tag(token) == LISTENER_TAG).then(|| slot(token))
}

fn token(tag: u8, slot: u32, generation: u32) -> Token {
    assert!(usize::try_from(slot).is_ok_and(|slot| slot < SLOTS_MAX), "slot {slot}");
    Token(u64::from(tag) << 56 | u64::from(slot) << 32 | u64::from(generation))
}

fn tag(token: Token) -> u8 {
    token.0.to_be_bytes()[0]
}

fn slot(token: Token) -> u32 {
    low(token.0 >> 32) & 0x00ff_ffff
}

fn low(value: u64) -> u32 {
    u32::try_from(value & 0xffff_ffff).expect("masked to 32 bits")
}

#[cfg(test)]
mod tests {
    use super::{ConnectionId, connection_of, listener_of, listener_token, socket_token};

    #[test]
    fn a_token_names_what_it_was_made_from() {
        let connection = ConnectionId::new(0x00ff_fffe, 0xdead_beef);
        assert_eq!(connection_of(socket_token(connection)), Some(connection));
        assert_eq!(listener_of(socket_token(connection)), None);
        assert_eq!(listener_of(listener_token(3)), Some(3));
        assert_eq!(connection_of(listener_token(3)), None);
    }
}
