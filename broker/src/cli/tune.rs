//! `corelane tune`: what of this machine makes a node slower or less safe, and changing it with a way back.
//!
//! * `machine`: which machine, which profile, which journal: options that the commands share
//! * `check`, `plan`, `apply`, `rollback`, `status`, `explain`, `list`, `shards`, `unit`: one command each
//! * `calibrate`: the disk measured, and its settings; `disk_settings`: these in the configuration file;
//!   `replacement`: that file in one step
//! * `rows`: findings as lines
//! * `exit_code`: how a command ends

mod apply;
mod calibrate;
mod check;
mod disk_settings;
mod exit_code;
mod explain;
mod list;
mod machine;
mod plan;
mod replacement;
mod rollback;
mod rows;
mod shards;
mod status;
mod unit;

use clap::Subcommand;

use super::failure::Failure;
use super::output::Output;

pub(super) use exit_code::ERROR;

pub(super) const EXAMPLES: &str = "Examples:
  corelane tune check --data-dir /mnt/data        what should be mended, the worst first
  corelane tune explain disk.scheduler            why, what others do, how to measure it
  corelane tune plan                              what `apply` would write; nothing is written
  sudo corelane tune apply                        write it, each value noted in a journal first
  sudo corelane tune apply disk memory.swap --persist
  corelane tune calibrate --data-dir /mnt/data --config /etc/corelane.toml   measure the disk for the node
  sudo corelane tune rollback                     put everything back as it was

Profiles weigh findings: prod (a server of its own), bench (and steady numbers), container (settings of the
host are only named), dev (only what keeps a node from starting; changes nothing). Without --profile: container
inside one, else prod.

Nothing that could cost data is ever changed: what a disk says of its write cache is reported, barriers of file
systems are left alone. Settings are gone with a restart of the machine unless --persist keeps them, in files
of our own that rollback removes; a whole rollback leaves nothing of ours behind.

Exit codes: 0 in order, 1 warnings (with --strict) or something left to roll back, 2 something keeps a node
from starting, 3 an error (a command line that is not understood, too), 4 only a restart of the machine mends
what is left.";

#[derive(Debug, Subcommand)]
pub(crate) enum TuneCommand {
    /// Looks at the machine: the worst first. Needs no privileges, writes nothing.
    Check(check::CheckArgs),
    /// Shows what `apply` would write, and writes nothing.
    Plan(plan::PlanArgs),
    /// Writes it, with a journal. Needs root.
    Apply(apply::ApplyArgs),
    /// Puts back what `apply` changed, backwards. Needs root.
    Rollback(rollback::RollbackArgs),
    /// Shows what is changed, and whether it still is.
    Status(status::StatusArgs),
    /// Teaches about a check: why, what others do, how to measure it.
    Explain(explain::ExplainArgs),
    /// Lists all checks.
    List,
    /// Measures the disk, and writes what fits it into the node's configuration.
    Calibrate(calibrate::CalibrateArgs),
    /// Shows how many shards fit where, with the arithmetic.
    Shards(shards::ShardsArgs),
    /// Prints a systemd unit that fits the machine: limits, cores, a watchdog.
    Unit(unit::UnitArgs),
}

impl TuneCommand {
    pub(crate) fn run(&self, output: &mut Output) -> Result<(), Failure> {
        let result = match self {
            Self::Check(args) => args.run(output),
            Self::Plan(args) => args.run(output),
            Self::Apply(args) => args.run(output),
            Self::Rollback(args) => args.run(output),
            Self::Status(args) => args.run(output),
            Self::Explain(args) => args.run(output),
            Self::List => list::run(output),
            Self::Calibrate(args) => args.run(output),
            Self::Shards(args) => args.run(output),
            Self::Unit(args) => args.run(output),
        };
        result.map_err(|failure| failure.or_with_code(ERROR))
    }
}
