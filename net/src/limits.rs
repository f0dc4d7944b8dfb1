//! The named maxima of this crate and the arithmetic behind them.
//!
//! Memory of a shard's connections is at most
//!
//! ```text
//!   request_small_bytes_max + request_large_bytes_max      requests held
//! + request_huge_bytes_max                                 one huge request
//! + connections_max × 16 KiB                               received, not yet parsed (each ≤ SMALL_FRAME_BYTES_MAX)
//! + responses                                              bounded by the broker: response_bytes_pinned()
//! + connections_max × ~0.6 KiB                             the connections themselves (measured in a test)
//! ```

/// Frames up to here are taken out of the small buffer they arrived in; larger ones get a block of
/// their own, reserved before their body is received.
pub const SMALL_FRAME_BYTES_MAX: usize = 16 * 1024;

/// So many large frames fit at least; what is larger than such a share is huge, and comes alone.
pub const LARGE_FRAMES_MIN: usize = 4;

/// While memory is short, the connections that hold some for a frame are looked at this often.
pub const PRESSED_LOOK_NS: u64 = 100_000_000;

/// Pauses of a frame while memory is short. More than one: a pause may be ours, on a machine that has no
/// time for this shard, and then every client was made to wait at once.
pub const PRESSED_PAUSES_MAX: u64 = 5;

/// Slices in one send. The kernel takes 1,024 (IOV_MAX); a fetch response of 4 MiB in slices of
/// 16 KiB has 256, and its headers as many again.
pub const SEND_PARTS_MAX: usize = 512;

/// Below this a send is never asked to avoid the kernel's copy: pinning pages and waiting for the
/// peer's acknowledgement then costs more than copying (worth it from about 10 KiB on, and clearly
/// from here).
pub const ZERO_COPY_BYTES_MIN: usize = 32 * 1024;

/// How many sends that the kernel copied in spite of being asked not to it takes until the
/// connection stops asking. One may be chance (a route that changes); three are the device.
pub const ZERO_COPY_COPIES_MAX: u8 = 3;

/// Bytes of one connection that left without a copy and that the peer has not acknowledged: beyond
/// this its sends are copied. As much as one response.
pub const UNRELEASED_BYTES_MAX: usize = 4 << 20;

/// A larger send is carried out in pieces of this size, each of them progress: with the default
/// `send_stall_ms_max`, a consumer that takes 17 KiB a second is still waited for.
pub const SEND_PIECE_BYTES_MAX: usize = 512 * 1024;

/// Connections that the kernel keeps for us between two accepts.
pub const ACCEPT_BACKLOG: i32 = 1_024;

/// How long accepting pauses when the process has no descriptor left, or for another failure that would
/// come again at once.
pub const ACCEPT_BACK_OFF_NS: u64 = 100_000_000;

/// Listeners of a node.
pub const LISTENERS_MAX: usize = 64;

/// How often a connection that waits for a block looks whether another core has given one back:
/// such a return wakes nobody.
pub const ARENA_RETRY_NS: u64 = 1_000_000;

/// Nanoseconds in a millisecond.
pub(crate) const MS: u64 = 1_000_000;

/// The configurable maxima of one shard's connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Kafka's `socket.request.max.bytes`.
    pub request_bytes_max: usize,
    /// Requests of one connection that are not answered yet. Java's producer has 5, librdkafka up
    /// to 1,000,000 by default; beyond this the socket is not read, which costs such a client nothing
    /// once a round trip is covered.
    pub requests_in_flight_max: usize,
    /// Memory of all requests up to `SMALL_FRAME_BYTES_MAX`: counted apart, because fetches that
    /// wait for data hold theirs for long and must never make a produce request wait.
    pub request_small_bytes_max: usize,
    /// Memory of all larger requests, in blocks of the arena.
    pub request_large_bytes_max: usize,
    /// Memory of the one huge request, kept apart; a power of two. A larger frame closes its connection.
    pub request_huge_bytes_max: usize,
    /// Response bytes of one connection that have not left: beyond this it gets no new request.
    /// A fetch response is at most 4 MiB, so this is one large response or many small ones; the broker bounds
    /// others.
    pub response_bytes_unsent_max: usize,
    /// Connections of this shard.
    pub connections_max: usize,
    /// Kafka's `connections.max.idle.ms`.
    pub idle_ms_max: u64,
    /// How long a frame may take from its first byte to its last, beside its size's share.
    pub slow_frame_ms_max: u64,
    /// The longest pause while somebody waits for the memory that the frame holds: then its bytes must
    /// come at `slow_frame_bytes_per_ms_min` all along, but for `PRESSED_PAUSES_MAX` such pauses. A second
    /// is several losses of a packet.
    pub slow_frame_pressed_ms_max: u64,
    /// The slowest client that is waited for: 1 KiB a millisecond is 8 Mbit/s, so 100 MiB may take
    /// 100 s more than a small frame.
    pub slow_frame_bytes_per_ms_min: u64,
    /// How long a peer may take no byte of a response that is on its way.
    pub send_stall_ms_max: u64,
    /// How long a request may wait for memory: as long as clients wait for its answer by default
    /// (`request.timeout.ms`, 30 s).
    pub memory_wait_ms_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_bytes_max: 100 << 20,
            requests_in_flight_max: 64,
            request_small_bytes_max: 16 << 20,
            request_large_bytes_max: 128 << 20,
            request_huge_bytes_max: 4 << 20,
            response_bytes_unsent_max: 4 << 20,
            connections_max: 10_000,
            idle_ms_max: 600_000,
            slow_frame_ms_max: 30_000,
            slow_frame_pressed_ms_max: 1_000,
            slow_frame_bytes_per_ms_min: 1_024,
            send_stall_ms_max: 30_000,
            memory_wait_ms_max: 30_000,
        }
    }
}

impl Limits {
    /// Panics on limits that could never serve a request: they come from the node's own
    /// configuration, which refuses them with a message first.
    pub(crate) fn check(&self) {
        assert!(self.request_bytes_max > 0, "request_bytes_max is 0");
        assert!(i32::try_from(self.request_bytes_max).is_ok(), "request_bytes_max beyond 2 GiB");
        assert!(self.requests_in_flight_max > 0, "requests_in_flight_max is 0");
        assert!(
            self.request_small_bytes_max >= SMALL_FRAME_BYTES_MAX,
            "no room for one small frame"
        );
        assert!(self.request_huge_bytes_max.is_power_of_two(), "blocks are powers of two");
        assert!(self.response_bytes_unsent_max > 0, "response_bytes_unsent_max is 0");
        assert!(self.slow_frame_bytes_per_ms_min > 0, "slow_frame_bytes_per_ms_min is 0");
    }

    /// How long a frame of `length` bytes may take.
    pub(crate) fn slow_frame_ns(&self, length: usize) -> u64 {
        let length = u64::try_from(length).expect("usize is at most 64 bits");
        self.slow_frame_ms_max
            .saturating_add(length / self.slow_frame_bytes_per_ms_min)
            .saturating_mul(MS)
    }

    /// How long the first `received` bytes of a frame may take while somebody waits for its memory.
    pub(crate) fn slow_frame_pressed_ns(&self, received: usize) -> u64 {
        let received = u64::try_from(received).expect("usize is at most 64 bits");
        self.slow_frame_pressed_ms_max
            .saturating_mul(PRESSED_PAUSES_MAX)
            .saturating_add(received / self.slow_frame_bytes_per_ms_min)
            .saturating_mul(MS)
    }
}

const _: () = assert!(SEND_PARTS_MAX <= 1_024, "the kernel's IOV_MAX");
const _: () = assert!(ZERO_COPY_BYTES_MIN > SMALL_FRAME_BYTES_MAX);
