//! `status`: what was changed and not undone, and whether it is still so.

use std::path::Path;

use serde::Serialize;

use crate::changes::apply::boot_id;
use crate::changes::change::Change;
use crate::changes::journal::{Journal, Journaled};
use crate::changes::journal_error::JournalError;
use crate::changes::kept::has_ended;
use crate::host_root::HostRoot;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChangeStatus {
    pub id: String,
    /// 0, as the time, where the journal does not know.
    pub run: u64,
    pub time_ms: u64,
    pub change: Change,
    #[serde(flatten)]
    pub state: ChangeState,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum ChangeState {
    InForce,
    /// As it was before: by a start of the machine where `since_start`, else somebody put it back.
    Reset {
        since_start: bool,
    },
    /// No file of ours kept it over a start of the machine: what is there now is not ours.
    Ended,
    /// The apply was cut short before it.
    NotWritten,
    /// A file of ours that the journal does not know: somebody removed the journal.
    Forgotten,
    /// Neither ours nor what was before.
    Drifted {
        actual: String,
    },
    /// The device is gone.
    Gone,
    Unreadable {
        error: String,
    },
}

/// Reads the journal and the settings; oldest first.
pub fn status(host: &HostRoot, state: &Path) -> Result<Vec<ChangeStatus>, JournalError> {
    let journal = Journal::read(state)?;
    let boot = boot_id(host);
    let statuses = journal.live().iter().map(|entry| ChangeStatus {
        id: entry.check.clone(),
        run: entry.run,
        time_ms: entry.time_ms,
        change: entry.change.clone(),
        state: match has_ended(host, journal.live(), entry, boot.as_deref()) {
            true => ChangeState::Ended,
            false => state_of(host, entry, entry.is_of_earlier_start(boot.as_deref())),
        },
    });
    let mut statuses: Vec<ChangeStatus> = statuses.collect();
    let live = journal.live().iter().map(|entry| &entry.change);
    statuses.extend(Change::forgotten(host, live).into_iter().map(|change| ChangeStatus {
        id: change.path().to_owned(),
        run: 0,
        time_ms: 0,
        change,
        state: ChangeState::Forgotten,
    }));
    Ok(statuses)
}

fn state_of(host: &HostRoot, entry: &Journaled, since_start: bool) -> ChangeState {
    let change = &entry.change;
    let present = match change.present(host) {
        Ok(present) => present,
        Err(error) => return ChangeState::Unreadable { error: error.to_string() },
    };
    if change.is_made(present.as_deref()) {
        return ChangeState::InForce;
    }
    if change.is_undone(present.as_deref()) {
        let is_known = entry.is_applied || since_start;
        return if is_known { ChangeState::Reset { since_start } } else { ChangeState::NotWritten };
    }
    match (present, change) {
        (Some(actual), _) => ChangeState::Drifted { actual },
        (None, Change::Setting { .. }) => ChangeState::Gone,
        (None, Change::File { .. }) => ChangeState::Drifted { actual: "removed".to_owned() },
    }
}
