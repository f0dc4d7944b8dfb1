//! Counters of one shard's connections. Plain numbers: only the shard's core touches them.

use runtime::durations::Durations;

use crate::close_reason::CloseReason;

/// Counts since start, but for those named `_now`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Connections that are open.
    pub connections_now: u64,
    pub connections_opened: u64,
    /// By `CloseReason::index`; refused connections are in it, not in `connections_opened`.
    pub connections_closed: [u64; CloseReason::COUNT],

    pub bytes_received: u64,
    pub frames_received: u64,
    /// Frames that were cut by a small buffer's end, so that their bytes were copied once.
    pub frames_reassembled: u64,
    /// Frames that were received into a block of their own.
    pub frames_large: u64,
    /// Bytes set aside because their connection had to wait (requests, memory, throttling).
    pub bytes_set_aside: u64,

    /// Times a request had to wait for memory: for the budget or for a block.
    pub memory_waits: u64,
    /// Of those, times the budget had room but the arena had no block.
    pub arena_waits: u64,

    pub bytes_sent: u64,
    pub responses_sent: u64,
    /// Responses that came when their connection was gone.
    pub responses_dropped: u64,
    pub sends: u64,
    pub sends_zero_copy: u64,
    /// Reports of the kernel that it copied what was sent without a copy.
    pub releases_copied: u64,
    /// Connections that stopped asking for zero copy.
    pub zero_copy_turned_off: u64,
    /// Record bytes of responses that did not lie in log memory when they went to a plaintext socket, so
    /// that something has copied them: stays 0.
    pub record_bytes_copied: u64,

    /// Throttled connections: times one was muted.
    pub muted: u64,

    /// From a request's size being known to its last byte.
    pub receive: Durations,
    /// From the oldest answer of a send being ready to the send's last byte leaving.
    pub send: Durations,
}

impl Metrics {
    pub(crate) fn count_closed(&mut self, reason: CloseReason) {
        self.connections_closed[reason.index()] += 1;
    }

    /// How many connections ended for this reason.
    #[must_use]
    pub const fn closed(&self, reason: CloseReason) -> u64 {
        self.connections_closed[reason.index()]
    }
}

/// A length as a counter's increment.
pub(crate) fn count(bytes: usize) -> u64 {
    u64::try_from(bytes).expect("usize is at most 64 bits")
}
