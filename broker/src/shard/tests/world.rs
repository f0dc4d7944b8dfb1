//! A node of shards in one thread: mail is carried, disk operations wait until the test completes them.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use coordinator::Metadata;
use coordinator::metadata::{
    Broker, Command, FormCluster, Listener, LogDirectory, LogDirectoryId, MetadataRecord,
    RegisterBroker, WallMillis,
};
use coordinator::topic_config::StaticBrokerConfig;
use engine::EngineStart;
use engine::config::{DiskConfig, EngineConfig};
use engine::disk::operation::JobOutput;
use engine::disk::{DirId, DiskEffect, DiskError, DiskEvent, DiskOp, DiskOutput};
use engine::journal::group::JournalSalt;
use engine::journal::writer::{JournalIdentity, JournalOpening};
use engine::recovery::OpenedJournal;
use net::{ConnectionId, ListenerId, NetEffect, NetEvent};
use protocol::frame::decode_response;
use protocol::messages::{ApiRequest, ApiResponse};
use protocol::record_batch::{BatchBuilder, BatchOptions};
use protocol::{
    BrokerId, CorrelationId, Offset, PartitionIndex, RequestHeader, Str, encode_request,
};
use runtime::clock::{Monotonic, Now};
use runtime::memory::Arena;

use crate::shard::Shard;
use crate::shard::event::{Effects, Event};
use crate::shard::mail::{DirectorySpace, Mail, ShardIndex};
use crate::shard::start::{
    ControllerStart, DirectoryFacts, ListenerFacts, NodeFacts, Role, ShardStart,
};
use crate::shard::steering::Move;

/// By `DirId`; a node has the first one, or some more.
const GROUPS_BYTES_MAX: usize = 1 << 20;
const DIRECTORIES: [(LogDirectoryId, &str); 2] =
    [(LogDirectoryId([7; 16]), "/d"), (LogDirectoryId([8; 16]), "/e")];

pub(super) struct World {
    pub(super) now: Now,
    shards: Vec<Shard>,
    mailboxes: Vec<VecDeque<(ShardIndex, Vec<Mail>)>>,
    /// Disk operations that have not completed, in order.
    pub(super) disk: VecDeque<(usize, DiskEffect)>,
    /// Bytes that clients have not read yet, and connections that were closed.
    sent: BTreeMap<(usize, ConnectionId), Vec<u8>>,
    pub(super) closed: Vec<(usize, ConnectionId)>,
    /// What the node's main thread heard.
    pub(super) main: Vec<Mail>,
    /// Records are copied on their way from an owner to another shard.
    pub(super) plants_copies: bool,
    connections: u32,
    /// Connections that left their shards.
    pub(super) moves: Vec<Move>,
    /// What is sent next stays with the kernel, for its connection.
    pub(super) holds_sent: bool,
    pub(super) held: Option<(ConnectionId, usize)>,
}

/// A client's connection to a shard.
#[derive(Clone, Copy)]
pub(super) struct Client {
    pub(super) shard: usize,
    pub(super) connection: ConnectionId,
}

fn metadata(
    data_shards: u16,
    directories: &[(LogDirectoryId, &str)],
    configured: StaticBrokerConfig,
) -> (Metadata, Vec<Vec<MetadataRecord>>) {
    let mut metadata = Metadata::new(BrokerId(1), configured);
    let log_directory = |(id, path): &(LogDirectoryId, &str)| LogDirectory {
        id: *id,
        path: Str::from(*path),
        free_bytes: 1 << 40,
    };
    let mut decisions = Vec::new();
    let cluster_id = Str::from("cluster");
    let broker = Broker {
        id: BrokerId(1),
        incarnation: 1,
        rack: None,
        listeners: vec![Listener { name: Str::from("PLAINTEXT"), host: Str::from("h"), port: 9 }],
        data_shards,
        log_directories: directories.iter().map(log_directory).collect(),
    };
    decide(&mut metadata, &mut decisions, &FormCluster { cluster_id: cluster_id.clone() });
    decide(&mut metadata, &mut decisions, &RegisterBroker { cluster_id, broker });
    (metadata, decisions)
}

fn decide<C: Command>(
    metadata: &mut Metadata,
    decisions: &mut Vec<Vec<MetadataRecord>>,
    command: &C,
) where
    C::Error: std::fmt::Debug,
{
    let records = metadata.decide(WallMillis(0), command).unwrap().records;
    records.iter().for_each(|record| metadata.replay(record).unwrap());
    decisions.push(records);
}

fn engine_start(shard: u32, journal_dir: DirId) -> EngineStart {
    let identity = JournalIdentity { shard, incarnation: 1, salt: JournalSalt(9) };
    EngineStart {
        config: EngineConfig {
            journal_dir,
            shard,
            journal_file_bytes: 16 << 20,
            tail_bytes_max: 16 << 20,
            tail_bytes_first: 16 << 20,
            producer_expiration_ms: 86_400_000,
            retention_check_ms: 1_000,
            cleaner_backoff_ms: 1_000,
            disk: DiskConfig::default(),
        },
        journal: OpenedJournal {
            identity,
            opening: JournalOpening { next_sequence: 1, previous_crc: 0, write_position: 4096 },
            first_file: PathBuf::from(format!("journal/{shard}/0.journal")),
            first_file_bytes: 16 << 20,
            free_files: Vec::new(),
            next_file_number: 1,
        },
        partitions: Vec::new(),
    }
}

impl World {
    pub(super) fn new(data_shards: u16) -> Self {
        Self::configured(data_shards, StaticBrokerConfig::default())
    }

    /// A node with such a configuration file.
    pub(super) fn configured(data_shards: u16, configured: StaticBrokerConfig) -> Self {
        Self::begin(data_shards, &DIRECTORIES[..1], configured)
    }

    /// A node with two log directories, journals in turn in the one and the other.
    pub(super) fn with_two_directories(data_shards: u16) -> Self {
        Self::begin(data_shards, &DIRECTORIES, StaticBrokerConfig::default())
    }

    fn begin(
        data_shards: u16,
        directories: &[(LogDirectoryId, &str)],
        configured: StaticBrokerConfig,
    ) -> Self {
        let now = Now {
            monotonic: Monotonic(1_000_000_000),
            wall: runtime::clock::WallMillis(1_700_000_000_000),
        };
        let (metadata, decisions) = metadata(data_shards, directories, configured.clone());
        let records: usize = decisions.iter().map(Vec::len).sum();
        let directory_facts = directories
            .iter()
            .map(|(id, path)| DirectoryFacts { id: *id, path: (*path).to_owned() });
        let count = u16::try_from(directories.len()).unwrap();
        let journal_dir = |shard: u16| DirId(if shard == data_shards { 0 } else { shard % count });
        let facts = NodeFacts {
            me: ShardIndex(0),
            broker: BrokerId(1),
            data_shards,
            cluster_id: Str::from("cluster"),
            steered_after: u32::MAX,
            listeners: vec![ListenerFacts {
                name: Str::from("PLAINTEXT"),
                host: Str::from("h"),
                port: 9,
            }],
            directories: Arc::new(directory_facts.collect()),
            journals: Arc::new((0..data_shards + 2).map(journal_dir).collect()),
            space: Arc::new(Vec::new()),
        };
        let shards = (0..data_shards + 2).map(|index| {
            let node = NodeFacts { me: ShardIndex(index), ..facts.clone() };
            let role = if index == data_shards {
                Role::Controller(Box::new(ControllerStart {
                    metadata: Metadata::new(BrokerId(1), configured.clone()),
                    next: Offset(0),
                    log_start: Offset(0),
                    decisions: decisions.clone(),
                }))
            } else if index > data_shards {
                Role::Coordinator { groups_bytes_max: GROUPS_BYTES_MAX }
            } else {
                Role::Data
            };
            let start = ShardStart {
                node,
                role,
                metadata: metadata.clone(),
                metadata_next: Offset(i64::try_from(records).unwrap()),
                engine: engine_start(u32::from(index), journal_dir(index)),
                net_limits: net::Limits::default(),
                seed: u128::from(index) + 5,
            };
            Shard::new(start, Arena::new(64 << 20).unwrap(), now)
        });
        let mut world = Self {
            now,
            shards: shards.collect(),
            mailboxes: (0..data_shards + 3).map(|_| VecDeque::new()).collect(),
            disk: VecDeque::new(),
            sent: BTreeMap::new(),
            closed: Vec::new(),
            main: Vec::new(),
            plants_copies: false,
            connections: 0,
            moves: Vec::new(),
            holds_sent: false,
            held: None,
        };
        world.settle();
        let ready = world.main.iter().filter(|mail| matches!(mail, Mail::Ready)).count();
        assert_eq!(ready, usize::from(data_shards) + 2, "every shard is ready");
        world
    }

    pub(super) fn shard(&self, shard: usize) -> &Shard {
        &self.shards[shard]
    }

    /// The node's main thread tells all shards which log directories failed, by `DirId`.
    pub(super) fn shard_mut(&mut self, shard: usize) -> &mut Shard {
        &mut self.shards[shard]
    }

    pub(super) fn tell_offline(&mut self, offline: &[bool]) {
        let space = |is_offline: &bool| DirectorySpace {
            is_offline: *is_offline,
            total_bytes: 900,
            usable_bytes: 700,
        };
        let space: Arc<Vec<DirectorySpace>> = Arc::new(offline.iter().map(space).collect());
        for shard in 0..self.shards.len() {
            self.tell(shard, Mail::Storage(Arc::clone(&space)));
        }
    }

    /// Mail of the node's main thread.
    pub(super) fn tell(&mut self, shard: usize, mail: Mail) {
        let from = self.main_index();
        self.apply(shard, Event::Mail { from, parcel: vec![mail] });
    }

    pub(super) fn main_index(&self) -> ShardIndex {
        self.shards[0].node.main()
    }

    pub(super) fn connect(&mut self, shard: usize) -> Client {
        self.connections += 1;
        let connection = ConnectionId::new(self.connections, 1);
        let peer = "127.0.0.1:5000".parse().unwrap();
        let opened = NetEvent::Opened { connection, listener: ListenerId(0), peer };
        self.apply(shard, Event::Net(opened));
        Client { shard, connection }
    }

    /// The connection that left last comes to a shard, under another name.
    pub(super) fn arrive(&mut self, shard: usize) -> Client {
        let moved = self.moves.pop().expect("a connection left");
        let client = self.connect(shard);
        let (connection, luggage) = (client.connection, moved.luggage);
        self.apply(shard, Event::MovedHere { connection, luggage });
        client
    }

    pub(super) fn disconnect(&mut self, client: Client) {
        let reason = net::CloseReason::PeerClosed;
        let closed = NetEvent::Closed { connection: client.connection, reason };
        self.apply(client.shard, Event::Net(closed));
    }

    /// One event and the batch's end; mail is carried, disk operations wait.
    pub(super) fn apply(&mut self, shard: usize, event: Event) {
        self.shards[shard].apply(self.now, event);
        self.finish(shard);
        self.carry_mail();
    }

    fn finish(&mut self, shard: usize) {
        let mut effects =
            Effects { mail_slots: vec![1; self.mailboxes.len()], ..Effects::default() };
        self.shards[shard].finish_batch(self.now, &mut effects);
        self.shards[shard].invariants();
        for effect in effects.net {
            self.perform(shard, effect);
        }
        self.moves.append(&mut effects.moves);
        let disk = effects.disk.into_iter().map(|effect| (shard, effect));
        self.disk.extend(disk);
        let from = ShardIndex(u16::try_from(shard).unwrap());
        for (to, parcel) in effects.mail {
            self.mailboxes[usize::from(to.0)].push_back((from, parcel));
        }
    }

    fn perform(&mut self, shard: usize, effect: NetEffect) {
        match effect {
            NetEffect::Receive { .. } => {}
            NetEffect::ReceiveInto { .. } => unreachable!("requests of tests are small"),
            NetEffect::Send { connection, parts, .. } => {
                let bytes = parts.iter().map(Bytes::len).sum();
                let to = self.sent.entry((shard, connection)).or_default();
                parts.iter().for_each(|part| to.extend_from_slice(part));
                if self.holds_sent {
                    self.held = Some((connection, bytes));
                    return;
                }
                self.shards[shard]
                    .apply(self.now, Event::Net(NetEvent::Sent { connection, bytes }));
                self.finish(shard);
            }
            NetEffect::Close { connection } => {
                self.closed.push((shard, connection));
                let reason = net::CloseReason::Requested;
                let closed = NetEvent::Closed { connection, reason };
                self.shards[shard].apply(self.now, Event::Net(closed));
                self.finish(shard);
            }
        }
    }

    fn carry_mail(&mut self) {
        let main = self.mailboxes.len() - 1;
        loop {
            for (_, parcel) in std::mem::take(&mut self.mailboxes[main]) {
                self.main.extend(parcel);
            }
            let next = (0..main).find(|to| !self.mailboxes[*to].is_empty());
            let Some(to) = next else { return };
            let (from, mut parcel) = self.mailboxes[to].pop_front().unwrap();
            if self.plants_copies {
                parcel.iter_mut().for_each(copy_records);
            }
            self.shards[to].apply(self.now, Event::Mail { from, parcel });
            self.finish(to);
        }
    }

    /// Completes the oldest disk operation, as a disk that works does.
    pub(super) fn complete_one(&mut self) -> bool {
        let Some((shard, DiskEffect { op, request })) = self.disk.pop_front() else {
            return false;
        };
        let output = match request {
            DiskOp::Bind { .. } | DiskOp::Unbind { .. } => return true,
            DiskOp::Write { .. } => DiskOutput::Written,
            DiskOp::Read { .. } => unreachable!("tests read from the tail"),
            DiskOp::Job(_) => DiskOutput::Done(JobOutput::default()),
        };
        self.apply(shard, Event::Disk(DiskEvent { op, result: Ok(output) }));
        true
    }

    /// Fails everything that is asked of the disk, now and until nothing more is.
    pub(super) fn fail_disk(&mut self) {
        for shard in 0..self.shards.len() {
            self.finish(shard);
        }
        while let Some((shard, DiskEffect { op, request })) = self.disk.pop_front() {
            if !matches!(request, DiskOp::Bind { .. } | DiskOp::Unbind { .. }) {
                let error = DiskError::Failed { errno: 5, call: "planted" };
                self.apply(shard, Event::Disk(DiskEvent { op, result: Err(error) }));
            }
        }
    }

    /// Completes everything.
    pub(super) fn settle(&mut self) {
        for shard in 0..self.shards.len() {
            self.finish(shard);
        }
        self.carry_mail();
        while self.complete_one() {}
    }

    pub(super) fn advance_ms(&mut self, ms: u64) {
        self.now.monotonic.0 += ms * 1_000_000;
        for shard in 0..self.shards.len() {
            self.shards[shard].apply(self.now, Event::Deadline);
            self.finish(shard);
        }
        self.carry_mail();
    }

    pub(super) fn send<R: ApiRequest>(&mut self, client: Client, version: i16, request: R) {
        self.send_as("test", client, version, request);
    }

    /// Sends under a client id.
    pub(super) fn send_as<R: ApiRequest>(
        &mut self,
        client_id: &str,
        client: Client,
        version: i16,
        request: R,
    ) {
        let header = RequestHeader {
            api_key: R::API,
            api_version: version,
            correlation_id: CorrelationId(7),
            client_id: Some(Str::from(client_id)),
        };
        let parts = encode_request(&header, &request.into()).unwrap();
        self.send_bytes(client, Bytes::from(parts.concat()));
    }

    pub(super) fn send_bytes(&mut self, client: Client, data: Bytes) {
        let received = NetEvent::Received { connection: client.connection, data };
        self.apply(client.shard, Event::Net(received));
    }

    /// The next whole response, if it is there.
    pub(super) fn response<R: ApiResponse>(&mut self, client: Client, version: i16) -> Option<R> {
        let sent = self.sent.get_mut(&(client.shard, client.connection))?;
        let size = u32::from_be_bytes(sent.get(..4)?.try_into().unwrap());
        let end = 4 + usize::try_from(size).unwrap();
        let frame = Bytes::copy_from_slice(sent.get(4..end)?);
        sent.drain(..end);
        let (correlation_id, response) = decode_response::<R>(version, &frame).unwrap();
        assert_eq!(correlation_id, CorrelationId(7));
        Some(response)
    }

    /// A request that is answered when everything asked of the disk is done.
    pub(super) fn ask<R: ApiRequest>(
        &mut self,
        client: Client,
        version: i16,
        request: R,
    ) -> R::Response {
        self.send(client, version, request);
        self.settle();
        self.response(client, version).expect("an answer")
    }
}

fn copy_records(mail: &mut Mail) {
    let Mail::Fetched { parts, .. } = mail else { return };
    let fetched = parts.iter_mut().filter_map(|part| part.result.as_mut().ok());
    for part in fetched.flat_map(|fetched| &mut fetched.records.parts) {
        *part = Bytes::copy_from_slice(part);
    }
}

/// A batch of records with these values.
pub(super) fn batch(values: &[&str], timestamp: i64) -> Bytes {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    for (at, value) in (0..).zip(values) {
        builder.push(timestamp + at, None, Some(value.as_bytes()), &[]);
    }
    Bytes::from(builder.finish())
}

/// The data shard that owns a partition.
pub(super) fn owner(world: &World, topic: &str, index: i32) -> usize {
    let route = world.shard(0).replica.route_by_name(topic, PartitionIndex(index));
    usize::from(route.expect("the partition is there").owner.0)
}
