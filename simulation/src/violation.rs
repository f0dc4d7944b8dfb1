//! What the checkers find, by name.

use std::fmt;

/// One promise of the node that is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Checker {
    /// Every acknowledged append is there, at its offset.
    AcknowledgedIsThere,
    /// What was read once reads the same for ever.
    ReadStaysTrue,
    /// Every byte is one that a client sent to this partition.
    BytesAreThose,
    /// Offsets follow on each other without a gap.
    OffsetsAreDense,
    /// Batches stand in the order in which they were sent.
    OrderIsKept,
    /// A batch stands in the log once, and its duplicate is answered with the first offset.
    ExactlyOnce,
    /// An append that was refused never shows up.
    RefusedStaysOut,
    /// A request is only refused for a reason that exists.
    AnswersMakeSense,
    /// The high watermark never goes back behind what was seen.
    HighWatermarkHolds,
    /// A watermark that moved is told to whoever waits for it.
    MovesAreTold,
    /// The log start never goes back behind what was acknowledged, nor runs ahead.
    LogStartHolds,
    /// Leader epochs never go back, and every batch stands in the epoch that the history says.
    EpochsHold,
    /// What was created is there, what was deleted is not, and nothing else is.
    PartitionsAreThose,
    /// A power cut alone makes no partition suspect.
    NothingSuspect,
    /// A power cut alone makes no producer unknown.
    ProducersKnown,
    /// Files of finished segments are exact, and their indexes right.
    FilesAreWhole,
    /// A partition belongs to one member of a group at a time, and epochs go on.
    OneOwner,
    /// A commit that was acknowledged stays, until a newer one.
    CommitsHold,
    /// Recovery comes to an end.
    RecoveryWorks,
    /// What is asked is answered.
    Progress,
    /// Damage is served never, and told.
    DamageIsTold,
    /// Of each key of a compacted log the newest record is there.
    NewestOfKeyIsThere,
    /// What compaction took, and what a tombstone deleted, does not come back.
    CleanedStaysAway,
    /// A tombstone is there as long as it has to be.
    TombstonesStay,
}

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) checker: Checker,
    pub(crate) what: String,
}

pub(crate) type Checked<T = ()> = Result<T, Violation>;

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.checker, self.what)
    }
}

impl Checker {
    /// The violation of this checker.
    pub(crate) fn violated(self, what: impl Into<String>) -> Violation {
        Violation { checker: self, what: what.into() }
    }

    /// A violation unless `holds`.
    pub(crate) fn check(self, holds: bool, what: impl FnOnce() -> String) -> Checked {
        if holds { Ok(()) } else { Err(self.violated(what())) }
    }
}
