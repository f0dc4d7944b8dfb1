//! `corelane tune rollback`: everything back as it was.

use clap::Args;
use tuning::{Change, Drifted, RolledBack, RolledBackState, rollback};

use super::super::failure::Failure;
use super::super::output::{Colour, Output};
use super::exit_code::{ERROR, WARNINGS};
use super::machine::{RootArgs, StateArgs, need_root};

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  sudo corelane tune rollback
  sudo corelane tune rollback --to 2       only what came after run 2
  sudo corelane tune rollback --force      also what somebody else changed since
\nThe journal is gone through backwards. A setting that is no longer as `apply` left it was changed by somebody
else: it is named and left alone, unless --force puts back what was there before us, or --keep leaves it to
them for good (a file of ours then loses its first line, by which it is known). What no --persist kept ended with a
restart of the machine: it is named, left as it is, and forgotten.

Exit codes: 0 all is as it was, 1 something is left (it was changed by somebody else), 3 something failed.")]
pub(crate) struct RollbackArgs {
    /// Undo the runs after this one. [default: all]
    #[arg(long, value_name = "RUN")]
    to: Option<u64>,

    /// Put back also what somebody else changed since.
    #[arg(long, conflicts_with = "keep")]
    force: bool,

    /// Leave what somebody else changed since as it is, and forget it.
    #[arg(long)]
    keep: bool,

    #[command(flatten)]
    root: RootArgs,

    #[command(flatten)]
    state: StateArgs,
}

impl RollbackArgs {
    pub(super) fn run(&self, output: &mut Output) -> Result<(), Failure> {
        let host = self.root.host()?;
        need_root(&host, "rollback")?;
        let drifted = match (self.force, self.keep) {
            (true, _) => Drifted::Restore,
            (_, true) => Drifted::Keep,
            _ => Drifted::Report,
        };
        let done = rollback(&host, &self.state.directory(&host), self.to, drifted)
            .map_err(|error| Failure::failed(error.to_string()))?;
        if output.is_json() {
            output.json(&done)?;
        } else {
            show(&done, output)?;
        }
        let has_failed = done
            .changes
            .iter()
            .any(|change| matches!(change.state, RolledBackState::Failed { .. }));
        match (has_failed, done.is_incomplete()) {
            (true, _) => Err(Failure::said_with_code(ERROR)),
            (_, true) => Err(Failure::said_with_code(WARNINGS)),
            _ => Ok(()),
        }
    }
}

fn show(done: &RolledBack, output: &mut Output) -> Result<(), Failure> {
    for one in &done.changes {
        let path = one.change.path();
        let line = match &one.state {
            RolledBackState::Restored => {
                let mark = output.coloured(Colour::Green, "✔");
                format!("{mark} {}: {}", one.id, restored(&one.change))
            }
            RolledBackState::Already => format!("✔ {}: {path} was as before already", one.id),
            RolledBackState::Ended => {
                format!(
                    "– {}: {path} ended with a restart of the machine, and is left as it is",
                    one.id
                )
            }
            RolledBackState::Gone => {
                format!("– {}: {path} is gone, and its setting with it", one.id)
            }
            RolledBackState::Drifted { actual, kept } => {
                let mark = output.coloured(Colour::Yellow, "!");
                let what =
                    if *kept { "left so for good" } else { "left alone; see --force and --keep" };
                let actual = actual.lines().next().unwrap_or_default();
                format!("{mark} {}: {path} was changed since (to {actual}): {what}", one.id)
            }
            RolledBackState::Failed { error } => {
                let mark = output.coloured(Colour::Red, "✖");
                format!("{mark} {}: {error}", one.id)
            }
        };
        output.line(line)?;
    }
    match done.changes.is_empty() {
        true => output.line("nothing is applied, so nothing was put back"),
        false if done.is_incomplete() => output.line("not everything was put back"),
        false => output.line("everything is as it was"),
    }
}

fn restored(change: &Change) -> String {
    match change {
        Change::Setting { setting, from, to, .. } => format!("{}: {to} → {from}", setting.path()),
        Change::File { file, from: None, .. } => format!("{}: removed", file.path()),
        Change::File { file, .. } => format!("{}: as before", file.path()),
    }
}
