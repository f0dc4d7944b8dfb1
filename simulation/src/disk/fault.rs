//! What goes wrong on purpose.

use std::path::{Path, PathBuf};

/// Rules of the disk that are broken for a negative control: a simulation that does not find a loss
/// with one of these proves nothing without.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Planted {
    /// RWF_DSYNC is taken for a plain write.
    pub(crate) durable_writes_are_plain: bool,
    /// Syncs of files do nothing.
    pub(crate) syncs_do_nothing: bool,
    /// Syncs of directories do nothing.
    pub(crate) directory_syncs_do_nothing: bool,
    /// Syncs of the whole file system do nothing.
    pub(crate) file_system_syncs_do_nothing: bool,
    /// The completion of a journal write is told when the write begins.
    pub(crate) journal_completes_early: bool,
    /// The completion of a large run's write is told when the write begins.
    pub(crate) bypass_completes_early: bool,
    /// A checkpoint does not sync the segments that it states.
    pub(crate) checkpoints_do_not_sync: bool,
    /// The state file with the producers is not written.
    pub(crate) snapshots_are_left_out: bool,
    /// The state file with the producers is not synced.
    pub(crate) snapshots_are_not_synced: bool,
    /// The last block of a finished segment is not written.
    pub(crate) last_blocks_are_left_out: bool,
    /// A journal file is cleared when the next one is begun, not when a checkpoint allows it.
    pub(crate) recycles_early: bool,
    /// What is changed in journal groups on their way to the disk.
    pub(crate) journal_edit: Option<JournalEdit>,
    /// The files of cleaned segments are not synced.
    pub(crate) cleaned_files_are_not_synced: bool,
    /// Log compaction does not sync directories.
    pub(crate) cleaner_syncs_no_directory: bool,
}

/// A rule of the journal that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JournalEdit {
    /// Unfinished last blocks are not logged again.
    NoFragments,
    /// Moves of the log start are not logged.
    NoLogStarts,
    /// No group says what was acknowledged: every hole is taken for a torn tail.
    NoAcknowledgedEnd,
    /// Groups say that nothing before them is needed, checkpoint or not.
    LiveStartRunsAhead,
}

/// What an operation is about to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    GoOn,
    /// EIO.
    Fail,
    /// The process is dying.
    Stop,
}

/// Faults to inject, counted over all operations of one file system.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    pub(super) planted: Planted,
    operations: u64,
    fail_at: Option<u64>,
    fail_files: Vec<PathBuf>,
    stop_at: Option<u64>,
}

impl Faults {
    /// The next operation but `after` fails with EIO.
    pub(super) fn fail_after(&mut self, after: u64) {
        self.fail_at = Some(self.operations + after);
    }

    /// Every operation on this file, or below this directory, fails with EIO.
    pub(super) fn fail_file(&mut self, path: &Path) {
        self.fail_files.push(path.to_owned());
    }

    /// `after` more operations happen, none after them.
    pub(super) fn stop_after(&mut self, after: u64) {
        self.stop_at = Some(self.operations + after);
    }

    pub(super) fn has_stopped(&self) -> bool {
        self.stop_at.is_some_and(|at| self.operations >= at)
    }

    /// A new process, a new disk.
    pub(super) fn clear(&mut self) {
        *self = Self { planted: self.planted, operations: self.operations, ..Self::default() };
    }

    /// Counts an operation on `path`.
    pub(super) fn judge(&mut self, path: &Path) -> Verdict {
        if self.stop_at.is_some_and(|at| self.operations >= at) {
            return Verdict::Stop;
        }
        let own = self.operations;
        self.operations += 1;
        let hit =
            self.fail_at == Some(own) || self.fail_files.iter().any(|file| path.starts_with(file));
        if hit { Verdict::Fail } else { Verdict::GoOn }
    }
}
