//! Why a connection ended: for the log line and for the metric by reason.

use std::fmt;

/// Every way a connection can end. The peer is told nothing but the close itself: none of these
/// leaves a request whose client could parse an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CloseReason {
    /// The peer closed its side in order.
    PeerClosed,
    /// The peer reset the connection.
    PeerReset,
    /// The socket failed otherwise (timed out, unreachable, …).
    SocketFailed,
    /// The broker asked for it.
    Requested,
    /// The node is being stopped, and the connection had nothing left to answer.
    Drained,
    /// The shard had its maximum of connections already.
    TooManyConnections,
    /// The 4 bytes before a frame are a negative number.
    SizeNegative { size: i32 },
    /// The 4 bytes before a frame are 0: no request header is that short.
    SizeZero,
    /// The 4 bytes before a frame exceed `request_bytes_max`.
    SizeTooLarge { size: i32 },
    /// The frame is allowed, but this shard could not hold it even with all its memory free.
    SizeBeyondMemory { size: i32 },
    /// A TLS ClientHello arrived on a plaintext listener (it reads as a size of about 369 MB).
    TlsOnPlaintext,
    /// An HTTP request arrived (its verb reads as a size of more than 1 GB).
    HttpOnPlaintext,
    /// No memory for the request within `memory_wait_ms_max`.
    MemoryWait,
    /// A frame was begun and not finished in time.
    SlowFrame,
    /// Nothing happened for `idle_ms_max`.
    Idle,
    /// The peer took no byte of a response for `send_stall_ms_max`.
    SendStalled,
}

impl CloseReason {
    /// How many reasons there are: the length of the metric by reason.
    pub const COUNT: usize = 16;

    /// Every reason's label, at its `index`.
    pub const LABELS: [&'static str; Self::COUNT] = [
        "peer_closed",
        "peer_reset",
        "socket_failed",
        "requested",
        "drained",
        "too_many_connections",
        "size_negative",
        "size_zero",
        "size_too_large",
        "size_beyond_memory",
        "tls_on_plaintext",
        "http_on_plaintext",
        "memory_wait",
        "slow_frame",
        "idle",
        "send_stalled",
    ];

    /// Where the reason counts in the metric by reason.
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::PeerClosed => 0,
            Self::PeerReset => 1,
            Self::SocketFailed => 2,
            Self::Requested => 3,
            Self::Drained => 4,
            Self::TooManyConnections => 5,
            Self::SizeNegative { .. } => 6,
            Self::SizeZero => 7,
            Self::SizeTooLarge { .. } => 8,
            Self::SizeBeyondMemory { .. } => 9,
            Self::TlsOnPlaintext => 10,
            Self::HttpOnPlaintext => 11,
            Self::MemoryWait => 12,
            Self::SlowFrame => 13,
            Self::Idle => 14,
            Self::SendStalled => 15,
        }
    }

    /// The reason as a label of a metric.
    #[must_use]
    pub const fn label(self) -> &'static str {
        Self::LABELS[self.index()]
    }

    /// Whether the peer misbehaved, so that the close deserves a (rate-limited) log line.
    #[must_use]
    pub const fn is_suspicious(self) -> bool {
        matches!(
            self,
            Self::SizeNegative { .. }
                | Self::SizeZero
                | Self::SizeTooLarge { .. }
                | Self::SizeBeyondMemory { .. }
                | Self::TlsOnPlaintext
                | Self::HttpOnPlaintext
                | Self::SlowFrame
                | Self::SendStalled
        )
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SizeNegative { size }
            | Self::SizeTooLarge { size }
            | Self::SizeBeyondMemory { size } => write!(f, "{} size={size}", self.label()),
            Self::TlsOnPlaintext => {
                f.write_str("tls_on_plaintext: the client speaks TLS, this listener does not")
            }
            Self::HttpOnPlaintext => {
                f.write_str("http_on_plaintext: the client speaks HTTP, this is a Kafka listener")
            }
            _ => f.write_str(self.label()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::CloseReason;

    #[test]
    fn labels_are_distinct() {
        let mut labels = CloseReason::LABELS.to_vec();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), CloseReason::COUNT);
    }

    #[test]
    fn a_reason_says_the_size_it_saw() {
        let reason = CloseReason::SizeTooLarge { size: 200_000_000 };
        assert_eq!(reason.to_string(), "size_too_large size=200000000");
        assert_eq!(CloseReason::Idle.to_string(), "idle");
    }
}
