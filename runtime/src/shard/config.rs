//! Name, place and sizes of a shard, and why one could not be started.

use std::fmt;

use crate::locked_memory::{LOCKED_MEMORY_SPENT, is_locked_memory_spent};
use crate::os_error::OsError;
use crate::ring::{RingConfig, RingError};

/// Where a shard's thread runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// On this CPU only.
    Fixed(usize),
    /// Wherever the kernel likes.
    Unbound,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardConfig {
    /// Of its thread.
    pub name: String,
    pub placement: Placement,
    /// Its arena.
    pub memory_bytes: usize,
    pub ring: RingConfig,
}

impl ShardConfig {
    pub fn new(name: impl Into<String>, memory_bytes: usize) -> Self {
        Self {
            name: name.into(),
            placement: Placement::Unbound,
            memory_bytes,
            ring: RingConfig::default(),
        }
    }
}

/// Why a shard could not be started.
#[derive(Debug)]
pub enum StartError {
    Thread(OsError),
    /// The executor could not be made (the CPU does not exist).
    Executor(String),
    /// The kernel refused the executor something, its own rings mostly.
    ExecutorIo(OsError),
    Memory(OsError),
    Ring(RingError),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Thread(error) => write!(f, "the shard's thread could not be started: {error}"),
            Self::Executor(error) => write!(f, "the shard's executor could not be made: {error}"),
            Self::ExecutorIo(error) if is_locked_memory_spent(*error) => {
                f.write_str(LOCKED_MEMORY_SPENT)
            }
            Self::ExecutorIo(error) => {
                write!(f, "the shard's executor could not be made: {error}")
            }
            Self::Memory(error) => write!(f, "the shard's memory could not be mapped: {error}"),
            Self::Ring(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StartError {}
