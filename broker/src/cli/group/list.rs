//! `corelane group list`.

use clap::Args;
use serde::Serialize;

use super::logs::Logs;
use super::partitions::{Measure, TotalLag, partitions_of};
use crate::cli::client::groups::GroupType;
use crate::cli::client::{Client, ClusterArgs};
use crate::cli::failure::Failure;
use crate::cli::output::{Output, Table};

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  corelane group list
  corelane group list --state empty --lag      (who has nobody reading, and how much waits)
  corelane group list --type classic

States: Empty (offsets, no members), PreparingRebalance and CompletingRebalance (classic: partitions are being
divided anew), Assigning and Reconciling (consumer: the same), Stable.")]
pub(crate) struct ListArgs {
    /// Only groups in this state; may be given several times.
    #[arg(long = "state", value_name = "STATE", value_parser = state)]
    states: Vec<String>,

    /// Only groups of this protocol: classic or consumer.
    #[arg(long = "type", value_name = "TYPE", value_parser = ["classic", "consumer"], ignore_case = true)]
    types: Vec<String>,

    /// How many records wait for each group, too.
    #[arg(long)]
    lag: bool,

    #[command(flatten)]
    cluster: ClusterArgs,
}

const STATES: [&str; 6] =
    ["Empty", "PreparingRebalance", "CompletingRebalance", "Assigning", "Reconciling", "Stable"];

fn state(text: &str) -> Result<String, String> {
    let found = STATES.iter().find(|state| state.eq_ignore_ascii_case(text));
    found.map(|state| (*state).to_owned()).ok_or_else(|| format!("it is {}", STATES.join(", ")))
}

#[derive(Serialize)]
struct Listed {
    group: String,
    r#type: GroupType,
    state: String,
    members: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    lag: Option<i64>,
}

impl ListArgs {
    pub(super) fn run(&self, output: &mut Output) -> Result<(), Failure> {
        let mut client = Client::connect(&self.cluster)?;
        let groups = client.groups(&self.states, &self.types)?;
        let mut logs = match self.lag {
            true => Some(Logs::new(&mut client)?),
            false => None,
        };
        let mut listed = Vec::new();
        for group in groups {
            let lag = match &mut logs {
                Some(logs) => {
                    let found = partitions_of(&mut client, logs, &group, Measure::Records)?;
                    Some(TotalLag::of(&found).lag)
                }
                None => None,
            };
            listed.push(Listed {
                members: group.members.len(),
                group: group.id,
                r#type: group.group_type,
                state: group.state,
                lag,
            });
        }
        if output.is_json() {
            return output.json(&listed);
        }
        if listed.is_empty() {
            let none = match self.states.is_empty() && self.types.is_empty() {
                true => {
                    "there are no groups; begin one with `corelane consume --topic TOPIC --group NAME`"
                }
                false => "no group is like that; `corelane group list` shows all",
            };
            return output.line(none);
        }
        self.show(&listed, output)
    }

    fn show(&self, listed: &[Listed], output: &mut Output) -> Result<(), Failure> {
        let headings = ["GROUP", "TYPE", "STATE", "MEMBERS", "LAG"];
        let shown = if self.lag { headings.len() } else { headings.len() - 1 };
        let mut table = Table::new(&headings[..shown]);
        for group in listed {
            let mut row = vec![
                group.group.clone(),
                group.r#type.name().to_owned(),
                group.state.clone(),
                group.members.to_string(),
            ];
            row.extend(group.lag.map(|lag| lag.to_string()));
            table.push(row);
        }
        output.table(&table)
    }
}
