//! A broker as it registered at its last start: how to reach it, and what partitions can live on.

use alloc::vec::Vec;
use core::fmt;

use protocol::{BrokerId, Str};

/// A shard of a node that owns partitions: a data shard by its number, or the coordinator shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u16);

impl ShardId {
    /// Every node has one, whatever the number of its data shards; the logs of coordinators live there.
    pub const COORDINATOR: Self = Self(65_534);
}

/// A log directory's lasting identity, from its `meta.properties`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogDirectoryId(pub [u8; 16]);

/// Where clients reach a broker under one listener name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    pub name: Str,
    pub host: Str,
    pub port: u16,
}

/// A log directory that was usable when its broker started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogDirectory {
    pub id: LogDirectoryId,
    pub path: Str,
    /// Free bytes at that start: new partitions are spread in this proportion.
    pub free_bytes: u64,
}

/// A broker's registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    pub id: BrokerId,
    /// Counts the node's starts; grows.
    pub incarnation: u64,
    pub rack: Option<Str>,
    pub listeners: Vec<Listener>,
    /// Invariant: at least 1.
    pub data_shards: u16,
    /// Invariant: at least one, ids unique.
    pub log_directories: Vec<LogDirectory>,
}

impl Broker {
    pub fn has_shard(&self, shard: ShardId) -> bool {
        shard.0 < self.data_shards || shard == ShardId::COORDINATOR
    }

    /// A directory that was usable at the last start; partitions of another are offline until it
    /// returns.
    pub fn log_directory(&self, id: LogDirectoryId) -> Option<&LogDirectory> {
        self.log_directories.iter().find(|directory| directory.id == id)
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::COORDINATOR => f.write_str("coordinator"),
            Self(number) => write!(f, "{number}"),
        }
    }
}
