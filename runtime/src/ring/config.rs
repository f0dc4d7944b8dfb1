//! Sizes of a ring, and why one could not be made.

use std::fmt;

use crate::limits::{DESCRIPTORS_MAX, OPERATIONS_MAX, RECEIVE_BUFFERS_MAX};
use crate::locked_memory::{LOCKED_MEMORY_SPENT, is_locked_memory_spent};
use crate::os_error::OsError;

/// Sizes of a ring. Memory: about 1.4 KiB per operation and 16 KiB per receive buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RingConfig {
    /// Operations in flight; an idle connection that waits for bytes counts as one.
    pub operations_max: usize,
    /// Sockets and files owned at once.
    pub descriptors_max: usize,
    /// Provided buffers of 16 KiB; a power of two. Buffers in use by the shard count.
    pub receive_buffers: usize,
    /// How much of each arena, from its start, is registered with the kernel. Registered memory is
    /// pinned and backed at once, so this much is resident from the start.
    pub registered_bytes_max: usize,
    /// What its queues may lock; they are shorter where it is less than they need (328 KiB for the most
    /// operations), and never shorter than the least.
    pub locked_bytes_max: u64,
    /// Kernel threads for what cannot be done without blocking (per NUMA node); at least the depth
    /// of durable writes.
    pub kernel_workers_max: u32,
}

impl Default for RingConfig {
    fn default() -> Self {
        Self {
            operations_max: 4096,
            descriptors_max: 4096,
            receive_buffers: 256,
            registered_bytes_max: 0,
            locked_bytes_max: u64::MAX,
            // 8 journal groups and 4 others.
            kernel_workers_max: 12,
        }
    }
}

impl RingConfig {
    pub(super) fn check(&self) {
        assert!((1..=OPERATIONS_MAX).contains(&self.operations_max));
        assert!((1..=DESCRIPTORS_MAX).contains(&self.descriptors_max));
        assert!((1..=RECEIVE_BUFFERS_MAX).contains(&self.receive_buffers));
        assert!(self.receive_buffers.is_power_of_two());
        assert!(self.kernel_workers_max > 0);
    }
}

/// Why a ring could not be made. `probe` tells causes and remedies beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RingError {
    /// The kernel refuses io_uring, or lacks a feature of Linux 6.1.
    Setup(OsError),
    /// The eventfd could not be registered.
    Bell(OsError),
    /// The receive buffers could not be mapped or registered.
    ReceiveBuffers(OsError),
    /// The kernel's worker threads could not be bounded.
    Workers(OsError),
}

impl fmt::Display for RingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setup(error) | Self::ReceiveBuffers(error) if is_locked_memory_spent(*error) => {
                f.write_str(LOCKED_MEMORY_SPENT)
            }
            Self::Setup(error) => write!(
                f,
                "io_uring could not be set up ({error}): see `dmesg`, and `ulimit -a` for limits of this process"
            ),
            Self::Bell(error) => write!(f, "the ring's eventfd could not be registered: {error}"),
            Self::ReceiveBuffers(error) => {
                write!(f, "the ring's receive buffers could not be registered: {error}")
            }
            Self::Workers(error) => {
                write!(f, "the ring's kernel workers could not be bounded: {error}")
            }
        }
    }
}

impl std::error::Error for RingError {}
