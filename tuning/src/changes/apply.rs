//! `apply`: each write of a plan noted, made, looked at. A check with several writes has all or none.

use std::path::Path;

use serde::Serialize;

use crate::changes::change::{Change, ChangeError};
use crate::changes::journal::{JournalError, LockedJournal};
use crate::changes::owned_files::OwnedFile;
use crate::changes::plan::{Plan, PlannedCheck, kept};
use crate::host_root::HostRoot;

/// What came of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Applied {
    /// For `rollback --to`.
    pub run: u64,
    pub checks: Vec<AppliedCheck>,
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
    if plan.persist {
        let settings = kept(applying.journal.live());
        for file in OwnedFile::ALL {
            let Some(content) = file.content(host, &settings) else { continue };
            let state = applying.file(file, content)?;
            checks.push(AppliedCheck { id: file.path().to_owned(), state });
        }
    }
    let run = applying.run;
    applying.journal.close()?;
    Ok(Applied { run, checks })
}

/// Tells one start of the machine from the next.
pub(crate) fn boot_id(host: &HostRoot) -> Option<String> {
    host.text("/proc/sys/kernel/random/boot_id")
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
                Err(error) => Err(error),
            };
            match made {
                Ok(made) => changes.push(made),
                Err(error) => return self.give_up(changes, &error),
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
            Err(error) => Err(error),
        };
        match made {
            Ok((_, change)) => Ok(AppliedState::Applied { changes: vec![change] }),
            Err(error) => self.give_up(Vec::new(), &error),
        }
    }

    /// The outer error is the journal's, the inner one the machine's.
    fn change(
        &mut self,
        check: &str,
        change: Change,
    ) -> Result<Result<(u64, Change), ChangeError>, JournalError> {
        let number = self.journal.intend(self.run, self.boot.as_deref(), check, &change)?;
        match change.make(self.host) {
            Ok(()) => {
                self.journal.applied(number)?;
                Ok(Ok((number, change)))
            }
            Err(error) => {
                // Not written, or not as it should be.
                let present = change.present(self.host).unwrap_or_default();
                let is_back =
                    change.is_undone(present.as_deref()) || change.undo(self.host).is_ok();
                if is_back {
                    self.journal.restored(number)?;
                }
                Ok(Err(error))
            }
        }
    }

    fn give_up(
        &mut self,
        changes: Vec<(u64, Change)>,
        error: &ChangeError,
    ) -> Result<AppliedState, JournalError> {
        let mut undo_error = None;
        for (number, change) in changes.into_iter().rev() {
            match change.undo(self.host) {
                Ok(()) => self.journal.restored(number)?,
                Err(error) => undo_error = Some(error.to_string()),
            }
        }
        Ok(AppliedState::Failed { error: error.to_string(), undo_error })
    }
}
