//! Fetch sessions (KIP-227): a client says once which partitions it reads, then only what changes; answers
//! name only partitions that have something to say.
//!
//! Sessions live on their connection's shard, bounded in number and in partitions. Where there is no room
//! a client gets session id 0 and goes on with full fetches, which is legal.

use std::collections::BTreeMap;

use coordinator::limits::TOPIC_NAME_BYTES_MAX;
use net::ConnectionId;
use protocol::messages::fetch::{FetchPartition, FetchRequest};
use protocol::{Offset, Str, TopicId};

use crate::limits::{FETCH_SESSION_KEPT_MS, FETCH_SESSION_PARTITIONS_MAX};

/// Why a session cannot be used; the client then begins a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionError {
    NotFound,
    WrongEpoch,
    /// It was begun with topic names and is continued with ids, or the other way round.
    TopicIdsMixed,
}

/// A topic as the request names it. Owns its bytes: it outlives the frame.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TopicKey {
    Name(Str),
    Id(TopicId),
}

/// A partition as the request names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FetchKey {
    pub(crate) topic: TopicKey,
    pub(crate) index: i32,
}

/// What a client wants of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) offset: i64,
    pub(crate) bytes_max: i32,
    pub(crate) current_leader_epoch: i32,
    pub(crate) last_fetched_epoch: i32,
}

impl From<&FetchPartition> for Wanted {
    fn from(partition: &FetchPartition) -> Self {
        Self {
            offset: partition.fetch_offset,
            bytes_max: partition.partition_max_bytes,
            current_leader_epoch: partition.current_leader_epoch,
            last_fetched_epoch: partition.last_fetched_epoch,
        }
    }
}

/// How a request uses sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionUse {
    /// All partitions in the request, all in the answer.
    Without,
    /// As without, and this session begins.
    Begun { id: i32 },
    /// The session's partitions; in the answer those with news.
    Continued { id: i32 },
}

impl SessionUse {
    pub(crate) fn id(self) -> i32 {
        match self {
            Self::Without => 0,
            Self::Begun { id } | Self::Continued { id } => id,
        }
    }
}

#[derive(Debug)]
struct Known {
    key: FetchKey,
    wanted: Wanted,
    /// High watermark and log start as the client knows them.
    told: Option<(Offset, Offset)>,
}

#[derive(Debug)]
struct Session {
    /// The epoch that the next request has.
    epoch: i32,
    by_id: bool,
    connection: ConnectionId,
    used_ms: u64,
    /// In the order in which they are read: who had records goes to the end.
    partitions: BTreeMap<u64, Known>,
    places: BTreeMap<FetchKey, u64>,
    next_place: u64,
}

/// A session on its way to another shard.
#[derive(Debug)]
pub(crate) struct MovedSession {
    id: i32,
    session: Session,
}

impl Session {
    fn put(&mut self, key: FetchKey, wanted: Wanted) -> bool {
        if let Some(place) = self.places.get(&key) {
            let known = self.partitions.get_mut(place).expect("places lead to partitions");
            known.wanted = wanted;
            return false;
        }
        let place = self.next_place;
        self.next_place += 1;
        self.places.insert(key.clone(), place);
        self.partitions.insert(place, Known { key, wanted, told: None });
        true
    }

    fn forget(&mut self, key: &FetchKey) -> bool {
        let Some(place) = self.places.remove(key) else { return false };
        self.partitions.remove(&place).is_some()
    }

    fn move_to_end(&mut self, place: u64) {
        let known = self.partitions.remove(&place).expect("the caller looked it up");
        let end = self.next_place;
        self.next_place += 1;
        self.places.insert(known.key.clone(), end);
        self.partitions.insert(end, known);
    }
}

/// What an answer says of a partition, as far as sessions care.
#[derive(Clone, Copy, Debug)]
pub(crate) struct News {
    pub(crate) high_watermark: Offset,
    pub(crate) log_start: Offset,
    pub(crate) has_records: bool,
    /// An error, or a diverging epoch.
    pub(crate) is_exception: bool,
}

#[derive(Debug)]
pub(crate) struct FetchSessions {
    sessions_max: usize,
    sessions: BTreeMap<i32, Session>,
    partitions: usize,
}

/// A request as sessions see it.
pub(crate) struct SessionRequest<'a> {
    pub(crate) body: &'a FetchRequest,
    pub(crate) by_id: bool,
    pub(crate) connection: ConnectionId,
    pub(crate) now_ms: u64,
}

const EPOCH_FINAL: i32 = -1;
const EPOCH_INITIAL: i32 = 0;

impl FetchSessions {
    pub(crate) fn new(sessions_max: usize) -> Self {
        Self { sessions_max, sessions: BTreeMap::new(), partitions: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.sessions.len()
    }

    pub(crate) fn partitions(&self) -> usize {
        self.partitions
    }

    /// What a request means; `draw_id` gives random ids.
    pub(crate) fn on_request(
        &mut self,
        request: &SessionRequest<'_>,
        mut draw_id: impl FnMut() -> i32,
    ) -> Result<SessionUse, SessionError> {
        let body = request.body;
        match body.session_epoch {
            EPOCH_FINAL => {
                self.remove(body.session_id);
                Ok(SessionUse::Without)
            }
            EPOCH_INITIAL => {
                self.remove(body.session_id);
                let wanted = partitions_named(body);
                let is_kept = wanted > 0 && !names_what_cannot_be(body);
                if !is_kept || !self.make_room(wanted, request.now_ms) {
                    return Ok(SessionUse::Without);
                }
                let mut id = draw_id();
                while self.sessions.contains_key(&id) {
                    id = draw_id();
                }
                self.begin(id, request);
                Ok(SessionUse::Begun { id })
            }
            epoch => self.go_on(epoch, request),
        }
    }

    fn begin(&mut self, id: i32, request: &SessionRequest<'_>) {
        let mut session = Session {
            epoch: 1,
            by_id: request.by_id,
            connection: request.connection,
            used_ms: request.now_ms,
            partitions: BTreeMap::new(),
            places: BTreeMap::new(),
            next_place: 0,
        };
        for (key, wanted) in named(request.body, request.by_id) {
            self.partitions += usize::from(session.put(key, wanted));
        }
        self.sessions.insert(id, session);
    }

    fn go_on(
        &mut self,
        epoch: i32,
        request: &SessionRequest<'_>,
    ) -> Result<SessionUse, SessionError> {
        let id = request.body.session_id;
        let session = self.sessions.get_mut(&id).ok_or(SessionError::NotFound)?;
        if session.epoch != epoch {
            return Err(SessionError::WrongEpoch);
        }
        if session.by_id != request.by_id {
            return Err(SessionError::TopicIdsMixed);
        }
        let named_now = partitions_named(request.body);
        let is_too_much =
            named_now > 0 && self.partitions + named_now > FETCH_SESSION_PARTITIONS_MAX;
        if is_too_much || names_what_cannot_be(request.body) {
            // It may begin anew, with a full fetch, which is given a session if there is room.
            self.remove(id);
            return Err(SessionError::NotFound);
        }
        session.epoch = if epoch == i32::MAX { 1 } else { epoch + 1 };
        session.used_ms = request.now_ms;
        session.connection = request.connection;
        for topic in &request.body.forgotten_topics_data {
            let topic_key = topic_key(&topic.topic, topic.topic_id, request.by_id);
            for index in &topic.partitions {
                let key = FetchKey { topic: topic_key.clone(), index: *index };
                self.partitions -= usize::from(session.forget(&key));
            }
        }
        for (key, wanted) in named(request.body, request.by_id) {
            self.partitions += usize::from(session.put(key, wanted));
        }
        Ok(SessionUse::Continued { id })
    }

    /// A session's partitions in the order in which they are read.
    pub(crate) fn wanted(&self, id: i32) -> Vec<(FetchKey, Wanted)> {
        let Some(session) = self.sessions.get(&id) else { return Vec::new() };
        session.partitions.values().map(|known| (known.key.clone(), known.wanted)).collect()
    }

    /// Notes what an answer is about to say; whether the client needs to be told.
    pub(crate) fn on_answer(&mut self, used: SessionUse, key: &FetchKey, news: News) -> bool {
        let (id, is_full) = match used {
            SessionUse::Without => return true,
            SessionUse::Begun { id } => (id, true),
            SessionUse::Continued { id } => (id, false),
        };
        let Some(session) = self.sessions.get_mut(&id) else { return true };
        let Some(place) = session.places.get(key).copied() else { return true };
        let known = session.partitions.get_mut(&place).expect("places lead to partitions");
        let tell = (news.high_watermark, news.log_start);
        let is_new = known.told != Some(tell);
        // After an exception the watermarks are told again, whatever they are.
        known.told = (!news.is_exception).then_some(tell);
        if news.has_records {
            session.move_to_end(place);
        }
        is_full || is_new || news.has_records || news.is_exception
    }

    /// The connection is gone: its client begins a new session on its next one.
    pub(crate) fn on_closed(&mut self, connection: ConnectionId) {
        let sessions = self.sessions.iter();
        let of_it = sessions.filter(|(_, session)| session.connection == connection);
        let of_it: Vec<i32> = of_it.map(|(id, _)| *id).collect();
        for id in of_it {
            self.remove(id);
        }
    }

    /// The sessions of a connection that goes to another shard.
    pub(crate) fn take_of(&mut self, connection: ConnectionId) -> Vec<MovedSession> {
        let of_it = |(_, session): &(&i32, &Session)| session.connection == connection;
        let ids: Vec<i32> = self.sessions.iter().filter(of_it).map(|(id, _)| *id).collect();
        let mut taken = Vec::new();
        for id in ids {
            let session = self.sessions.remove(&id).expect("it was just found");
            self.partitions -= session.partitions.len();
            taken.push(MovedSession { id, session });
        }
        taken
    }

    /// The sessions of a connection that was another shard's. Where there is no room for one, or another has
    /// its number, its client is told that it is not found, and begins a new one.
    pub(crate) fn put_back(&mut self, connection: ConnectionId, sessions: Vec<MovedSession>) {
        for MovedSession { id, mut session } in sessions {
            let partitions = session.partitions.len();
            let has_room = self.sessions.len() < self.sessions_max
                && self.partitions + partitions <= FETCH_SESSION_PARTITIONS_MAX;
            if has_room && !self.sessions.contains_key(&id) {
                session.connection = connection;
                self.partitions += partitions;
                self.sessions.insert(id, session);
            }
        }
    }

    fn remove(&mut self, id: i32) {
        if let Some(session) = self.sessions.remove(&id) {
            self.partitions -= session.partitions.len();
        }
    }

    /// Evicts sessions that nobody used for long, the longest unused first.
    fn make_room(&mut self, partitions: usize, now_ms: u64) -> bool {
        if partitions > FETCH_SESSION_PARTITIONS_MAX {
            return false;
        }
        while self.sessions.len() >= self.sessions_max
            || self.partitions + partitions > FETCH_SESSION_PARTITIONS_MAX
        {
            let oldest = self.sessions.iter().min_by_key(|(_, session)| session.used_ms);
            let Some((id, session)) = oldest else { return false };
            if session.used_ms + FETCH_SESSION_KEPT_MS > now_ms {
                return false;
            }
            let id = *id;
            self.remove(id);
        }
        true
    }
}

/// The partitions that a request names.
pub(crate) fn named(
    body: &FetchRequest,
    by_id: bool,
) -> impl Iterator<Item = (FetchKey, Wanted)> + '_ {
    body.topics.iter().flat_map(move |topic| {
        let topic_key = topic_key(&topic.topic, topic.topic_id, by_id);
        topic.partitions.iter().map(move |partition| {
            let key = FetchKey { topic: topic_key.clone(), index: partition.partition };
            (key, Wanted::from(partition))
        })
    })
}

fn partitions_named(body: &FetchRequest) -> usize {
    body.topics.iter().map(|topic| topic.partitions.len()).sum()
}

/// No topic has so long a name, and sessions keep names.
fn names_what_cannot_be(body: &FetchRequest) -> bool {
    body.topics.iter().any(|topic| topic.topic.len() > TOPIC_NAME_BYTES_MAX)
}

fn topic_key(name: &Str, id: TopicId, by_id: bool) -> TopicKey {
    if by_id { TopicKey::Id(id) } else { TopicKey::Name(name.detached()) }
}

#[cfg(test)]
mod tests {
    use net::ConnectionId;
    use protocol::messages::fetch::{FetchPartition, FetchRequest, FetchTopic, ForgottenTopic};
    use protocol::{Offset, Str};

    use super::{
        FETCH_SESSION_KEPT_MS, FETCH_SESSION_PARTITIONS_MAX, FetchKey, FetchSessions, News,
        SessionError, SessionRequest, SessionUse, TopicKey,
    };

    const SESSIONS_MAX: usize = 100;

    fn request(id: i32, epoch: i32, partitions: &[i32]) -> FetchRequest {
        let partition = |index: &i32| FetchPartition { partition: *index, ..Default::default() };
        let topic = FetchTopic {
            topic: Str::from("t"),
            partitions: partitions.iter().map(partition).collect(),
            ..Default::default()
        };
        let topics = if partitions.is_empty() { vec![] } else { vec![topic] };
        FetchRequest { session_id: id, session_epoch: epoch, topics, ..Default::default() }
    }

    fn ask(
        sessions: &mut FetchSessions,
        body: &FetchRequest,
        id: i32,
    ) -> Result<SessionUse, SessionError> {
        let connection = ConnectionId::new(1, 1);
        let request = SessionRequest { body, by_id: false, connection, now_ms: 0 };
        sessions.on_request(&request, || id)
    }

    fn key(index: i32) -> FetchKey {
        FetchKey { topic: TopicKey::Name(Str::from("t")), index }
    }

    fn news(high_watermark: i64, has_records: bool) -> News {
        let (high_watermark, log_start) = (Offset(high_watermark), Offset(0));
        News { high_watermark, log_start, has_records, is_exception: false }
    }

    #[test]
    fn a_session_goes_on_with_the_next_epoch_only() {
        let mut sessions = FetchSessions::new(SESSIONS_MAX);
        let begun = ask(&mut sessions, &request(0, 0, &[0, 1]), 7);
        assert_eq!(begun, Ok(SessionUse::Begun { id: 7 }));
        assert_eq!(ask(&mut sessions, &request(8, 1, &[]), 9), Err(SessionError::NotFound));
        assert_eq!(ask(&mut sessions, &request(7, 2, &[]), 9), Err(SessionError::WrongEpoch));
        let went_on = ask(&mut sessions, &request(7, 1, &[]), 9);
        assert_eq!(went_on, Ok(SessionUse::Continued { id: 7 }));
        assert_eq!(ask(&mut sessions, &request(7, 1, &[]), 9), Err(SessionError::WrongEpoch));
        let body = request(7, 2, &[]);
        let connection = ConnectionId::new(1, 1);
        let by_id = SessionRequest { body: &body, by_id: true, connection, now_ms: 0 };
        assert_eq!(sessions.on_request(&by_id, || 9), Err(SessionError::TopicIdsMixed));
        assert_eq!(ask(&mut sessions, &request(7, -1, &[]), 9), Ok(SessionUse::Without));
        assert_eq!((sessions.len(), sessions.partitions()), (0, 0));
    }

    #[test]
    fn an_answer_tells_what_changed_and_who_had_records_waits_for_the_others() {
        let mut sessions = FetchSessions::new(SESSIONS_MAX);
        let begun = ask(&mut sessions, &request(0, 0, &[0, 1, 2]), 7).unwrap();
        for index in 0..3 {
            assert!(sessions.on_answer(begun, &key(index), news(5, false)), "all in the first");
        }
        let next = ask(&mut sessions, &request(7, 1, &[]), 9).unwrap();
        assert!(!sessions.on_answer(next, &key(0), news(5, false)), "nothing new");
        assert!(sessions.on_answer(next, &key(1), news(6, false)), "the watermark moved");
        assert!(sessions.on_answer(next, &key(0), news(5, true)), "records");
        let order: Vec<i32> = sessions.wanted(7).iter().map(|wanted| wanted.0.index).collect();
        assert_eq!(order, [1, 2, 0]);
        let exception = News { is_exception: true, ..news(5, false) };
        assert!(sessions.on_answer(next, &key(2), exception));
        assert!(sessions.on_answer(next, &key(2), news(5, false)), "told again after an error");
    }

    #[test]
    fn partitions_are_added_and_forgotten() {
        let mut sessions = FetchSessions::new(SESSIONS_MAX);
        ask(&mut sessions, &request(0, 0, &[0, 1]), 7).unwrap();
        let mut body = request(7, 1, &[1, 5]);
        body.forgotten_topics_data = vec![ForgottenTopic {
            topic: Str::from("t"),
            partitions: vec![0, 9],
            ..Default::default()
        }];
        ask(&mut sessions, &body, 9).unwrap();
        let order: Vec<i32> = sessions.wanted(7).iter().map(|wanted| wanted.0.index).collect();
        assert_eq!(order, [1, 5]);
        assert_eq!(sessions.partitions(), 2);
        sessions.on_closed(ConnectionId::new(1, 1));
        assert_eq!((sessions.len(), sessions.partitions()), (0, 0));
    }

    #[test]
    fn a_session_does_not_grow_without_bound() {
        let mut sessions = FetchSessions::new(SESSIONS_MAX);
        ask(&mut sessions, &request(0, 0, &[0]), 7).unwrap();
        let at_once: Vec<i32> = (0..30_000).collect();
        let mut epoch = 1;
        let ended = loop {
            let first = epoch * 30_000;
            let partitions: Vec<i32> = at_once.iter().map(|index| first + index).collect();
            if let Err(error) = ask(&mut sessions, &request(7, epoch, &partitions), 9) {
                break error;
            }
            assert!(sessions.partitions() <= FETCH_SESSION_PARTITIONS_MAX);
            epoch += 1;
        };
        assert_eq!((ended, epoch), (SessionError::NotFound, 4));
        assert_eq!((sessions.len(), sessions.partitions()), (0, 0));
        let mut long = request(0, 0, &[0]);
        long.topics[0].topic = Str::from("t".repeat(250).as_str());
        assert_eq!(ask(&mut sessions, &long, 7), Ok(SessionUse::Without), "no such name is kept");
    }

    #[test]
    fn a_session_goes_on_where_its_connection_goes() {
        let mut before = FetchSessions::new(SESSIONS_MAX);
        ask(&mut before, &request(0, 0, &[0, 1]), 7).unwrap();
        let moved = before.take_of(ConnectionId::new(1, 1));
        assert_eq!((before.len(), before.partitions()), (0, 0));
        let mut after = FetchSessions::new(SESSIONS_MAX);
        after.put_back(ConnectionId::new(4, 2), moved);
        assert_eq!((after.len(), after.partitions()), (1, 2));
        let went_on = ask(&mut after, &request(7, 1, &[]), 9);
        assert_eq!(went_on, Ok(SessionUse::Continued { id: 7 }));
        let again = after.take_of(ConnectionId::new(1, 1));
        ask(&mut before, &request(0, 0, &[5]), 7).unwrap();
        before.put_back(ConnectionId::new(9, 9), again);
        assert_eq!((before.len(), before.partitions()), (1, 1), "the number was taken");
    }

    #[test]
    fn a_cache_without_slots_gives_no_session() {
        let mut sessions = FetchSessions::new(0);
        assert_eq!(ask(&mut sessions, &request(0, 0, &[0]), 7), Ok(SessionUse::Without));
    }

    #[test]
    fn a_full_cache_gives_no_session_until_one_is_old() {
        let mut sessions = FetchSessions::new(SESSIONS_MAX);
        let full = i32::try_from(SESSIONS_MAX).unwrap();
        for id in 1..=full {
            ask(&mut sessions, &request(0, 0, &[0]), id).unwrap();
        }
        let body = request(0, 0, &[0]);
        assert_eq!(ask(&mut sessions, &body, full + 1), Ok(SessionUse::Without));
        let connection = ConnectionId::new(2, 1);
        let now_ms = FETCH_SESSION_KEPT_MS;
        let later = SessionRequest { body: &body, by_id: false, connection, now_ms };
        let used = sessions.on_request(&later, || full + 1);
        assert_eq!(used, Ok(SessionUse::Begun { id: full + 1 }));
        assert_eq!(sessions.len(), SESSIONS_MAX);
    }
}
