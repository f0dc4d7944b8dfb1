//! `corelane tune status`: what is changed, and whether it still is.

use clap::Args;
use tuning::{Change, ChangeState, ChangeStatus, status};

use super::super::failure::Failure;
use super::super::output::{Output, Table};
use super::super::times;
use super::exit_code::WARNINGS;
use super::machine::{RootArgs, StateArgs};

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  corelane tune status
  corelane tune status --strict && echo 'all holds'
\nExit codes: 0, and with --strict 1 where something is no longer as `apply` left it; 3 an error.")]
pub(crate) struct StatusArgs {
    /// What does not hold counts: exit code 1.
    #[arg(long)]
    strict: bool,

    #[command(flatten)]
    root: RootArgs,

    #[command(flatten)]
    state: StateArgs,
}

impl StatusArgs {
    pub(super) fn run(&self, output: &mut Output) -> Result<(), Failure> {
        let host = self.root.host()?;
        let changes = status(&host, &self.state.directory(&host))
            .map_err(|error| Failure::failed(error.to_string()))?;
        if output.is_json() {
            output.json(&changes)?;
        } else {
            show(&changes, output)?;
        }
        let holds = changes.iter().all(|change| change.state == ChangeState::InForce);
        match self.strict && !holds {
            true => Err(Failure::said_with_code(WARNINGS)),
            false => Ok(()),
        }
    }
}

fn show(changes: &[ChangeStatus], output: &mut Output) -> Result<(), Failure> {
    if changes.is_empty() {
        return output.line("nothing is applied: the machine is as it was");
    }
    let mut table = Table::new(&["RUN", "CHECK", "SETTING", "BEFORE", "APPLIED", "STATE"]);
    for one in changes {
        let (before, applied) = match &one.change {
            Change::Setting { from, to, .. } => (blanked(from), blanked(to)),
            Change::File { from: None, .. } => ("none".to_owned(), "ours".to_owned()),
            Change::File { .. } => ("ours".to_owned(), "ours".to_owned()),
        };
        let path = one.change.path().to_owned();
        let run = one.run.to_string();
        let id = if one.id == path { "–".to_owned() } else { one.id.clone() };
        table.push(vec![run, id, path, before, applied, state(&one.state)]);
    }
    output.table(&table)?;
    let times = changes.iter().map(|change| change.time_ms).filter(|time_ms| *time_ms > 0);
    let Some(first) = times.min() else { return Ok(()) };
    output.line(format_args!(
        "applied since {}; `sudo corelane tune rollback` puts it back",
        times::shown(i64::try_from(first).unwrap_or(i64::MAX))
    ))
}

fn state(state: &ChangeState) -> String {
    match state {
        ChangeState::InForce => "in force".to_owned(),
        ChangeState::Reset { since_start: true } => {
            "gone with the restart of the machine; apply again".to_owned()
        }
        ChangeState::Reset { since_start: false } => "put back by somebody".to_owned(),
        ChangeState::Ended => "ended with the restart of the machine; apply again".to_owned(),
        ChangeState::NotWritten => "not written: the apply was cut short".to_owned(),
        ChangeState::Drifted { actual } => {
            format!("changed since: {}", blanked(actual.lines().next().unwrap_or_default()))
        }
        ChangeState::Forgotten => "ours, but its journal is gone; rollback removes it".to_owned(),
        ChangeState::Gone => "the device is gone".to_owned(),
        ChangeState::Unreadable { error } => error.clone(),
    }
}

fn blanked(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}
