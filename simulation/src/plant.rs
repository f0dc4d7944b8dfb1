//! The planted faults: rules that are broken on purpose, each of which a run must find. A simulation
//! that does not find them proves nothing without them.

use broker::engine::config::{Durability, LogConfig};
use broker::protocol::ErrorCode;

use crate::disk::{JournalEdit, Planted};
use crate::options::WorldKind;

macro_rules! plants {
    ($($(#[doc = $doc:literal])+ $plant:ident $name:literal,)+) => {
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub(crate) enum Plant {
            #[default]
            Nothing,
            $($(#[doc = $doc])+ $plant,)+
        }

        impl Plant {
            pub(crate) const ALL: &[Self] = &[$(Self::$plant,)+];

            pub(crate) fn name(self) -> &'static str {
                match self {
                    Self::Nothing => "nothing",
                    $(Self::$plant => $name,)+
                }
            }
        }
    };
}

plants! {
    /// Acknowledges at the log end: when the journal write is submitted.
    AcknowledgedAtLogEnd "acknowledge-at-log-end",
    /// Every topic has durability=memory, and its clients were told nothing of it.
    MemoryTopics "memory-topics",
    /// RWF_DSYNC is ignored.
    DurableWritesArePlain "no-dsync",
    /// fsync of files does nothing.
    NoFileSync "no-file-sync",
    /// fsync of directories does nothing.
    NoDirectorySync "no-directory-sync",
    /// The pointer joins the journal before its run is in the segment.
    PointerBeforeData "pointer-before-data",
    /// A checkpoint states segments that it did not sync.
    CheckpointWithoutSync "checkpoint-without-sync",
    /// A journal file is cleared when it is full, not when a checkpoint lets it go.
    RecycleBeforeCheckpoint "recycle-before-checkpoint",
    /// A header lets go of groups that no checkpoint covers.
    LiveStartRunsAhead "live-start-runs-ahead",
    /// Unfinished last blocks are not logged again before their journal file is recycled.
    NoFragments "no-fragments",
    /// The producers' snapshot is not written before a journal file is recycled.
    NoSnapshot "no-snapshot",
    /// The producers' snapshot is written and not synced before a journal file is recycled.
    SnapshotWithoutSync "snapshot-without-sync",
    /// A rolled segment's last block is not written.
    NoLastBlock "no-last-block",
    /// The log start moves in memory alone.
    NoLogStart "no-log-start",
    /// Every hole in the journal is taken for a torn tail. Found with bit flips.
    NaiveTornTail "naive-torn-tail",
    /// A start removes the old journals before its own opening is durable.
    OldJournalsGoFirst "old-journals-go-first",
    /// Every start calls itself the first.
    IncarnationsAreReused "incarnations-are-reused",
    /// A cleaned segment takes the place of the old ones before it is durable.
    CleanedWithoutSync "cleaned-without-sync",
    /// The old segments go before the word that a cleaned one replaces them is durable.
    CleanedWithoutDirectorySync "cleaned-names-not-synced",
    /// Commits that are refused are told to be done.
    CommitsAreLost "commits-are-lost",
    /// Members that are fenced are told that all is well.
    NobodyIsFenced "nobody-is-fenced",
    /// A partition is another's before its owner has given it back.
    HandedOnTooSoon "handed-on-too-soon",
}

/// A world in which a planted fault shows soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lure {
    Nothing,
    /// Bits flip at its end.
    Damage,
    /// Many runs go straight to their segments.
    LargeRuns,
    /// Journal files are recycled.
    Traffic,
    /// Segments roll.
    SmallSegments,
    /// Many starts.
    Starts,
    /// Every second topic is compacted.
    Compaction,
}

impl Plant {
    pub(crate) fn by_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|plant| plant.name() == name)
    }

    /// What the virtual disk does for it.
    pub(crate) fn disk(self) -> Planted {
        let edit = |edit| Planted { journal_edit: Some(edit), ..Planted::default() };
        let none = Planted::default();
        match self {
            Self::Nothing
            | Self::MemoryTopics
            | Self::OldJournalsGoFirst
            | Self::IncarnationsAreReused
            | Self::CommitsAreLost
            | Self::NobodyIsFenced
            | Self::HandedOnTooSoon => none,
            Self::AcknowledgedAtLogEnd => Planted { journal_completes_early: true, ..none },
            Self::DurableWritesArePlain => Planted { durable_writes_are_plain: true, ..none },
            Self::NoFileSync => Planted { syncs_do_nothing: true, ..none },
            Self::NoDirectorySync => Planted { directory_syncs_do_nothing: true, ..none },
            Self::PointerBeforeData => Planted { bypass_completes_early: true, ..none },
            Self::CheckpointWithoutSync => Planted { checkpoints_do_not_sync: true, ..none },
            Self::RecycleBeforeCheckpoint => Planted { recycles_early: true, ..none },
            Self::LiveStartRunsAhead => edit(JournalEdit::LiveStartRunsAhead),
            Self::NoFragments => edit(JournalEdit::NoFragments),
            Self::NoSnapshot => Planted { snapshots_are_left_out: true, ..none },
            Self::SnapshotWithoutSync => Planted { snapshots_are_not_synced: true, ..none },
            Self::NoLastBlock => Planted { last_blocks_are_left_out: true, ..none },
            Self::CleanedWithoutSync => Planted { cleaned_files_are_not_synced: true, ..none },
            Self::CleanedWithoutDirectorySync => {
                Planted { cleaner_syncs_no_directory: true, ..none }
            }
            Self::NoLogStart => edit(JournalEdit::NoLogStarts),
            Self::NaiveTornTail => edit(JournalEdit::NoAcknowledgedEnd),
        }
    }

    /// Those that have to find it.
    pub(crate) fn worlds(self) -> &'static [WorldKind] {
        match self {
            Self::CommitsAreLost | Self::NobodyIsFenced | Self::HandedOnTooSoon => {
                &[WorldKind::Groups]
            }
            _ => &[WorldKind::Engine, WorldKind::Node],
        }
    }

    /// What a member hears of a commit.
    pub(crate) fn commit_answer(self, code: i16) -> i16 {
        if self == Self::CommitsAreLost { ErrorCode::None.code() } else { code }
    }

    /// What a member hears of its heartbeat.
    pub(crate) fn heartbeat_answer(self, code: i16) -> i16 {
        let is_fence = matches!(
            ErrorCode::from_code(code),
            Some(
                ErrorCode::UnknownMemberId
                    | ErrorCode::IllegalGeneration
                    | ErrorCode::RebalanceInProgress
                    | ErrorCode::FencedMemberEpoch
            )
        );
        if self == Self::NobodyIsFenced && is_fence { ErrorCode::None.code() } else { code }
    }

    pub(crate) fn topics_are_in_memory(self) -> bool {
        self == Self::MemoryTopics
    }

    /// What the node is told of a partition's configuration.
    pub(crate) fn config(self, known: &LogConfig) -> LogConfig {
        let mut config = known.clone();
        if self.topics_are_in_memory() {
            config.durability = Durability::Memory;
        }
        config
    }

    pub(crate) fn old_journals_go_first(self) -> bool {
        self == Self::OldJournalsGoFirst
    }

    pub(crate) fn incarnations_are_reused(self) -> bool {
        self == Self::IncarnationsAreReused
    }

    /// What brings it to light soonest.
    pub(crate) fn lure(self) -> Lure {
        match self {
            Self::NaiveTornTail => Lure::Damage,
            Self::PointerBeforeData => Lure::LargeRuns,
            Self::CheckpointWithoutSync
            | Self::RecycleBeforeCheckpoint
            | Self::LiveStartRunsAhead
            | Self::NoFragments
            | Self::NoSnapshot
            | Self::SnapshotWithoutSync => Lure::Traffic,
            Self::NoLastBlock => Lure::SmallSegments,
            Self::OldJournalsGoFirst => Lure::Starts,
            Self::CleanedWithoutSync | Self::CleanedWithoutDirectorySync => Lure::Compaction,
            _ => Lure::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Plant;

    #[test]
    fn every_planted_fault_has_a_name_of_its_own() {
        for plant in Plant::ALL {
            assert_eq!(Plant::by_name(plant.name()), Some(*plant));
        }
        assert!(Plant::ALL.len() >= 12);
        assert!(Plant::ALL.iter().all(|plant| !plant.worlds().is_empty()));
    }
}
