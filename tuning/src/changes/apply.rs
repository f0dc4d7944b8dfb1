//! `apply`: each write of a plan noted, made, looked at. A check with several writes has all or none.

use std::path::Path;

use serde::Serialize;

use crate::changes::change::Change;
use crate::changes::change_error::ChangeError;
use crate::changes::journal::LockedJournal;
use crate::changes::journal_error::JournalError;
use crate::changes::kept::to_keep;
use crate::changes::overruled::{Overruled, overruled};
use crate::changes::owned_files::OwnedFile;
use crate::changes::plan::{Plan, PlannedCheck};
use crate::host_root::HostRoot;

/// What came of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Applied {
    /// For `rollback --to`.
    pub run: u64,
    pub checks: Vec<AppliedCheck>,
    /// What a file of ours keeps without effect, because another that is read later says something else.
    pub overruled: Vec<Overruled>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AppliedCheck {
    /// The id of a finding, or the path of a file of ours.
    pub id: String,
    #[serde(flatten)]
    pub state: AppliedState,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum AppliedState {
    Applied {
        changes: Vec<Change>,
    },
    /// It was so already.
    Already,
    /// What was written of it before the failure is undone, but for what `undone` says.
    Failed {
        error: String,
        undo_error: Option<String>,
    },
}

impl Applied {
    pub fn has_failed(&self) -> bool {
        self.checks.iter().any(|check| matches!(check.state, AppliedState::Failed { .. }))
    }
}

/// Makes the plan true. An error means that the journal fails: nothing was written that it does not name.
pub fn apply(host: &HostRoot, state: &Path, plan: &Plan) -> Result<Applied, JournalError> {
    let mut applying =
        Applying { host, journal: LockedJournal::open(state)?, boot: boot_id(host), run: 0 };
    applying.run = applying.journal.next_run();
    let mut checks = Vec::new();
    for check in &plan.checks {
        let state = applying.check(check)?;
        checks.push(AppliedCheck { id: check.id.clone(), state });
    }
    let mut without_effect = Vec::new();
    if plan.persist {
        let boot = applying.boot.as_deref();
        let settings = to_keep(host, applying.journal.live(), &plan.asked, boot);
        without_effect = overruled(host, &settings);
        for file in OwnedFile::ALL {
            let Some(content) = file.content(host, &settings) else { continue };
            let state = applying.file(file, content)?;
            checks.push(AppliedCheck { id: file.path().to_owned(), state });
        }
    }
    let run = applying.run;
    applying.journal.close()?;
    Ok(Applied { run, checks, overruled: without_effect })
}

/// Tells one start of the machine from the next.
pub(crate) fn boot_id(host: &HostRoot) -> Option<String> {
    host.text("/proc/sys/kernel/random/boot_id")
}

/// A change that was not made, and why what there is of it could not be taken back.
struct Failed {
    error: ChangeError,
    undo_error: Option<ChangeError>,
}

impl From<ChangeError> for Failed {
    fn from(error: ChangeError) -> Self {
        Self { error, undo_error: None }
    }
}

struct Applying<'host> {
    host: &'host HostRoot,
    journal: LockedJournal,
    boot: Option<String>,
    run: u64,
}

impl Applying<'_> {
    fn check(&mut self, check: &PlannedCheck) -> Result<AppliedState, JournalError> {
        let mut changes: Vec<(u64, Change)> = Vec::new();
        for write in &check.writes {
            let made = match Change::of_write(self.host, write) {
                Ok(None) => continue,
                Ok(Some(change)) => self.change(&check.id, change)?,
                Err(error) => Err(error.into()),
            };
            match made {
                Ok(made) => changes.push(made),
                Err(failed) => return self.give_up(changes, failed),
            }
        }
        let changes: Vec<Change> = changes.into_iter().map(|(_, change)| change).collect();
        Ok(match changes.is_empty() {
            true => AppliedState::Already,
            false => AppliedState::Applied { changes },
        })
    }

    fn file(&mut self, file: OwnedFile, content: String) -> Result<AppliedState, JournalError> {
        let made = match Change::of_file(self.host, file, content) {
            Ok(None) => return Ok(AppliedState::Already),
            Ok(Some(change)) => self.change(file.path(), change)?,
            Err(error) => Err(error.into()),
        };
        match made {
            Ok((_, change)) => Ok(AppliedState::Applied { changes: vec![change] }),
            Err(failed) => self.give_up(Vec::new(), failed),
        }
    }

    /// The outer error is the journal's, the inner one the machine's.
    fn change(
        &mut self,
        check: &str,
        change: Change,
    ) -> Result<Result<(u64, Change), Failed>, JournalError> {
        let number = self.journal.intend(self.run, self.boot.as_deref(), check, &change)?;
        match change.make(self.host) {
            Ok(()) => {
                self.journal.applied(number)?;
                Ok(Ok((number, change)))
            }
            Err(error) => {
                // Not written, or not as it should be.
                let present = change.present(self.host).unwrap_or_default();
                let undo_error = match change.is_undone(present.as_deref()) {
                    true => None,
                    false => change.undo(self.host).err(),
                };
                if undo_error.is_none() {
                    self.journal.restored(number)?;
                }
                Ok(Err(Failed { error, undo_error }))
            }
        }
    }

    fn give_up(
        &mut self,
        changes: Vec<(u64, Change)>,
        failed: Failed,
    ) -> Result<AppliedState, JournalError> {
        let mut undo_errors: Vec<ChangeError> = failed.undo_error.into_iter().collect();
        for (number, change) in changes.into_iter().rev() {
            match change.undo(self.host) {
                Ok(()) => self.journal.restored(number)?,
                Err(error) => undo_errors.push(error),
            }
        }
        let undo_errors: Vec<String> = undo_errors.iter().map(ChangeError::to_string).collect();
        Ok(AppliedState::Failed {
            error: failed.error.to_string(),
            undo_error: (!undo_errors.is_empty()).then(|| undo_errors.join("; ")),
        })
    }
}
