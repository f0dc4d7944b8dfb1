//! `corelane tune apply`: what `plan` shows, written.

use clap::Args;
use serde::Serialize;
use tuning::{Applied, AppliedState, Change, Plan, Skipped, apply};

use super::super::failure::Failure;
use super::super::output::{Colour, Output};
use super::exit_code::{ERROR, REBOOT};
use super::machine::{Machine, MachineArgs, StateArgs, need_root};
use super::plan::{self, ChoiceArgs};

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  sudo corelane tune apply --data-dir /mnt/data
  sudo corelane tune apply disk memory.huge_pages --persist
  corelane tune apply --dry-run            the same as `corelane tune plan`
\nEach value that is there is noted in the journal, durably, before it is changed, and read again after. Where one
write of a check fails, that check's writes are taken back; the others stand. A second apply writes nothing. An
apply that was cut short is rolled back like a whole one. --persist keeps the settings of this apply (also those that
an earlier one made without it) and of earlier ones with --persist, but none that somebody changed since; where a file
that is read later at a start of the machine says something else, it is named.

Exit codes: 0 done, 3 something failed, 4 done, but what is left needs a restart of the machine.")]
pub(crate) struct ApplyArgs {
    #[command(flatten)]
    choice: ChoiceArgs,

    /// Only show what would be written.
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    machine: MachineArgs,

    #[command(flatten)]
    state: StateArgs,
}

#[derive(Serialize)]
struct Done<'done> {
    #[serde(flatten)]
    applied: &'done Applied,
    skipped: &'done [Skipped],
}

impl ApplyArgs {
    pub(super) fn run(&self, output: &mut Output) -> Result<(), Failure> {
        let machine = self.machine.examine()?;
        let plan = self.choice.plan(&machine)?;
        if self.dry_run {
            return plan::show(&machine, &plan, &self.state, output);
        }
        need_root(&machine.host, "apply")?;
        if let Some(tuner) = &plan.conflict {
            return Err(Failure::failed(format!(
                "{tuner} tunes this machine, too, and each would undo what the other did: stop it, or give \
                 --allow-risky"
            )));
        }
        let state = self.state.directory(&machine.host);
        let applied = apply(&machine.host, &state, &plan)
            .map_err(|error| Failure::failed(error.to_string()))?;
        if output.is_json() {
            output.json(&Done { applied: &applied, skipped: &plan.skipped })?;
        } else {
            show(&applied, &plan, output)?;
        }
        if applied.has_failed() {
            return Err(Failure::said_with_code(ERROR));
        }
        match needs_reboot(&machine, &plan) {
            true => Err(Failure::said_with_code(REBOOT)),
            false => Ok(()),
        }
    }
}

fn needs_reboot(machine: &Machine, plan: &Plan) -> bool {
    let skipped = |id: &str| plan.skipped.iter().any(|skipped| skipped.id == id);
    machine.findings.iter().any(|f| f.reboot && (f.is_fatal() || f.is_warning()) && skipped(&f.id))
}

fn show(applied: &Applied, plan: &Plan, output: &mut Output) -> Result<(), Failure> {
    let mut written = 0;
    for check in &applied.checks {
        match &check.state {
            AppliedState::Applied { changes } => {
                written += changes.len();
                let mark = output.coloured(Colour::Green, "✔");
                output.line(format_args!("{mark} {}", check.id))?;
                for change in changes {
                    output.line(format_args!("    {}", difference(change)))?;
                }
            }
            AppliedState::Already => {
                output.line(format_args!("✔ {}: so already", check.id))?;
            }
            AppliedState::Failed { error, undo_error } => {
                let mark = output.coloured(Colour::Red, "✖");
                output.line(format_args!("{mark} {}: {error}", check.id))?;
                if let Some(error) = undo_error {
                    output.line(format_args!("    and cannot be taken back: {error}"))?;
                }
            }
        }
    }
    plan::show_overruled(&applied.overruled, output)?;
    plan::show_skipped(plan, output)?;
    match written {
        0 => output.line("nothing was written"),
        _ => output.line(format_args!(
            "run {}; `sudo corelane tune rollback` puts it back, `corelane tune status` shows whether it holds",
            applied.run
        )),
    }
}

/// `/proc/sys/vm/swappiness: 60 → 1`.
pub(super) fn difference(change: &Change) -> String {
    match change {
        Change::Setting { setting, from, to, .. } => format!("{}: {from} → {to}", setting.path()),
        Change::File { file, from: None, .. } => format!("{}: new", file.path()),
        Change::File { file, .. } => format!("{}: changed", file.path()),
    }
}
