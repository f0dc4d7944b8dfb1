//! `rollback`: the journal backwards, where what is there is still ours.

use std::fs;
use std::io;
use std::path::Path;

use serde::Serialize;

use crate::changes::apply::boot_id;
use crate::changes::change::Change;
use crate::changes::journal::{Journaled, LockedJournal};
use crate::changes::journal_error::JournalError;
use crate::changes::kept::has_ended;
use crate::changes::owned_files::OwnedFile;
use crate::host_root::HostRoot;

/// What to do where somebody else has changed a setting since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Drifted {
    /// Say so and leave it, in the journal too.
    #[default]
    Report,
    /// Put back what was there before us.
    Restore,
    /// Leave it to whoever changed it, and forget it.
    Keep,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RolledBack {
    pub changes: Vec<RolledBackChange>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RolledBackChange {
    pub id: String,
    /// 0 where the journal does not know.
    pub run: u64,
    pub change: Change,
    #[serde(flatten)]
    pub state: RolledBackState,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum RolledBackState {
    Restored,
    /// It was as before already: never written, or set anew by a start of the machine.
    Already,
    /// It ended with an earlier start of the machine: what is there now is not ours, and is left as it is.
    Ended,
    /// The device is gone, and its settings with it.
    Gone,
    /// Left as somebody else made it; still in the journal unless `kept`.
    Drifted {
        actual: String,
        kept: bool,
    },
    Failed {
        error: String,
    },
}

impl RolledBack {
    /// Whether something is left to undo.
    pub fn is_incomplete(&self) -> bool {
        self.changes.iter().any(|change| {
            matches!(
                change.state,
                RolledBackState::Drifted { kept: false, .. } | RolledBackState::Failed { .. }
            )
        })
    }
}

/// Undoes the runs after `to`, or all.
pub fn rollback(
    host: &HostRoot,
    state: &Path,
    to: Option<u64>,
    drifted: Drifted,
) -> Result<RolledBack, JournalError> {
    if is_untouched(host, state) {
        return Ok(RolledBack { changes: Vec::new() });
    }
    let mut journal = LockedJournal::open(state)?;
    let boot = boot_id(host);
    let mut changes = Vec::new();
    let mut settled_files = Vec::new();
    for Due { entry, end } in due(host, journal.live(), to, boot.as_deref()) {
        let state = match end {
            End::Before => RolledBackState::Ended,
            End::Now | End::NowOrGone => undo(host, &entry, end, boot.as_deref(), drifted),
        };
        let is_settled = match &state {
            RolledBackState::Restored
            | RolledBackState::Already
            | RolledBackState::Ended
            | RolledBackState::Gone => true,
            RolledBackState::Drifted { kept, .. } => *kept,
            RolledBackState::Failed { .. } => false,
        };
        match (&entry.change, is_settled) {
            (_, false) => {}
            (Change::Setting { .. }, true) => journal.restored(entry.number)?,
            // The journal says what it kept until that is put back, too.
            (Change::File { .. }, true) => settled_files.push(entry.number),
        }
        changes.push(RolledBackChange {
            id: entry.check,
            run: entry.run,
            change: entry.change,
            state,
        });
    }
    for number in settled_files {
        journal.restored(number)?;
    }
    if to.is_none() {
        let forgotten = remove_forgotten(host, &journal, &changes);
        changes.extend(forgotten);
    }
    journal.close()?;
    Ok(RolledBack { changes })
}

/// A change to undo.
struct Due {
    entry: Journaled,
    end: End,
}

/// When it ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// A start of the machine ended it.
    Before,
    Now,
    /// It is of a file that goes with all that it ever said: where that is gone already, by a rollback that was killed
    /// or by somebody's hand, it is as it should be.
    NowOrGone,
}

/// The newest first. Looked up before anything is undone: what a file keeps did not end, and the file goes first.
fn due(host: &HostRoot, live: &[Journaled], to: Option<u64>, boot: Option<&str>) -> Vec<Due> {
    let is_due = |entry: &Journaled| to.is_none_or(|to| entry.run > to);
    let stays = |file: OwnedFile| {
        let is_of_file = |entry: &&Journaled| matches!(&entry.change, Change::File { file: of, .. } if *of == file);
        live.iter().filter(is_of_file).any(|entry| !is_due(entry))
    };
    let end = |entry: &Journaled| match &entry.change {
        Change::File { file, .. } if !stays(*file) => End::NowOrGone,
        _ if has_ended(host, live, entry, boot) => End::Before,
        _ => End::Now,
    };
    let due = live.iter().rev().filter(|entry| is_due(entry));
    due.map(|entry| Due { entry: entry.clone(), end: end(entry) }).collect()
}

/// Whether nothing was ever applied here, or all of it is undone: then not even the journal's folder is made.
fn is_untouched(host: &HostRoot, state: &Path) -> bool {
    let is_missing =
        fs::metadata(state).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    is_missing && OwnedFile::present(host).is_empty()
}

/// Files of ours that the journal does not know go, too: they are nobody else's. What was just `undone` is
/// as it should be.
fn remove_forgotten(
    host: &HostRoot,
    journal: &LockedJournal,
    undone: &[RolledBackChange],
) -> Vec<RolledBackChange> {
    let live = journal.live().iter().map(|entry| &entry.change);
    let live = live.chain(undone.iter().map(|one| &one.change));
    let forgotten = Change::forgotten(host, live).into_iter();
    let removed = forgotten.map(|change| RolledBackChange {
        id: change.path().to_owned(),
        run: 0,
        state: match change.undo(host) {
            Ok(()) => RolledBackState::Restored,
            Err(error) => RolledBackState::Failed { error: error.to_string() },
        },
        change,
    });
    removed.collect()
}

fn undo(
    host: &HostRoot,
    entry: &Journaled,
    end: End,
    boot: Option<&str>,
    drifted: Drifted,
) -> RolledBackState {
    let change = &entry.change;
    change.clean_up(host);
    let present = match change.present(host) {
        Ok(present) => present,
        Err(error) => return RolledBackState::Failed { error: error.to_string() },
    };
    if change.is_undone(present.as_deref()) {
        // A rollback that was cut short may have put back the setting alone. After a start of the
        // machine what came with it is the kernel's again.
        if !entry.is_of_earlier_start(boot)
            && let Err(error) = change.undo_resets(host)
        {
            return RolledBackState::Failed { error: error.to_string() };
        }
        return RolledBackState::Already;
    }
    if present.is_none() && end == End::NowOrGone {
        return RolledBackState::Already;
    }
    let is_setting = matches!(change, Change::Setting { .. });
    if is_setting && present.is_none() {
        return RolledBackState::Gone;
    }
    if !change.is_made(present.as_deref()) && drifted != Drifted::Restore {
        let kept = drifted == Drifted::Keep;
        if kept && let Err(error) = change.hand_over(host) {
            return RolledBackState::Failed { error: error.to_string() };
        }
        let actual = present.unwrap_or_else(|| "removed".to_owned());
        return RolledBackState::Drifted { actual, kept };
    }
    match change.undo(host) {
        Ok(()) => RolledBackState::Restored,
        Err(error) => RolledBackState::Failed { error: error.to_string() },
    }
}
