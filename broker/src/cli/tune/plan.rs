//! `corelane tune plan`: what would be written, as a difference.

use clap::Args;
use serde::Serialize;
use tuning::{Choice, Overruled, Plan, PlannedFile};

use super::super::failure::Failure;
use super::super::output::{Colour, Output, counted};
use super::machine::{Machine, MachineArgs, StateArgs};

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  corelane tune plan                       every warning that can be mended by a write
  corelane tune plan disk                  those of a group: kernel, process, cpu, memory, disk, network
  corelane tune plan disk.scheduler:vda network.send_buffer --persist
\nFindings that are only worth knowing are planned where they are named. Nothing is written. --persist keeps what this
plan is about, and what it kept before; the profile dev plans nothing.")]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    choice: ChoiceArgs,

    #[command(flatten)]
    machine: MachineArgs,

    #[command(flatten)]
    state: StateArgs,
}

#[derive(Args, Debug)]
pub(super) struct ChoiceArgs {
    /// Checks or groups, as `corelane tune list` shows them; `disk.scheduler:vda` is of one disk. [default: all
    /// warnings]
    #[arg(value_name = "CHECK")]
    names: Vec<String>,

    /// Keep it over a restart of the machine, in files of our own below /etc.
    #[arg(long)]
    persist: bool,

    /// Change what is risky, too, and beside another tuner. `corelane tune explain CHECK` says why it is.
    #[arg(long)]
    allow_risky: bool,
}

impl ChoiceArgs {
    pub(super) fn plan(&self, machine: &Machine) -> Result<Plan, Failure> {
        let choice = Choice {
            names: self.names.clone(),
            allow_risky: self.allow_risky,
            persist: self.persist,
        };
        Plan::new(&machine.findings, machine.profile, &choice)
            .map_err(|error| Failure::usage(error.to_string()))
    }
}

#[derive(Serialize)]
struct Shown<'plan> {
    #[serde(flatten)]
    plan: &'plan Plan,
    files: &'plan [PlannedFile],
}

impl PlanArgs {
    pub(super) fn run(&self, output: &mut Output) -> Result<(), Failure> {
        let machine = self.machine.examine()?;
        let plan = self.choice.plan(&machine)?;
        show(&machine, &plan, &self.state, output)
    }
}

pub(super) fn show(
    machine: &Machine,
    plan: &Plan,
    state: &StateArgs,
    output: &mut Output,
) -> Result<(), Failure> {
    let state = state.directory(&machine.host);
    let files =
        plan.files(&machine.host, &state).map_err(|error| Failure::failed(error.to_string()))?;
    if output.is_json() {
        return output.json(&Shown { plan, files: &files });
    }
    for check in &plan.checks {
        let title = output.coloured(Colour::Bold, &check.id);
        output.line(format_args!("{title}: {}", check.title))?;
        output.line(format_args!("  {}", check.why))?;
        if let Some(risk) = check.risk {
            let risk = output.coloured(Colour::Yellow, &format!("risk: {risk}"));
            output.line(format_args!("  {risk}"))?;
        }
        for write in &check.writes {
            output.line(format_args!("  {}", write.setting.path()))?;
            difference(&write.from, &write.to, output)?;
        }
    }
    files.iter().try_for_each(|file| show_file(file, output))?;
    show_skipped(plan, output)?;
    conclude(plan, &files, output)
}

fn show_file(file: &PlannedFile, output: &mut Output) -> Result<(), Failure> {
    let title = output.coloured(Colour::Bold, file.path);
    if let Some(error) = &file.refused {
        let error = output.coloured(Colour::Red, error);
        return output.line(format_args!("{title}: {error}"));
    }
    let kind = if file.from.is_some() { "changed" } else { "new" };
    output.line(format_args!("{title}: {kind}"))?;
    file.from.iter().try_for_each(|from| lines('-', from, output))?;
    lines('+', &file.to, output)?;
    show_overruled(&file.overruled, output)
}

/// What of our files has no effect at a start of the machine.
pub(super) fn show_overruled(overruled: &[Overruled], output: &mut Output) -> Result<(), Failure> {
    let mark = output.coloured(Colour::Yellow, "!");
    for Overruled { name, value, by } in overruled {
        output.line(format_args!(
            "{mark} {name} will be {value} after a restart of the machine: {by} is read after our file; change it there"
        ))?;
    }
    Ok(())
}

/// What is left to a person.
pub(super) fn show_skipped(plan: &Plan, output: &mut Output) -> Result<(), Failure> {
    for skipped in &plan.skipped {
        output.line(format_args!("not applied: {}: {}", skipped.id, skipped.reason))?;
    }
    Ok(())
}

fn conclude(plan: &Plan, files: &[PlannedFile], output: &mut Output) -> Result<(), Failure> {
    if plan.checks.is_empty() && files.is_empty() {
        return output.line("nothing would be written");
    }
    if let Some(tuner) = &plan.conflict {
        return output.line(format_args!(
            "{tuner} tunes this machine, too: `apply` refuses beside it unless --allow-risky is given"
        ));
    }
    let writes: usize = plan.checks.iter().map(|check| check.writes.len()).sum();
    let writes = counted(writes as u64, "setting");
    output.line(format_args!(
        "nothing is written yet: {writes}; apply them with `sudo corelane tune apply` and the same words"
    ))
}

fn difference(from: &str, to: &str, output: &mut Output) -> Result<(), Failure> {
    lines('-', from, output)?;
    lines('+', to, output)
}

fn lines(sign: char, text: &str, output: &mut Output) -> Result<(), Failure> {
    let colour = if sign == '-' { Colour::Red } else { Colour::Green };
    for line in text.lines() {
        let line = output.coloured(colour, &format!("{sign} {line}"));
        output.line(format_args!("  {line}"))?;
    }
    Ok(())
}
