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
//! * `plan`: which writes, and what is left out and why
//! * `change`: one change, as the journal has it: noting, writing, putting back
//! * `journal`: the file of changes, its lock, and what a crash leaves of it
//! * `owned_files`: the files below `/etc` that keep settings over a start of the machine
//! * `apply`, `rollback`, `drift`: what the verbs do

mod apply;
mod change;
mod drift;
mod journal;
mod owned_files;
mod plan;
mod rollback;

pub use apply::{Applied, AppliedCheck, AppliedState, apply};
pub use change::{Change, ChangeError};
pub use drift::{ChangeState, ChangeStatus, status};
pub use journal::JournalError;
pub use owned_files::OwnedFile;
pub use plan::{Choice, Plan, PlanError, PlannedCheck, PlannedFile, Skipped};
pub use rollback::{Drifted, RolledBack, RolledBackChange, RolledBackState, rollback};

/// Where the journal is, on a machine whose files begin at `/`.
pub const STATE_DIRECTORY: &str = "/var/lib/corelane/tuning";

#[cfg(test)]
mod tests;
