//! `corelane group describe`.

use clap::Args;
use serde::Serialize;

use super::logs::Logs;
use super::partitions::{
    GroupPartition, HEADINGS, LAG_HELP, Measure, TotalLag, lost, partitions_of,
};
use super::{known_group, members_of};
use crate::cli::client::groups::{GroupInfo, GroupType, MemberInfo};
use crate::cli::client::{Client, ClusterArgs};
use crate::cli::failure::Failure;
use crate::cli::output::{Colour, Output, Table, counted};

#[derive(Args, Debug)]
#[command(after_help = format!("Examples:
  corelane group describe analytics
  corelane group describe analytics --members       (who is in it, and what each of them reads)
  corelane group describe analytics --format json

{LAG_HELP}"))]
pub(crate) struct DescribeArgs {
    /// The group.
    group: String,

    /// Its members, too: client, host, epoch, partitions.
    #[arg(short, long)]
    members: bool,

    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Serialize)]
struct Described {
    group: String,
    r#type: GroupType,
    state: String,
    /// `None` until there is one.
    assignor: Option<String>,
    coordinator: Coordinator,
    group_epoch: Option<i32>,
    assignment_epoch: Option<i32>,
    #[serde(flatten)]
    total: TotalLag,
    partitions: Vec<GroupPartition>,
    members: Vec<MemberInfo>,
}

#[derive(Serialize)]
struct Coordinator {
    broker: i32,
    address: Option<String>,
}

impl DescribeArgs {
    pub(super) fn run(&self, output: &mut Output) -> Result<(), Failure> {
        let mut client = Client::connect(&self.cluster)?;
        let group = known_group(&mut client, &self.group)?;
        let mut logs = Logs::new(&mut client)?;
        let measure = Measure::RecordsAndSeconds;
        let partitions = partitions_of(&mut client, &mut logs, &group, measure)?;
        let coordinator = Coordinator {
            broker: group.coordinator,
            address: client.address_of(group.coordinator).map(str::to_owned),
        };
        if output.is_json() {
            return output.json(&Described {
                r#type: group.group_type,
                assignor: Some(group.assignor).filter(|name| !name.is_empty()),
                coordinator,
                group_epoch: group.epochs.map(|epochs| epochs.0),
                assignment_epoch: group.epochs.map(|epochs| epochs.1),
                total: TotalLag::of(&partitions),
                partitions,
                members: group.members,
                group: group.id,
                state: group.state,
            });
        }
        self.show_head(&group, &coordinator, output)?;
        show_partitions(&group, &partitions, output)?;
        if self.members && !group.members.is_empty() {
            output.line("")?;
            show_members(&group, output)?;
        }
        Ok(())
    }

    fn show_head(
        &self,
        group: &GroupInfo,
        coordinator: &Coordinator,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let name = output.coloured(Colour::Bold, &group.id);
        let (kind, state) = (group.group_type.name(), &group.state);
        let members = match self.members {
            true => counted(group.members.len() as u64, "member"),
            false => members_of(group),
        };
        output.line(format_args!("group {name}  {kind} protocol, {state}, {members}"))?;
        let mut facts = Vec::new();
        if !group.assignor.is_empty() {
            facts.push(format!("assignor {}", group.assignor));
        }
        if let Some((epoch, assignment)) = group.epochs {
            facts.push(format!("epoch {epoch} (assignment {assignment})"));
        }
        let address = coordinator.address.as_deref().unwrap_or("unknown");
        facts.push(format!("coordinator {address} (broker {})", coordinator.broker));
        output.line(facts.join(", "))
    }
}

fn show_partitions(
    group: &GroupInfo,
    partitions: &[GroupPartition],
    output: &mut Output,
) -> Result<(), Failure> {
    if partitions.is_empty() {
        return output.line(match group.members.is_empty() {
            true => "nothing is committed and nobody reads",
            false => "nothing is committed, and no partition is assigned (yet)",
        });
    }
    let has_owners = partitions.iter().any(|partition| partition.owner.is_some());
    let has_metadata = partitions.iter().any(|partition| !partition.metadata.is_empty());
    let mut headings = HEADINGS.to_vec();
    headings.extend(has_owners.then_some(["CLIENT", "HOST"]).into_iter().flatten());
    headings.extend(has_metadata.then_some("METADATA"));
    let mut table = Table::new(&headings);
    for partition in partitions {
        let mut row = partition.cells().to_vec();
        if has_owners {
            let owner = partition.owner.as_ref();
            let owner = owner.map(|owner| [owner.client_id.clone(), owner.host.clone()]);
            row.extend(owner.unwrap_or_default());
        }
        if has_metadata {
            row.push(partition.metadata.clone());
        }
        table.push(row);
    }
    output.table(&table)?;
    for partition in partitions {
        if let Some(lost) = lost(partition) {
            let (topic, index) = (&partition.topic, partition.partition);
            let records = counted(lost.unsigned_abs(), "record");
            output.line(format_args!(
                "{topic}-{index}: {records} behind the committed offset were deleted before the group read them"
            ))?;
        }
    }
    Ok(())
}

fn show_members(group: &GroupInfo, output: &mut Output) -> Result<(), Failure> {
    let mut table =
        Table::new(&["MEMBER", "CLIENT", "HOST", "INSTANCE", "EPOCH", "PARTITIONS", "READS"]);
    for member in &group.members {
        let count: usize = member.partitions.values().map(Vec::len).sum();
        let reads = member.partitions.iter().map(|(topic, partitions)| {
            let partitions: Vec<String> = partitions.iter().map(i32::to_string).collect();
            format!("{topic}:{}", partitions.join(","))
        });
        let reads: Vec<String> = reads.collect();
        table.push(vec![
            member.member_id.clone(),
            member.client_id.clone(),
            member.host.clone(),
            member.instance_id.clone().unwrap_or_default(),
            member.epoch.map_or_else(|| "–".to_owned(), |epoch| epoch.to_string()),
            count.to_string(),
            reads.join(" "),
        ]);
    }
    output.table(&table)
}
