//! `corelane group lag`.

use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::known_group;
use super::logs::Logs;
use super::partitions::{
    GroupPartition, HEADINGS, LAG_HELP, Measure, TotalLag, partitions_of, seconds,
};
use crate::cli::client::{Client, ClusterArgs};
use crate::cli::failure::Failure;
use crate::cli::output::{Output, Table};

#[derive(Args, Debug)]
#[command(after_help = format!("Examples:
  corelane group lag                              (all groups)
  corelane group lag analytics email
  corelane group lag analytics --watch            (again and again, until Ctrl-C)
  corelane group lag --format json

{LAG_HELP}
A TOTAL row adds the records of a group up; its seconds are those of the partition that is furthest behind."))]
pub(crate) struct LagArgs {
    /// Groups; none are all.
    groups: Vec<String>,

    /// On a terminal: shows it anew every two seconds. Elsewhere it is shown once.
    #[arg(short, long)]
    watch: bool,

    #[command(flatten)]
    cluster: ClusterArgs,
}

const WATCH_INTERVAL: Duration = Duration::from_secs(2);

#[derive(Serialize)]
struct GroupLag {
    group: String,
    state: String,
    #[serde(flatten)]
    total: TotalLag,
    partitions: Vec<GroupPartition>,
}

impl LagArgs {
    pub(super) fn run(&self, output: &mut Output) -> Result<(), Failure> {
        let mut client = Client::connect(&self.cluster)?;
        loop {
            let lags = self.lags(&mut client)?;
            if output.is_json() {
                return output.json(&lags);
            }
            let is_watching = self.watch && output.is_terminal();
            if is_watching {
                output.clear_screen()?;
            }
            show(&lags, output)?;
            if !is_watching {
                return Ok(());
            }
            output.flush()?;
            std::thread::sleep(WATCH_INTERVAL);
        }
    }

    fn lags(&self, client: &mut Client) -> Result<Vec<GroupLag>, Failure> {
        let mut groups = Vec::new();
        match self.groups.is_empty() {
            true => groups = client.groups(&[], &[])?,
            false => {
                for id in &self.groups {
                    groups.push(known_group(client, id)?);
                }
            }
        }
        let mut logs = Logs::new(client)?;
        let mut lags = Vec::new();
        for group in groups {
            let measure = Measure::RecordsAndSeconds;
            let partitions = partitions_of(client, &mut logs, &group, measure)?;
            let total = TotalLag::of(&partitions);
            lags.push(GroupLag { group: group.id, state: group.state, total, partitions });
        }
        Ok(lags)
    }
}

fn show(lags: &[GroupLag], output: &mut Output) -> Result<(), Failure> {
    if lags.is_empty() {
        return output.line(
            "there are no groups; begin one with `corelane consume --topic TOPIC --group NAME`",
        );
    }
    let mut headings = vec!["GROUP"];
    headings.extend(HEADINGS);
    let mut table = Table::new(&headings);
    for group in lags {
        for partition in &group.partitions {
            let mut row = vec![group.group.clone()];
            row.extend(partition.cells());
            table.push(row);
        }
        let empty = String::new;
        table.push(vec![
            group.group.clone(),
            "TOTAL".to_owned(),
            empty(),
            empty(),
            empty(),
            group.total.lag.to_string(),
            seconds(Some(group.total.lag_seconds)),
        ]);
    }
    output.table(&table)
}
