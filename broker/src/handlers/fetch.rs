//! Fetch: sessions, one read per owner, a long poll that pins nothing.
//!
//! ```text
//!   asked ──► each owner answers with records, or parks and counts
//!         ├─ enough bytes in sum, or an answer, or the deadline ──► those parked read now
//!         └─ all have answered ──► joined in the request's order ──► response
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use net::ConnectionId;
use protocol::messages::fetch::{
    EpochEndOffset, FetchRequest, FetchResponse, FetchableTopicResponse, PartitionData,
};
use protocol::{ErrorCode, LeaderEpoch, Offset, PartitionIndex, Records, Str, TopicId};

use super::Work;
use super::authorise::{Operation, Resource};
use crate::error_code;
use crate::limits::{
    FETCH_WAIT_MS_MAX, HELD_FETCHES_PER_TURN, OWNER_ALLOWANCE_BYTES_MIN, RESPONSE_BYTES_MAX,
    RESPONSE_SHARE_DIVISOR,
};
use crate::shard::Shard;
use crate::shard::mail::{
    FetchAsk, FetchError, FetchTarget, Fetched, FetchedPart, Mail, ShardIndex,
};
use crate::shard::replica::Route;
use crate::shard::requests::{Head, Request, RequestId};
use crate::shard::sessions::{FetchKey, News, SessionRequest, SessionUse, TopicKey, Wanted, named};

#[derive(Debug)]
pub(crate) struct Fetch {
    used: SessionUse,
    is_committed_only: bool,
    bytes_min: u64,
    bytes_max: usize,
    parts: Vec<Part>,
    owners: BTreeMap<ShardIndex, OwnerState>,
    may_wait: bool,
    /// Not asked yet: the shard's responses pin too much already.
    is_held: bool,
}

#[derive(Debug)]
struct Part {
    key: FetchKey,
    bytes_max: usize,
    target: Result<(Route, Wanted), ErrorCode>,
    result: Option<Result<Fetched, FetchError>>,
}

/// How far one owner is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OwnerState {
    Asked,
    Parked {
        bytes: u64,
    },
    /// Told to read what is there.
    Reading,
    Done,
}

/// Version from which clients know zstd.
const ZSTD_FROM: i16 = 10;
/// Version from which clients know that a log directory can be offline.
const STORAGE_ERROR_FROM: i16 = 6;
/// Version from which topics are named by their ids.
const TOPIC_IDS_FROM: i16 = 13;

impl Shard {
    pub(crate) fn begin_fetch(&mut self, head: Head, body: &FetchRequest) {
        let by_id = head.version >= TOPIC_IDS_FROM;
        let now_ms = self.now.monotonic.0 / 1_000_000;
        let connection = head.connection;
        let request = SessionRequest { body, by_id, connection, now_ms };
        let random = &mut self.front.random;
        let used = match self.front.sessions.on_request(&request, || random.session_id()) {
            Ok(used) => used,
            Err(error) => {
                let error_code = error_code::session(error).code();
                self.metrics.count_error(error_code);
                let response = FetchResponse { error_code, ..FetchResponse::default() };
                return self.respond(&head, response);
            }
        };
        let wanted = match used {
            SessionUse::Continued { id } => self.front.sessions.wanted(id),
            SessionUse::Without | SessionUse::Begun { .. } => named(body, by_id).collect(),
        };
        let parts: Vec<Part> =
            wanted.into_iter().map(|(key, wanted)| self.fetch_part(&head, key, wanted)).collect();
        let targets = parts.iter().filter_map(|part| part.target.as_ref().ok());
        self.note_owners(&head, targets.map(|(route, _)| route.owner), 0);
        let failed = parts.iter().any(|part| part.target.is_err());
        let wait_ms = u64::from(body.max_wait_ms.clamp(0, FETCH_WAIT_MS_MAX).unsigned_abs());
        let fetch = Fetch {
            used,
            is_committed_only: body.isolation_level == 1,
            bytes_min: u64::try_from(body.min_bytes).unwrap_or(0),
            bytes_max: usize::try_from(body.max_bytes).unwrap_or(0).min(self.front.fetch_bytes_max),
            parts,
            owners: BTreeMap::new(),
            may_wait: wait_ms > 0 && body.min_bytes > 0 && !failed && !self.is_draining(),
            is_held: true,
        };
        let deadline = Some(self.now.monotonic + Duration::from_millis(wait_ms));
        let work = Work::Fetch(Box::new(fetch));
        let id = self.begin_request(Request { head, deadline, work });
        self.progress.fetches.insert((head.connection, id));
        self.release_frame(&head);
        if self.response_room(&head) > 0 {
            self.ask_owners(id);
        } else {
            self.progress.held_fetches.push_back(id);
        }
    }

    /// Bytes that a response on this connection may pin: a share of what all responses may pin and do not,
    /// so that the last ones to ask find something too. 0: the fetch is held until clients have taken
    /// some of their responses; of this connection, if it is the one that does not.
    fn response_room(&self, head: &Head) -> usize {
        let connections = &self.front.connections;
        let all = self.front.responses_bytes_max;
        let own = connections.response_bytes_unsent(head.connection);
        // Who has taken its last response may use all of it, who has not only the first half.
        let all = if own == 0 { all } else { all / 2 };
        let left = all.saturating_sub(self.response_bytes_pinned());
        if own >= RESPONSE_BYTES_MAX || left < OWNER_ALLOWANCE_BYTES_MIN {
            return 0;
        }
        let share = (left / RESPONSE_SHARE_DIVISOR).max(OWNER_ALLOWANCE_BYTES_MIN);
        share.min(RESPONSE_BYTES_MAX - own)
    }

    /// The request's strings were copied: its frame's memory can go while it waits.
    pub(super) fn release_frame(&mut self, head: &Head) {
        let now = self.now.monotonic;
        let out = &mut self.front.out;
        self.front.connections.release_memory(now, head.connection, head.sequence, out);
        self.take_frames();
    }

    /// Fetches that were held because too much was pinned: some of them each turn, all in turn.
    pub(crate) fn ask_held_fetches(&mut self) {
        for _ in 0..self.progress.held_fetches.len().min(HELD_FETCHES_PER_TURN) {
            let Some(id) = self.progress.held_fetches.pop_front() else { return };
            let Some(request) = self.progress.requests.get(id) else { continue };
            let head = request.head;
            if self.response_room(&head) > 0 {
                self.ask_owners(id);
            } else {
                self.progress.held_fetches.push_back(id);
            }
        }
    }

    fn fetch_part(&self, head: &Head, key: FetchKey, wanted: Wanted) -> Part {
        let index = PartitionIndex(key.index);
        let (topic, unknown) = match &key.topic {
            TopicKey::Name(name) => {
                (self.replica.topic_by_name(name), ErrorCode::UnknownTopicOrPartition)
            }
            TopicKey::Id(id) => (self.replica.topic(*id), ErrorCode::UnknownTopicId),
        };
        let target = match topic {
            None => Err(unknown),
            Some(topic)
                if !self.is_allowed(head, Operation::Read, Resource::Topic(topic.name())) =>
            {
                Err(ErrorCode::TopicAuthorizationFailed)
            }
            // Batches are not looked at, as in Kafka: such clients may read zstd all the same.
            Some(topic) if head.version < ZSTD_FROM && self.replica.metadata().is_zstd(topic) => {
                Err(ErrorCode::UnsupportedCompressionType)
            }
            Some(topic) => {
                let route = self.replica.route(topic, index);
                route.map(|route| (route, wanted)).ok_or(ErrorCode::UnknownTopicOrPartition)
            }
        };
        let bytes_max = usize::try_from(wanted.bytes_max).unwrap_or(0);
        Part { key, bytes_max, target, result: None }
    }

    fn ask_owners(&mut self, id: RequestId) {
        let me = self.node.me;
        let now = self.now.monotonic;
        let Some(head) = self.progress.requests.get(id).map(|request| request.head) else { return };
        let room = self.response_room(&head);
        let Some(request) = self.progress.requests.get_mut(id) else { return };
        let is_over = request.deadline.is_none_or(|deadline| deadline <= now);
        let Work::Fetch(fetch) = &mut request.work else { unreachable!("a fetch") };
        fetch.is_held = false;
        let mut asks: BTreeMap<ShardIndex, Vec<FetchTarget>> = BTreeMap::new();
        for (part, wanted) in (0..).zip(&fetch.parts) {
            let Ok((route, target)) = &wanted.target else { continue };
            let epoch = |epoch: i32| (epoch >= 0).then_some(LeaderEpoch(epoch));
            asks.entry(route.owner).or_default().push(FetchTarget {
                part,
                partition: route.partition,
                offset: Offset(target.offset),
                bytes_max: wanted.bytes_max,
                current_leader_epoch: epoch(target.current_leader_epoch),
                last_fetched_epoch: epoch(target.last_fetched_epoch),
            });
        }
        let response_bytes_max = allowance(fetch.bytes_max.min(room), asks.len());
        let (bytes_min, may_wait) = (fetch.bytes_min, fetch.may_wait && !is_over);
        fetch.owners = asks.keys().map(|owner| (*owner, OwnerState::Asked)).collect();
        for (owner, parts) in asks {
            let ask =
                FetchAsk { shard: me, request: id, bytes_min, response_bytes_max, may_wait, parts };
            self.outbox.post(owner, Mail::Fetch(Box::new(ask)));
        }
        self.advance_fetch(id, false);
    }

    pub(crate) fn on_fetch_parked(&mut self, id: RequestId, from: ShardIndex, bytes: u64) {
        let Some(fetch) = self.fetch_of(id) else { return };
        let state = fetch.owners.get_mut(&from).expect("only owners that were asked answer");
        if matches!(state, OwnerState::Asked | OwnerState::Parked { .. }) {
            *state = OwnerState::Parked { bytes };
            self.metrics.fetches_parked += 1;
            self.advance_fetch(id, false);
        }
    }

    pub(crate) fn on_fetched(&mut self, id: RequestId, from: ShardIndex, parts: Vec<FetchedPart>) {
        let Some(fetch) = self.fetch_of(id) else { return };
        fetch.owners.insert(from, OwnerState::Done);
        for FetchedPart { part, result } in parts {
            let at = usize::try_from(part).expect("usize is at least 32 bits");
            fetch.parts[at].result = Some(result);
        }
        self.advance_fetch(id, false);
    }

    pub(crate) fn on_fetch_deadline(&mut self, id: RequestId) {
        let is_held = self.fetch_of(id).is_some_and(|fetch| fetch.is_held);
        if !is_held {
            self.advance_fetch(id, true);
        }
    }

    /// The node is stopping: fetches are answered with what is there; those that wait for room, because
    /// clients do not take their responses, end with their connection.
    pub(crate) fn end_long_polls(&mut self) {
        let fetches: Vec<(ConnectionId, RequestId)> =
            self.progress.fetches.iter().copied().collect();
        for (connection, id) in fetches {
            // An earlier one may have taken the connection with it.
            match self.fetch_of(id).map(|fetch| fetch.is_held) {
                Some(true) => {
                    let (now, out) = (self.now.monotonic, &mut self.front.out);
                    self.front.connections.close(now, connection, out);
                    self.take_frames();
                }
                Some(false) => {
                    self.forget_deadline(id);
                    self.advance_fetch(id, true);
                }
                None => {}
            }
        }
    }

    fn fetch_of(&mut self, id: RequestId) -> Option<&mut Fetch> {
        match &mut self.progress.requests.get_mut(id)?.work {
            Work::Fetch(fetch) => Some(fetch),
            _ => unreachable!("a fetch's answer goes to a fetch"),
        }
    }

    /// Ends the wait when there is a reason to, and the fetch when all owners have answered.
    fn advance_fetch(&mut self, id: RequestId, is_over: bool) {
        let Some(request) = self.progress.requests.get_mut(id) else { return };
        let is_over = is_over || request.deadline.is_none();
        let Work::Fetch(fetch) = &mut request.work else { unreachable!("a fetch") };
        let owners = fetch.owners.values();
        if owners.clone().all(|state| *state == OwnerState::Done) {
            return self.finish_fetch(id);
        }
        let answered = owners.clone().any(|state| *state == OwnerState::Done);
        let counted = owners.fold(0_u64, |sum, state| match state {
            OwnerState::Parked { bytes } => sum.saturating_add(*bytes),
            OwnerState::Asked | OwnerState::Reading | OwnerState::Done => sum,
        });
        if !is_over && !answered && counted < fetch.bytes_min {
            return;
        }
        let response_bytes_max = allowance(fetch.bytes_max, fetch.owners.len());
        let shard = self.node.me;
        for (owner, state) in &mut fetch.owners {
            if matches!(state, OwnerState::Parked { .. }) {
                *state = OwnerState::Reading;
                let mail = Mail::FetchNow { shard, request: id, response_bytes_max };
                self.outbox.post(*owner, mail);
            }
        }
    }

    fn finish_fetch(&mut self, id: RequestId) {
        let request = self.progress.requests.get(id).expect("the caller looked it up");
        let room = self.response_room(&request.head);
        if room == 0 && self.hold_again(id) {
            return;
        }
        let Some(Request { head, work: Work::Fetch(fetch), .. }) = self.end_request(id) else {
            unreachable!("only a fetch ends here");
        };
        let mut fetch = *fetch;
        drop_surplus(&mut fetch.parts, fetch.bytes_max.min(room));
        let mut response =
            FetchResponse { session_id: fetch.used.id(), ..FetchResponse::default() };
        let (mut failed, mut record_bytes) = (false, 0);
        for part in fetch.parts {
            let Part { key, target, result, .. } = part;
            let mut data = partition_data(&key, target.err(), result, fetch.is_committed_only);
            if head.version < STORAGE_ERROR_FROM
                && data.error_code == ErrorCode::KafkaStorageError.code()
            {
                // It makes them ask for metadata and try again.
                data.error_code = ErrorCode::NotLeaderOrFollower.code();
            }
            self.metrics.count_error(data.error_code);
            let news = News {
                high_watermark: Offset(data.high_watermark),
                log_start: Offset(data.log_start_offset),
                has_records: !data.records.is_empty(),
                is_exception: data.error_code != 0 || data.diverging_epoch.epoch >= 0,
            };
            failed |= data.error_code != 0;
            if self.front.sessions.on_answer(fetch.used, &key, news) {
                record_bytes += data.records.length();
                push(&mut response, key, data);
            }
        }
        if failed {
            self.hint_consumer(&head, &mut response);
        }
        self.respond_with_records(&head, response, record_bytes);
    }

    /// Other responses have taken the room meanwhile: the records are let go and read again later. False:
    /// there are none.
    fn hold_again(&mut self, id: RequestId) -> bool {
        let Some(fetch) = self.fetch_of(id) else { return false };
        let has_records = |part: &Part| match &part.result {
            Some(Ok(fetched)) => fetched.records.bytes > 0,
            Some(Err(_)) | None => false,
        };
        if !fetch.parts.iter().any(has_records) {
            return false;
        }
        fetch.parts.iter_mut().for_each(|part| part.result = None);
        fetch.owners.clear();
        fetch.is_held = true;
        self.progress.held_fetches.push_back(id);
        true
    }

    /// Its connection is gone: owners forget it.
    pub(crate) fn abandon_fetch(&mut self, id: RequestId) {
        let Some(Request { head, work: Work::Fetch(fetch), .. }) = self.end_request(id) else {
            unreachable!("only fetches are among them");
        };
        let shard = self.node.me;
        for (owner, state) in &fetch.owners {
            if *state != OwnerState::Done {
                self.outbox.post(*owner, Mail::FetchCancel { shard, request: id });
            }
        }
        self.respond_nothing(&head);
    }
}

/// What each of several owners may read: a share, but never less than a usual batch.
fn allowance(bytes_max: usize, owners: usize) -> usize {
    let share = bytes_max / owners.max(1);
    share.max(OWNER_ALLOWANCE_BYTES_MIN.min(bytes_max))
}

/// Keeps records in the request's order up to `bytes_max`, and of each partition no more than it may have.
/// The first records stay whatever their size, or a large batch could never be read.
fn drop_surplus(parts: &mut [Part], bytes_max: usize) {
    let mut total = 0;
    for part in parts {
        let Some(Ok(fetched)) = &mut part.result else { continue };
        let bytes = fetched.records.bytes;
        let fits = total + bytes <= bytes_max && bytes <= part.bytes_max;
        if bytes > 0 && total > 0 && !fits {
            fetched.records.parts.clear();
            fetched.records.bytes = 0;
        }
        total += fetched.records.bytes;
    }
}

fn partition_data(
    key: &FetchKey,
    refused: Option<ErrorCode>,
    result: Option<Result<Fetched, FetchError>>,
    is_committed_only: bool,
) -> PartitionData {
    let failed = |code: ErrorCode| PartitionData {
        partition_index: key.index,
        error_code: code.code(),
        high_watermark: -1,
        aborted_transactions: is_committed_only.then(Vec::new),
        ..PartitionData::default()
    };
    let fetched = match (refused, result) {
        (Some(code), _) => return failed(code),
        (None, Some(Err(error))) => return failed(error_code::fetch(error)),
        (None, None) => unreachable!("every partition's owner has answered"),
        (None, Some(Ok(fetched))) => fetched,
    };
    let mut records = Records::default();
    fetched.records.parts.into_iter().for_each(|part| records.push(part));
    let diverging =
        fetched.diverging.map(|(epoch, end)| EpochEndOffset { epoch: epoch.0, end_offset: end.0 });
    PartitionData {
        partition_index: key.index,
        high_watermark: fetched.offsets.high_watermark.0,
        // Without transactions everything that is visible is stable.
        last_stable_offset: fetched.offsets.high_watermark.0,
        log_start_offset: fetched.offsets.log_start.0,
        diverging_epoch: diverging.unwrap_or_default(),
        aborted_transactions: is_committed_only.then(Vec::new),
        records,
        ..PartitionData::default()
    }
}

/// Adds a partition under its topic; the parts of a topic follow on each other.
fn push(response: &mut FetchResponse, key: FetchKey, data: PartitionData) {
    let (topic, topic_id) = match key.topic {
        TopicKey::Name(name) => (name, TopicId::NONE),
        TopicKey::Id(id) => (Str::default(), id),
    };
    match response.responses.last_mut() {
        Some(last) if last.topic == topic && last.topic_id == topic_id => {
            last.partitions.push(data);
        }
        _ => response.responses.push(FetchableTopicResponse {
            topic,
            topic_id,
            partitions: vec![data],
        }),
    }
}
