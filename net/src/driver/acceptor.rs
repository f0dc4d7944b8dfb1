//! Listeners: on the shard that accepts for the whole node.
//!
//! An accepted connection leaves here as a value, `AcceptedSocket`, for the shard that will own it; what
//! is dropped on the way is closed.

use std::fmt;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use runtime::OsError;
use runtime::clock::Monotonic;
use runtime::ring::{Completion, Descriptor, Ring};
use runtime::socket::{listen_on, local_address};

use super::token::{listener_of, listener_token};
use crate::ids::ListenerId;
use crate::limits::{ACCEPT_BACK_OFF_NS, ACCEPT_BACKLOG, LISTENERS_MAX};
use crate::metrics::count;

/// A connection that no shard owns: just accepted, or on its way from one shard to another.
#[derive(Debug)]
pub struct AcceptedSocket {
    pub fd: OwnedFd,
    pub listener: ListenerId,
}

/// A listener could not be opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ListenError {
    pub address: SocketAddr,
    pub error: OsError,
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot listen on {}: {}", self.address, self.error)
    }
}

impl std::error::Error for ListenError {}

/// Counts since start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AcceptMetrics {
    pub accepted: u64,
    /// Connections that ended while they were being accepted.
    pub aborted: u64,
    /// Times accepting paused because it failed (most often: no descriptor left).
    pub back_offs: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Accepting {
    Armed,
    /// Connections wait in the kernel's backlog meanwhile. Trying at once again would spin: the cause
    /// lasts until a descriptor is closed somewhere.
    BackingOff {
        until: Monotonic,
    },
    Closing,
    Closed,
}

#[derive(Debug)]
struct Listener {
    id: ListenerId,
    address: SocketAddr,
    descriptor: Descriptor,
    accepting: Accepting,
}

/// The listeners of the node.
#[derive(Debug, Default)]
pub struct Acceptor {
    listeners: Vec<Listener>,
    metrics: AcceptMetrics,
}

impl Acceptor {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub const fn metrics(&self) -> &AcceptMetrics {
        &self.metrics
    }

    /// The addresses listened on; with port 0 asked for, the port that was given.
    pub fn addresses(&self) -> impl Iterator<Item = (ListenerId, SocketAddr)> + '_ {
        self.listeners.iter().map(|listener| (listener.id, listener.address))
    }

    /// Opens a listener and starts accepting. Takes a slot and a descriptor of the ring.
    pub fn listen(
        &mut self,
        ring: &mut Ring,
        id: ListenerId,
        address: SocketAddr,
    ) -> Result<SocketAddr, ListenError> {
        assert!(self.listeners.len() < LISTENERS_MAX, "more than {LISTENERS_MAX} listeners");
        let (descriptor, address) =
            open(ring, address).map_err(|error| ListenError { address, error })?;
        ring.accept(listener_token(self.next_place()), descriptor);
        self.listeners.push(Listener { id, address, descriptor, accepting: Accepting::Armed });
        Ok(address)
    }

    /// Takes a completion of the ring, or gives it back if it is not of a listener. Accepted
    /// connections are appended to `accepted`.
    pub fn on_completion(
        &mut self,
        ring: &mut Ring,
        now: Monotonic,
        completion: Completion,
        accepted: &mut Vec<AcceptedSocket>,
    ) -> Option<Completion> {
        let token = match &completion {
            Completion::Accepted { token, .. } | Completion::Closed { token } => *token,
            _ => return Some(completion),
        };
        let Some(place) = listener_of(token) else { return Some(completion) };
        let at = usize::try_from(place).expect("usize has at least 32 bits");
        let listener = &mut self.listeners[at];
        match completion {
            Completion::Accepted { result: Ok(fd), armed, .. } => {
                self.metrics.accepted += 1;
                accepted.push(AcceptedSocket { fd, listener: listener.id });
                if !armed && listener.accepting == Accepting::Armed {
                    ring.accept(token, listener.descriptor);
                }
            }
            Completion::Accepted { result: Err(error), armed, .. } => {
                self.on_failed(ring, now, place, error, armed);
            }
            Completion::Closed { .. } => listener.accepting = Accepting::Closed,
            other => return Some(other),
        }
        None
    }

    /// When `on_deadline` has to be called.
    #[must_use]
    pub fn deadline(&self) -> Option<Monotonic> {
        let until = |listener: &Listener| match listener.accepting {
            Accepting::BackingOff { until } => Some(until),
            Accepting::Armed | Accepting::Closing | Accepting::Closed => None,
        };
        self.listeners.iter().filter_map(until).min()
    }

    /// Listeners that have backed off long enough accept again.
    pub fn on_deadline(&mut self, ring: &mut Ring, now: Monotonic) {
        for (place, listener) in (0..).zip(&mut self.listeners) {
            let due = matches!(listener.accepting, Accepting::BackingOff { until } if until <= now);
            if due {
                listener.accepting = Accepting::Armed;
                ring.accept(listener_token(place), listener.descriptor);
            }
        }
    }

    /// Stops accepting: the first step of a stop. Connections in the backlog are refused.
    pub fn close(&mut self, ring: &mut Ring) {
        for (place, listener) in (0..).zip(&mut self.listeners) {
            if !matches!(listener.accepting, Accepting::Closing | Accepting::Closed) {
                listener.accepting = Accepting::Closing;
                ring.close(listener_token(place), listener.descriptor);
            }
        }
    }

    /// Whether every listener is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.listeners.iter().all(|listener| listener.accepting == Accepting::Closed)
    }

    #[cold]
    fn on_failed(
        &mut self,
        ring: &mut Ring,
        now: Monotonic,
        place: u32,
        error: OsError,
        armed: bool,
    ) {
        let at = usize::try_from(place).expect("usize has at least 32 bits");
        let listener = &mut self.listeners[at];
        if armed || listener.accepting != Accepting::Armed {
            return;
        }
        if is_the_peers(error) {
            self.metrics.aborted += 1;
            ring.accept(listener_token(place), listener.descriptor);
            return;
        }
        self.metrics.back_offs += 1;
        let until = Monotonic(now.0.saturating_add(ACCEPT_BACK_OFF_NS));
        listener.accepting = Accepting::BackingOff { until };
    }

    fn next_place(&self) -> u32 {
        u32::try_from(count(self.listeners.len())).expect("bounded by LISTENERS_MAX")
    }
}

fn open(ring: &mut Ring, address: SocketAddr) -> Result<(Descriptor, SocketAddr), OsError> {
    let fd = listen_on(address, ACCEPT_BACKLOG)?;
    let bound = local_address(&fd)?;
    Ok((ring.adopt(fd)?, bound))
}

/// Whether a failed accept says something about one connection (it was aborted, or the firewall forbade
/// it), not about the listener or the process.
fn is_the_peers(error: OsError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::PermissionDenied
            | ErrorKind::Interrupted
            | ErrorKind::WouldBlock
    )
}

#[cfg(test)]
mod tests {
    use std::io::{Error, ErrorKind};

    use super::{OsError, is_the_peers};

    #[test]
    fn no_descriptor_left_is_not_the_peers_fault() {
        const EMFILE: i32 = 24;
        assert!(!is_the_peers(OsError::from_raw(EMFILE)));
        assert!(!is_the_peers(OsError::NO_SPACE));
        const ECONNABORTED: i32 = 103;
        assert_eq!(Error::from_raw_os_error(ECONNABORTED).kind(), ErrorKind::ConnectionAborted);
        assert!(is_the_peers(OsError::from_raw(ECONNABORTED)));
    }
}
