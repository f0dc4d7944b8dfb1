//! A ring with its arena on the test's own thread, and socket pairs over loopback.

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use runtime::mailbox::Bell;
use runtime::memory::Arena;
use runtime::ring::{Completion, Descriptor, Ring, RingConfig};
use runtime::socket::{ConnectionOptions, configure};

/// Longer than anything here takes on the slowest machine; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Bench {
    pub(crate) ring: Ring,
    pub(crate) arena: Arena,
    completions: Vec<Completion>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(&RingConfig { operations_max: 256, ..RingConfig::default() })
    }

    pub(crate) fn with(config: &RingConfig) -> Self {
        let arena = Arena::new(64 << 20).unwrap();
        let bell = Arc::new(Bell::new().unwrap());
        let ring = Ring::new(config, &[&arena], bell).unwrap();
        Self { ring, arena, completions: Vec::new() }
    }

    /// The next completion; waits for it.
    pub(crate) fn next(&mut self) -> Completion {
        loop {
            if !self.completions.is_empty() {
                return self.completions.remove(0);
            }
            self.ring.pump(&mut self.completions);
            if self.completions.is_empty() && !self.ring.has_work() {
                assert!(self.ring.park_thread(Some(PATIENCE), || true), "nothing completed");
            }
        }
    }

    /// What has completed without waiting for anything.
    pub(crate) fn completed(&mut self) -> Vec<Completion> {
        while self.ring.has_work() {
            self.ring.pump(&mut self.completions);
        }
        std::mem::take(&mut self.completions)
    }

    /// A connection: our end in the ring, the peer's on the outside.
    pub(crate) fn connection(&mut self) -> (Descriptor, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        peer.set_read_timeout(Some(PATIENCE)).unwrap();
        let (ours, _) = listener.accept().unwrap();
        let options = ConnectionOptions { keepalive: None, unacknowledged_max: None };
        configure(&ours, options).unwrap();
        (self.ring.adopt(ours.into()).unwrap(), peer)
    }
}
