//! Changing the machine, and changing it back.
//!
//! ```text
//!   findings ─► plan ─► for each write:  current value noted ─► journal synced ─► written ─► read again
//!                                                                                    │
//!   rollback:  the journal backwards, where the value is still ours  ◄───────────────┘
//! ```
//!
//! Invariant: nothing is written that a synced line of the journal does not name, with what was there
//! before. So an apply that was cut short anywhere is rolled back as a whole one is.
//!
//! A setting that no file of ours keeps ends with a start of the machine: what is there afterwards is not ours, and is
//! left as it is.
//!
//! * `plan`: which writes, and what is left out and why
//! * `change`: one change, as the journal has it: noting, writing, putting back; `change_error`: why that fails
//! * `journal`: the file of changes, and what a crash leaves of it; `journal_error`: why there is no working with it
//! * `state_directory`: the folder of the journal, and its lock
//! * `owned_files`: the files below `/etc` that keep settings over a start of the machine
//! * `kept`: which settings those are; `overruled`: whose files win over ours
//! * `apply`, `rollback`, `drift`: what the verbs do

mod apply;
mod change;
mod change_error;
mod drift;
mod journal;
mod journal_error;
mod kept;
mod overruled;
mod owned_files;
mod plan;
mod rollback;
mod state_directory;

pub use apply::{Applied, AppliedCheck, AppliedState, apply};
pub use change::Change;
pub use change_error::ChangeError;
pub use drift::{ChangeState, ChangeStatus, status};
pub use journal_error::JournalError;
pub use overruled::Overruled;
pub use owned_files::OwnedFile;
pub use plan::{Choice, Plan, PlanError, PlannedCheck, PlannedFile, Skipped};
pub use rollback::{Drifted, RolledBack, RolledBackChange, RolledBackState, rollback};

/// Where the journal is, on a machine whose files begin at `/`.
pub const STATE_DIRECTORY: &str = "/var/lib/corelane/tuning";

#[cfg(test)]
mod tests;
