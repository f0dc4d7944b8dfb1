//! A node of whole shards: how it starts over its virtual disks, as the production node does, and the mail
//! between its shards.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::rc::Rc;

use broker::coordinator::metadata::{LogDirectoryId, WallMillis};
use broker::coordinator::topic_config::StaticBrokerConfig;
use broker::engine::config::DiskConfig;
use broker::engine::disk::{DirId, FileSystem, FileSystemError};
use broker::engine::journal::group::JournalSalt;
use broker::engine::recovery::meta::{FORMAT_VERSION, MetaError, MetaProperties};
use broker::engine::recovery::{
    LastBlock, LogDirectories, NodeRecovery, OpenedJournal, RecoverError, recover,
};
use broker::node::NodeError;
use broker::node::assembly::{StartDirectories, StartDirectory, StartLimits, StartPlan, assemble};
use broker::node::leftovers::Leftovers;
use broker::protocol::{Str, TopicId};
use broker::runtime::clock::Now;
use broker::runtime::memory::Arena;
use broker::shard::Shard;
use broker::shard::mail::{DirectorySpace, Mail, ShardIndex};
use broker::shard::metadata_log::MetadataLogError;
use broker::shard::start::ListenerFacts;

use super::groups::SESSION_MS;
use super::moving::MovedConnection;
use crate::disk::{JournalEditor, VirtualDisk, VirtualFileSystem};
use crate::plant::Plant;
use crate::random::Random;

const SALT: JournalSalt = JournalSalt(0x5eed_0001);
pub(super) const ARENA_BYTES: usize = 48 << 20;
/// More than the groups of a life take.
const GROUPS_BYTES_MAX: usize = 48 << 20;
const TAIL_BYTES_MAX: usize = 6 << 20;
/// The controller's and the coordinator's.
pub(super) const DEDICATED_SHARDS: usize = 2;
/// The places of controller and coordinator among journals.
const CONTROLLER_JOURNAL: u32 = 65_535;
const COORDINATOR_JOURNAL: u32 = 65_534;
/// Parcels between two shards at most: few, so that shards wait for each other.
const MAILBOX_SLOTS: usize = 4;
/// Requests in a row after which a connection goes to the shard they are about: few, so that it happens often.
const STEERED_AFTER: u32 = 2;
/// Mail takes up to this long.
const MAIL_NS: u64 = 30_000;

#[derive(Debug)]
pub(super) struct NodeShard {
    pub(super) shard: Shard,
    pub(super) disk: VirtualDisk,
    /// It asked for another turn.
    pub(super) turn_at: Option<u64>,
}

/// Each with the time of its arrival, in order.
type Parcels = VecDeque<(u64, Vec<Mail>)>;

/// Mail on its way, by sender and receiver, in order.
#[derive(Debug, Default)]
pub(super) struct Mailboxes {
    waiting: BTreeMap<(usize, usize), Parcels>,
}

impl Mailboxes {
    pub(super) fn free_slots(&self, from: usize, to: usize) -> usize {
        let taken = self.waiting.get(&(from, to)).map_or(0, VecDeque::len);
        MAILBOX_SLOTS.saturating_sub(taken)
    }

    pub(super) fn post(
        &mut self,
        now: u64,
        random: &mut Random,
        (from, to): (usize, usize),
        parcel: Vec<Mail>,
    ) {
        let parcels = self.waiting.entry((from, to)).or_default();
        let after = parcels.back().map_or(now, |last| last.0);
        parcels.push_back((after.max(now + random.below(MAIL_NS)), parcel));
    }

    pub(super) fn deadline(&self) -> Option<u64> {
        self.waiting.values().filter_map(|parcels| parcels.front().map(|first| first.0)).min()
    }

    /// The next parcel for `to` that has arrived.
    pub(super) fn take(&mut self, now: u64, to: usize) -> Option<(ShardIndex, Vec<Mail>)> {
        let found = self.waiting.iter_mut().find(|((_, receiver), parcels)| {
            *receiver == to && parcels.front().is_some_and(|first| first.0 <= now)
        });
        let ((from, _), parcels) = found?;
        let from = ShardIndex(u16::try_from(*from).expect("shards are few"));
        parcels.pop_front().map(|first| (from, first.1))
    }
}

#[derive(Debug, Default)]
pub(super) struct Node {
    /// The data shards, the controller, the coordinator.
    pub(super) shards: Vec<NodeShard>,
    pub(super) mail: Mailboxes,
    /// Connections that no shard has.
    pub(super) moved_connections: Vec<MovedConnection>,
    /// Goes when the start is committed.
    pub(super) leftovers: Option<Leftovers>,
}

impl Node {
    pub(super) fn data_shards(&self) -> usize {
        self.shards.len().saturating_sub(DEDICATED_SHARDS)
    }

    /// The mailbox of the node's main thread.
    pub(super) fn main(&self) -> usize {
        self.shards.len()
    }
}

/// Why a start did not come to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StartError {
    /// The power went.
    Stopped,
    Failed(String),
}

impl From<FileSystemError> for StartError {
    fn from(error: FileSystemError) -> Self {
        match error {
            FileSystemError::Stopped => Self::Stopped,
            error => Self::Failed(format!("{error:?}")),
        }
    }
}

impl From<NodeError> for StartError {
    fn from(error: NodeError) -> Self {
        match error {
            NodeError::Disk { error, .. }
            | NodeError::MetadataLog(MetadataLogError::FileSystem(error)) => error.into(),
            error => Self::Failed(format!("{error:?}")),
        }
    }
}

/// What a start is given.
#[derive(Debug)]
pub(super) struct NodeStart<'a> {
    pub(super) dirs: &'a [Rc<VirtualFileSystem>],
    pub(super) arenas: &'a [Arena],
    pub(super) now: Now,
    pub(super) data_shards: u16,
    pub(super) journal_file_bytes: u64,
    pub(super) plant: Plant,
    pub(super) groups: bool,
}

impl NodeStart<'_> {
    fn dir_ids(&self) -> impl Iterator<Item = (DirId, &Rc<VirtualFileSystem>)> {
        (0..).map(DirId).zip(self.dirs)
    }

    /// Everything that was acknowledged, in its segments; gives the new incarnation too.
    pub(super) fn recover(&self) -> Result<(u64, NodeRecovery), StartError> {
        let incarnation = self.next_incarnation()?;
        let dirs = self.dir_ids().map(|(id, dir)| (id, &**dir as &dyn FileSystem)).collect();
        let found = recover(&LogDirectories {
            dirs,
            salt: SALT,
            last_blocks: LastBlock::Compared,
            journals_missing: false,
        })
        .map_err(|RecoverError { error, .. }| StartError::from(error))?;
        Ok((incarnation, found))
    }

    fn next_incarnation(&self) -> Result<u64, StartError> {
        let mut before = 0;
        for dir in self.dirs {
            match MetaProperties::read(&**dir as &dyn FileSystem) {
                Ok(found) => before = before.max(found.map_or(0, |meta| meta.incarnation)),
                Err(MetaError::FileSystem(error)) => return Err(error.into()),
                Err(error) => return Err(StartError::Failed(format!("{error:?}"))),
            }
        }
        let incarnation = if self.plant.incarnations_are_reused() { 1 } else { before + 1 };
        for (at, dir) in self.dirs.iter().enumerate() {
            let meta = MetaProperties {
                cluster_id: "simulated".to_owned(),
                node_id: 1,
                directory_id: TopicId(directory_id(at).0).to_string(),
                format: FORMAT_VERSION,
                incarnation,
                salt: SALT,
                directories: Vec::new(),
            };
            meta.write(&**dir as &dyn FileSystem)?;
        }
        Ok(incarnation)
    }

    /// The second half: journals are opened, old ones go, shards begin.
    pub(super) fn open(
        &self,
        incarnation: u64,
        mut found: NodeRecovery,
        random: &mut Random,
    ) -> Result<Node, StartError> {
        if self.plant.old_journals_go_first() {
            for (dir, name, _) in std::mem::take(&mut found.journal_files) {
                self.dirs[usize::from(dir.0)].remove_file(&name.path())?;
            }
            for dir in self.dirs {
                dir.sync_file_system()?;
            }
        }
        let directories = StartDirectories {
            all: self.start_directories(),
            cluster_id: "simulated".to_owned(),
            node_id: 1,
            incarnation,
            salt: SALT,
        };
        let assembly = assemble(&directories, &self.plan(), found)?;
        let mut journals: Vec<OpenedJournal> = Vec::new();
        for shard in &assembly.shards {
            let fs: &dyn FileSystem = &*self.dirs[usize::from(shard.journal_dir().0)];
            journals.push(assembly.open_journal(shard, fs, self.journal_file_bytes)?);
        }
        let leftovers = assembly.keep_or_leave(&mut journals);
        let starts = assembly.into_starts(journals, || {
            Ok(u128::from(random.next_u64()) << 64 | u128::from(random.next_u64()))
        })?;
        let mut node = Node { leftovers: Some(leftovers), ..Node::default() };
        for (at, start) in starts.into_iter().enumerate() {
            let arena = self.arenas[at].clone();
            let number = match at.checked_sub(usize::from(self.data_shards)) {
                None => at as u32,
                Some(0) => CONTROLLER_JOURNAL,
                Some(_) => COORDINATOR_JOURNAL,
            };
            node.shards.push(NodeShard {
                disk: self.disk(number, &arena, random),
                shard: Shard::new(start, arena, self.now),
                turn_at: Some(self.now.monotonic.0),
            });
        }
        Ok(node)
    }

    fn disk(&self, shard: u32, arena: &Arena, random: &mut Random) -> VirtualDisk {
        let planted = self.plant.disk();
        let editor =
            planted.journal_edit.map(|edit| JournalEditor::new(edit, SALT, shard, arena.clone()));
        let dirs = self.dir_ids().map(|(id, dir)| (id, Rc::clone(dir))).collect();
        VirtualDisk::new(dirs, random.fork(), planted, editor)
    }

    fn start_directories(&self) -> Vec<StartDirectory<'_>> {
        let space =
            DirectorySpace { is_offline: false, total_bytes: 1 << 36, usable_bytes: 1 << 35 };
        let directories = self.dirs.iter().enumerate().map(|(at, dir)| StartDirectory {
            fs: &**dir as &dyn FileSystem,
            path: PathBuf::from(format!("/virtual/{at}")),
            id: directory_id(at),
            space,
        });
        directories.collect()
    }

    fn plan(&self) -> StartPlan {
        let limits = StartLimits {
            journal_file_bytes: self.journal_file_bytes,
            tail_bytes_max: TAIL_BYTES_MAX,
            tail_bytes_first: TAIL_BYTES_MAX / 8,
            net: broker::net::Limits {
                request_small_bytes_max: 1 << 20,
                request_large_bytes_max: ARENA_BYTES / 8,
                connections_max: 64,
                ..broker::net::Limits::default()
            },
        };
        // Logs are compacted with every tick, and at once: a life may be short.
        let at_once = (Str::from("log.cleaner.backoff.ms"), Str::from("0"));
        StartPlan {
            data_shards: self.data_shards,
            batch_bytes_max: ARENA_BYTES / 4,
            data: limits.clone(),
            dedicated: limits,
            groups_bytes_max: GROUPS_BYTES_MAX,
            steered_after: STEERED_AFTER,
            listeners: vec![ListenerFacts {
                name: Str::from("PLAINTEXT"),
                host: Str::from("simulated"),
                port: 9092,
            }],
            properties: match self.groups {
                true => group_properties(),
                false => StaticBrokerConfig::new([at_once]).expect("there is such a property"),
            },
            give_up_missing: false,
            disk: DiskConfig::default(),
            now: WallMillis(self.now.wall.0),
        }
    }
}

fn directory_id(at: usize) -> LogDirectoryId {
    LogDirectoryId([7 + u8::try_from(at).expect("directories are few"); 16])
}

/// Sessions are short, so that a life has many of them; small partitions of the coordinator's log are few.
fn group_properties() -> StaticBrokerConfig {
    let session = SESSION_MS.to_string();
    let entries = [
        ("group.initial.rebalance.delay.ms", "20"),
        ("group.min.session.timeout.ms", "10"),
        ("group.consumer.min.session.timeout.ms", "10"),
        ("group.consumer.session.timeout.ms", &*session),
        ("group.consumer.min.heartbeat.interval.ms", "5"),
        ("group.consumer.heartbeat.interval.ms", "20"),
        ("group.consumer.assignment.interval.ms", "0"),
        ("offsets.topic.num.partitions", "4"),
    ];
    let entries = entries.map(|(name, value)| (Str::from(name), Str::from(value)));
    StaticBrokerConfig::new(entries).expect("the properties are there")
}
