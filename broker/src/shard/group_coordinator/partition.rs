//! One partition of `__consumer_offsets` and the groups in it: decisions become batches of its log, and answers
//! go when all that was decided before them is committed.
//!
//! ```text
//!   question ─► decide ─► records ─► replayed at once ─► the batch that forms ─► append ─► committed ─► answers
//! ```
//!
//! One batch is being appended at a time; what is decided meanwhile forms the next one. When the log refuses a
//! batch, the state is ahead of it: whoever waits is refused, and the state is loaded anew.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use coordinator::group::forget::Forgetting;
use coordinator::group::{
    Answer, DurableRecord, GroupDecision, GroupRecord, GroupSettings, Groups, Moment, Token,
};
use protocol::Offset;
use protocol::record_batch::{BatchBuilder, BatchOptions};

use super::question::{GroupQuestion, GroupRefused, GroupReply};
use crate::limits::{GROUP_BATCH_BYTES, GROUP_BATCHES_WAITING_MAX};
use crate::shard::mail::ReplyTo;

/// Answers that may be given.
pub(super) type Answers = Vec<(ReplyTo, GroupReply)>;

#[derive(Debug)]
pub(super) struct GroupPartition {
    pub(super) state: PartitionState,
    pub(super) groups: Groups,
    /// Who asked and has no answer yet.
    asking: BTreeMap<Token, ReplyTo>,
    /// The first one is in the engine if `is_appending`.
    batches: VecDeque<Batch>,
    is_appending: bool,
    /// Offsets of deleted topics that are still to be looked for.
    pub(super) forgetting: Option<Forgetting>,
}

/// How far a partition's groups are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PartitionState {
    /// Records below `next` are in `groups`; those below `end` have to be.
    Loading {
        next: Offset,
        end: Offset,
        is_reading: bool,
    },
    Active,
    /// The log cannot be read, or says what cannot be understood.
    Failed,
}

/// Whole decisions on their way into the log.
#[derive(Debug)]
struct Batch {
    records: BatchBuilder,
    answers: Vec<(Token, Answer)>,
}

impl Batch {
    fn new() -> Self {
        Self { records: BatchBuilder::new(BatchOptions::default()), answers: Vec::new() }
    }
}

impl GroupPartition {
    pub(super) fn new(settings: GroupSettings) -> Self {
        Self {
            state: PartitionState::Failed,
            groups: Groups::new(settings),
            asking: BTreeMap::new(),
            batches: VecDeque::new(),
            is_appending: false,
            forgetting: None,
        }
    }

    /// Begins to load from nothing. Whoever still waits is to be refused before.
    pub(super) fn begin_loading(
        &mut self,
        settings: GroupSettings,
        log_start: Offset,
        end: Offset,
    ) {
        assert!(self.asking.is_empty() && !self.is_appending, "nobody waits for what is forgotten");
        self.groups = Groups::new(settings);
        self.batches.clear();
        self.state = PartitionState::Loading { next: log_start, end, is_reading: false };
    }

    /// The log is read to its end.
    pub(super) fn activate(&mut self, now: Moment) {
        self.groups.on_loaded(now);
        // Topics may have gone meanwhile, or before a crash took what was decided then.
        self.forgetting.get_or_insert_default();
        self.state = PartitionState::Active;
    }

    pub(super) fn is_active(&self) -> bool {
        self.state == PartitionState::Active
    }

    /// When something is to be decided here without a question, in monotonic milliseconds.
    pub(super) fn deadline_ms(&self) -> Option<u64> {
        if self.can_forget() { Some(0) } else { self.timer_ms() }
    }

    /// When a timer of the groups ends.
    pub(super) fn timer_ms(&self) -> Option<u64> {
        let has_room = self.is_active() && self.has_room();
        has_room.then(|| self.groups.deadline_ms()).flatten()
    }

    /// Whether a step of the search for offsets of deleted topics can be taken.
    pub(super) fn can_forget(&self) -> bool {
        self.forgetting.is_some() && self.is_active() && self.has_room()
    }

    fn has_room(&self) -> bool {
        self.batches.len() < GROUP_BATCHES_WAITING_MAX
    }

    /// Gives the bytes that the answer holds, whenever it is given; `None`: there is none before others come.
    pub(super) fn ask(
        &mut self,
        now: Moment,
        token: Token,
        reply: ReplyTo,
        mut question: GroupQuestion,
        out: &mut Answers,
    ) -> Option<usize> {
        let refused = match self.state {
            PartitionState::Loading { .. } => Some(GroupRefused::Loading),
            PartitionState::Active if self.has_room() => None,
            PartitionState::Active | PartitionState::Failed => Some(GroupRefused::Unavailable),
        };
        if let Some(refused) = refused {
            out.push((reply, Err(refused)));
            return Some(0);
        }
        question.set_token(token);
        self.asking.insert(token, reply);
        loop {
            let decision = question.decide(&self.groups, now);
            let mine = decision.answers.iter().find(|(to, _)| *to == token);
            let bytes = mine.map(|(_, answer)| answer.bytes());
            let has_answered = self.take(now, decision, out);
            // A group with very many offsets is deleted in several decisions.
            if has_answered || !matches!(question, GroupQuestion::DeleteGroup(_)) {
                return bytes;
            }
        }
    }

    /// Decides what happens by itself. False: nothing did.
    pub(super) fn decide_alone(
        &mut self,
        now: Moment,
        decide: impl FnOnce(&Groups) -> GroupDecision,
        out: &mut Answers,
    ) -> bool {
        let decision = decide(&self.groups);
        let is_something = !decision.records.is_empty() || !decision.answers.is_empty();
        self.take(now, decision, out);
        is_something
    }

    /// Puts a decision into effect; whether it answered anybody.
    fn take(&mut self, now: Moment, decision: GroupDecision, out: &mut Answers) -> bool {
        let GroupDecision { records, answers } = decision;
        let durable: Option<Vec<_>> = records.iter().filter_map(durable).map(encoded).collect();
        let Some(durable) = durable else {
            // No member can say anything that a record cannot: a defect, and better told than written.
            let replies = answers.into_iter().filter_map(|(token, _)| self.asking.remove(&token));
            out.extend(replies.map(|reply| (reply, Err(GroupRefused::Unavailable))));
            return true;
        };
        let has_answered = !answers.is_empty();
        if !durable.is_empty() {
            let batch = self.forming();
            for (key, value) in durable {
                batch.records.push(now.wall.0, Some(&key), value.as_deref(), &[]);
            }
        }
        for record in &records {
            self.groups.replay(record);
        }
        match self.batches.back_mut() {
            Some(batch) => batch.answers.extend(answers),
            None => self.give(answers, out),
        }
        has_answered
    }

    /// The batch that takes the next decision.
    fn forming(&mut self) -> &mut Batch {
        let is_taken = |at: usize, batch: &Batch| {
            (at == 0 && self.is_appending) || batch.records.length() >= GROUP_BATCH_BYTES
        };
        let last = self.batches.len().checked_sub(1);
        if last.is_none_or(|at| is_taken(at, &self.batches[at])) {
            self.batches.push_back(Batch::new());
        }
        self.batches.back_mut().expect("there is one now")
    }

    fn give(&mut self, answers: Vec<(Token, Answer)>, out: &mut Answers) {
        for (token, answer) in answers {
            if let Some(reply) = self.asking.remove(&token) {
                out.push((reply, Ok(answer)));
            }
        }
    }

    /// The batch to append now, if none is on its way.
    pub(super) fn next_batch(&mut self) -> Option<Bytes> {
        if self.is_appending {
            return None;
        }
        let first = self.batches.front_mut()?;
        self.is_appending = true;
        let empty = BatchBuilder::new(BatchOptions::default());
        Some(Bytes::from(std::mem::replace(&mut first.records, empty).finish()))
    }

    /// The batch is in the log: its answers may be given.
    pub(super) fn on_committed(&mut self, out: &mut Answers) {
        self.is_appending = false;
        let batch = self.batches.pop_front().expect("it was being appended");
        self.give(batch.answers, out);
    }

    /// The log did not take the batch, or it is not ours any more: whoever waits has to find out where to ask.
    pub(super) fn refuse_all(&mut self, why: GroupRefused, out: &mut Answers) {
        self.is_appending = false;
        self.batches.clear();
        let asking = std::mem::take(&mut self.asking);
        out.extend(asking.into_values().map(|reply| (reply, Err(why))));
    }

    pub(super) fn invariants(&self) {
        self.groups.invariants();
        assert!(!self.is_appending || !self.batches.is_empty(), "what is appended is known");
        assert!(self.is_active() || self.asking.is_empty(), "only who can be answered waits");
    }
}

fn durable(record: &GroupRecord) -> Option<&DurableRecord> {
    match record {
        GroupRecord::Durable(record) => Some(record),
        GroupRecord::Live(_) => None,
    }
}

fn encoded(record: &DurableRecord) -> Option<(Bytes, Option<Bytes>)> {
    let record = record.encode().ok()?;
    Some((record.key, record.value))
}
