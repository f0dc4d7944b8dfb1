//! `rollback`: the journal backwards, where what is there is still ours.

use std::path::Path;

use serde::Serialize;

use crate::changes::apply::boot_id;
use crate::changes::change::Change;
use crate::changes::journal::{JournalError, Journaled, LockedJournal};
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
    let mut journal = LockedJournal::open(state)?;
    let boot = boot_id(host);
    let due = journal.live().iter().rev().filter(|entry| to.is_none_or(|to| entry.run > to));
    let due: Vec<Journaled> = due.cloned().collect();
    let mut changes = Vec::new();
    for entry in due {
        let state = undo(host, &entry, boot.as_deref(), drifted);
        let is_settled = match &state {
            RolledBackState::Restored | RolledBackState::Already | RolledBackState::Gone => true,
            RolledBackState::Drifted { kept, .. } => *kept,
            RolledBackState::Failed { .. } => false,
        };
        if is_settled {
            journal.restored(entry.number)?;
        }
        changes.push(RolledBackChange {
            id: entry.check,
            run: entry.run,
            change: entry.change,
            state,
        });
    }
    if to.is_none() {
        let forgotten = remove_forgotten(host, &journal, &changes);
        changes.extend(forgotten);
    }
    journal.close()?;
    Ok(RolledBack { changes })
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
        if entry.boot.as_deref() == boot
            && let Err(error) = change.undo_resets(host)
        {
            return RolledBackState::Failed { error: error.to_string() };
        }
        return RolledBackState::Already;
    }
    let is_setting = matches!(change, Change::Setting { .. });
    if is_setting && present.is_none() {
        return RolledBackState::Gone;
    }
    if !change.is_made(present.as_deref()) && drifted != Drifted::Restore {
        let actual = present.unwrap_or_else(|| "removed".to_owned());
        return RolledBackState::Drifted { actual, kept: drifted == Drifted::Keep };
    }
    match change.undo(host) {
        Ok(()) => RolledBackState::Restored,
        Err(error) => RolledBackState::Failed { error: error.to_string() },
    }
}
