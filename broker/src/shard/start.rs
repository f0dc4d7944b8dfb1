//! What a shard starts from.

use std::sync::Arc;

use coordinator::Metadata;
use coordinator::metadata::{LogDirectoryId, MetadataRecord, OfflinePlaces, Replica, ShardId};
use engine::EngineStart;
use engine::disk::DirId;
use protocol::{BrokerId, Offset, Str};

use super::mail::{DirectorySpace, ShardIndex};

/// Made by the node, sent to the shard's thread.
#[derive(Debug)]
pub struct ShardStart {
    pub node: NodeFacts,
    pub role: Role,
    /// Holds all records below `metadata_next`.
    pub metadata: Metadata,
    pub metadata_next: Offset,
    pub engine: EngineStart,
    pub net_limits: net::Limits,
    /// Random: topic ids and session ids are made from it.
    pub seed: u128,
}

#[derive(Debug)]
pub enum Role {
    Data,
    Controller(Box<ControllerStart>),
    Coordinator {
        /// What groups may take in memory.
        groups_bytes_max: usize,
    },
}

/// What the controller shard starts from besides.
#[derive(Debug)]
pub struct ControllerStart {
    /// The state before this start's decisions, with all records below `next`.
    pub metadata: Metadata,
    pub next: Offset,
    /// Where the log starts: below it everything is in a snapshot.
    pub log_start: Offset,
    /// This start's decisions, to be appended first; the shards' metadata holds them already.
    pub decisions: Vec<Vec<MetadataRecord>>,
}

/// What every shard knows of its node.
#[derive(Clone, Debug)]
pub struct NodeFacts {
    pub me: ShardIndex,
    pub broker: BrokerId,
    pub data_shards: u16,
    pub cluster_id: Str,
    /// Requests for one other shard, in a row, after which a connection goes there.
    pub steered_after: u32,
    /// By `net::ListenerId`.
    pub listeners: Vec<ListenerFacts>,
    /// By `DirId`.
    pub directories: Arc<Vec<DirectoryFacts>>,
    /// Where the journals of the shards are, by mailbox.
    pub journals: Arc<Vec<DirId>>,
    /// As it was seen last; by `DirId`.
    pub space: Arc<Vec<DirectorySpace>>,
}

/// A listener and where clients reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerFacts {
    pub name: Str,
    pub host: Str,
    pub port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryFacts {
    pub id: LogDirectoryId,
    pub path: String,
}

impl NodeFacts {
    /// The mailbox of the controller shard.
    pub fn controller(&self) -> ShardIndex {
        ShardIndex(self.data_shards)
    }

    /// The mailbox of the coordinator shard.
    pub fn coordinator(&self) -> ShardIndex {
        ShardIndex(self.data_shards + 1)
    }

    /// The mailbox of the node's main thread.
    pub fn main(&self) -> ShardIndex {
        ShardIndex(self.data_shards + 2)
    }

    /// The mailbox of a shard that owns partitions.
    pub fn mailbox_of(&self, shard: ShardId) -> ShardIndex {
        ShardIndex::of_owner(shard, self.coordinator())
    }

    /// Mailboxes of the node.
    pub fn endpoints(&self) -> u16 {
        self.data_shards + 3
    }

    /// Mailboxes of shards: the data shards', the controller's and the coordinator's.
    pub fn shards(&self) -> impl Iterator<Item = ShardIndex> + use<> {
        (0..=self.coordinator().0).map(ShardIndex)
    }

    /// A shard as it is shown: a data shard's number, or what a dedicated shard does.
    pub fn shown(&self, shard: ShardIndex) -> String {
        if shard == self.controller() {
            "controller".to_owned()
        } else if shard == self.coordinator() {
            "coordinator".to_owned()
        } else {
            shard.0.to_string()
        }
    }

    /// Mailboxes of shards that own partitions of topics.
    pub fn owners(&self) -> impl Iterator<Item = ShardIndex> + use<> {
        (0..self.data_shards).map(ShardIndex).chain([self.coordinator()])
    }

    pub(crate) fn directory_path(&self, dir: DirId) -> &str {
        self.directories.get(usize::from(dir.0)).map_or("", |directory| &directory.path)
    }

    /// Where a log directory is on this node; `None` while it is missing.
    pub(crate) fn dir_of(&self, id: LogDirectoryId) -> Option<DirId> {
        let at = self.directories.iter().position(|directory| directory.id == id)?;
        Some(DirId(u16::try_from(at).expect("log directories are bounded")))
    }

    /// Whether a log directory failed while the node ran.
    pub(crate) fn has_failed(&self, dir: DirId) -> bool {
        self.space.get(usize::from(dir.0)).is_some_and(|space| space.is_offline)
    }

    /// Whether a shard's journal was in a log directory that failed while the node ran.
    pub(crate) fn is_shard_offline(&self, shard: ShardId) -> bool {
        let journal = self.journals.get(usize::from(self.mailbox_of(shard).0));
        journal.is_some_and(|journal| self.has_failed(*journal))
    }

    /// What failed while the node ran: a replica that is placed there could not be served.
    pub(crate) fn offline_places(&self) -> OfflinePlaces {
        let directories = (0..).map(DirId).zip(self.directories.iter());
        let directories = directories.filter(|(dir, _)| self.has_failed(*dir));
        let shards = (0..self.data_shards).map(ShardId).chain([ShardId::COORDINATOR]);
        let shards = shards.filter(|shard| self.is_shard_offline(*shard));
        OfflinePlaces {
            directories: directories.map(|(_, directory)| directory.id).collect(),
            shards: shards.map(|shard| (self.broker, shard)).collect(),
        }
    }

    /// Whether a replica of this node cannot be served: the log directory that holds it, or the one of its
    /// shard's journal, failed or is missing.
    pub(crate) fn is_offline(&self, replica: &Replica) -> bool {
        self.dir_of(replica.directory).is_none_or(|dir| self.has_failed(dir))
            || self.is_shard_offline(replica.shard)
    }
}
