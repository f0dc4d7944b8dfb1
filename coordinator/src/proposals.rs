//! Between *propose* and *commit*: decided records on their way into the log, and the replies that
//! wait for them.
//!
//! ```text
//!              decide           propose                   append, durable / a majority
//!  command ───────────▶ Decision ──────▶ waiting: [a..b) [b..c) [c..d)  ──────────▶ take_committed ──▶ reply
//!              against                        │ replayed at once                      │ replayed then
//!              proposed ◀─────────────────────┘                     committed ◀───────┘
//! ```
//!
//! There are two states. Commands are decided against the *proposed* one, in which everything
//! proposed has already happened, so that two creations of one topic cannot both succeed while the
//! first waits for its disk write. Shards and clients are shown the *committed* one only, so that
//! nobody acts on what a crash could still take back. Every decision waits, also one without
//! records: it may have seen uncommitted records ("this topic already exists"), so its reply is
//! true only once those are committed.
//!
//! With one voter, committed means durable in this node's journal, and proposals are only withdrawn
//! when the log refuses them (a full disk). With Raft it means durable at a majority; then a leader
//! that loses its office takes [`Proposals::resign`], which drops the proposed state and hands back
//! the replies to refuse, and one that gains it builds a new `Proposals` on its committed state.
//! Neither touches the machine. Holding two states costs the metadata twice (some 200 bytes a
//! partition), and makes withdrawing a clone.

#[cfg(test)]
mod tests;

use alloc::{collections::VecDeque, vec::Vec};
use core::ops::Range;

use protocol::Offset;

use crate::{
    limits::{PROPOSALS_MAX, RECORDS_PER_DECISION_MAX},
    metadata::{Command, Decision, Metadata, MetadataRecord, ReplayError, WallMillis},
};

/// The queue of decisions between propose and commit; `R` is a reply and the way back to who asked.
#[derive(Debug)]
pub struct Proposals<R> {
    committed: Metadata,
    proposed: Metadata,
    /// Invariant: replaying these into `committed` gives `proposed`; their offsets are contiguous
    /// up to `next_offset`.
    waiting: VecDeque<Waiting<R>>,
    /// The offset of the next record that is proposed.
    next_offset: Offset,
    /// Every record below is committed. Invariant: at most `next_offset`.
    committed_end: Offset,
}

#[derive(Debug)]
struct Waiting<R> {
    offsets: Range<Offset>,
    records: Vec<MetadataRecord>,
    reply: R,
}

/// A decision that is committed: its records are for the shards, its reply for who asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Committed<R> {
    pub offsets: Range<Offset>,
    pub records: Vec<MetadataRecord>,
    pub reply: R,
}

impl<R> Proposals<R> {
    /// On a state that holds every record of the log below `next_offset`, all of them committed.
    pub fn new(committed: Metadata, next_offset: Offset) -> Self {
        let proposed = committed.clone();
        let waiting = VecDeque::new();
        Self { committed, proposed, waiting, next_offset, committed_end: next_offset }
    }

    /// What shards and clients may see.
    pub fn committed(&self) -> &Metadata {
        &self.committed
    }

    /// What commands are decided against.
    pub fn proposed(&self) -> &Metadata {
        &self.proposed
    }

    /// Whether another decision may be proposed; ask before deciding.
    pub fn has_room(&self) -> bool {
        self.waiting.len() < PROPOSALS_MAX
    }

    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Decides a command with everything that is proposed already in effect.
    pub fn decide<C: Command>(
        &self,
        now: WallMillis,
        command: &C,
    ) -> Result<Decision<C::Reply>, C::Error> {
        self.proposed.decide(now, command)
    }

    /// Takes a decision that was made just now. The caller appends its records to the log, as one
    /// batch at the returned offsets (none, if they are empty), in the order of the calls.
    pub fn on_propose(&mut self, records: Vec<MetadataRecord>, reply: R) -> Range<Offset> {
        assert!(self.has_room(), "the caller asks for room before it decides");
        assert!(records.len() <= RECORDS_PER_DECISION_MAX, "a decision is within its limit");
        let count = i64::try_from(records.len()).expect("a bounded count");
        let end = Offset(self.next_offset.0.checked_add(count).expect("offsets do not wrap"));
        for record in &records {
            replay_decided(&mut self.proposed, record);
        }
        let offsets = self.next_offset..end;
        self.waiting.push_back(Waiting { offsets: offsets.clone(), records, reply });
        self.next_offset = end;
        offsets
    }

    /// Records below `end` are committed. Their decisions come out of [`Self::take_committed`].
    pub fn on_committed(&mut self, end: Offset) {
        assert!(end <= self.next_offset, "only what was proposed can be committed");
        assert!(end >= self.committed_end, "what is committed stays so");
        self.committed_end = end;
    }

    /// The next decision, in order, whose records and all before them are committed; also in effect
    /// from now on.
    pub fn take_committed(&mut self) -> Option<Committed<R>> {
        self.waiting.front().filter(|front| front.offsets.end <= self.committed_end)?;
        let Waiting { offsets, records, reply } = self.waiting.pop_front()?;
        for record in &records {
            replay_decided(&mut self.committed, record);
        }
        Some(Committed { offsets, records, reply })
    }

    /// The log refused the batch at `from`: it and all decisions after it never happened, so the
    /// caller appends none of them. Returns their replies, which are to be refused.
    pub fn on_refused(&mut self, from: Offset) -> Vec<R> {
        assert!(from >= self.committed_end, "committed records cannot be refused");
        let kept = self.waiting.partition_point(|waiting| waiting.offsets.end <= from);
        let whole = self.waiting.get(kept).is_none_or(|first| first.offsets.start == from);
        assert!(whole, "a decision is refused as a whole");
        let refused: Vec<R> = self.waiting.drain(kept..).map(|waiting| waiting.reply).collect();
        self.proposed = self.committed.clone();
        for record in self.waiting.iter().flat_map(|waiting| &waiting.records) {
            replay_decided(&mut self.proposed, record);
        }
        self.next_offset = self.waiting.back().map_or(self.committed_end, |last| last.offsets.end);
        refused
    }

    /// Gives up deciding: the committed state, and the replies to refuse.
    pub fn resign(self) -> (Metadata, Vec<R>) {
        (self.committed, self.waiting.into_iter().map(|waiting| waiting.reply).collect())
    }

    /// Asserts what must hold after every step.
    pub fn invariants(&self) {
        self.committed.invariants();
        self.proposed.invariants();
        let mut end = self.waiting.front().map_or(self.next_offset, |first| first.offsets.start);
        assert!(self.committed_end <= self.next_offset, "commits follow proposals");
        for waiting in &self.waiting {
            assert_eq!(waiting.offsets.start, end, "offsets are contiguous");
            let records = i64::try_from(waiting.records.len()).expect("a bounded count");
            assert_eq!(waiting.offsets.end.0 - waiting.offsets.start.0, records, "and dense");
            end = waiting.offsets.end;
        }
        assert_eq!(end, self.next_offset, "up to the next offset");
    }
}

/// Rebuilds a machine from its log, before it decides anything.
pub fn recover<'a>(
    mut metadata: Metadata,
    records: impl IntoIterator<Item = &'a MetadataRecord>,
) -> Result<Metadata, ReplayError> {
    for record in records {
        metadata.replay(record)?;
    }
    Ok(metadata)
}

fn replay_decided(metadata: &mut Metadata, record: &MetadataRecord) {
    let replayed = metadata.replay(record);
    assert!(replayed.is_ok(), "a decided record fits the state it was decided on: {replayed:?}");
}
