//! `corelane topic describe`.

use std::collections::BTreeMap;

use clap::Args;
use protocol::messages::describe_log_dirs::{DescribableLogDirTopic, DescribeLogDirsRequest};
use serde::Serialize;
use tuning::ByteCount;

use super::config::{Setting, settings_of};
use super::offsets::{EARLIEST, LATEST, offsets_of};
use crate::cli::client::{Client, ClusterArgs, PartitionInfo, TopicInfo};
use crate::cli::failure::Failure;
use crate::cli::output::{Colour, Output, Table};

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  corelane topic describe orders
  corelane topic describe                 (all topics)")]
pub(crate) struct DescribeArgs {
    /// The topic's name; left out, all topics.
    name: Option<String>,

    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Serialize)]
struct Described {
    topic: String,
    topic_id: String,
    partitions: Vec<DescribedPartition>,
    /// What was set for this topic; all else is default.
    configs: Vec<Setting>,
}

#[derive(Serialize)]
struct DescribedPartition {
    partition: i32,
    leader: i32,
    leader_epoch: i32,
    replicas: Vec<i32>,
    isr: Vec<i32>,
    /// `None` where the partition could not be asked.
    log_start_offset: Option<i64>,
    end_offset: Option<i64>,
    bytes: Option<i64>,
}

impl DescribeArgs {
    pub(super) fn run(&self, output: &mut Output) -> Result<(), Failure> {
        let mut client = Client::connect(&self.cluster)?;
        let topics = match &self.name {
            Some(name) => vec![client.topic(name, &[])?],
            None => client.topics()?,
        };
        let mut described = Vec::new();
        for topic in &topics {
            described.push(describe(&mut client, topic)?);
        }
        if output.is_json() {
            return match self.name {
                Some(_) => output.json(&described[0]),
                None => output.json(&described),
            };
        }
        if described.is_empty() {
            return output
                .line("there are no topics; create one with `corelane topic create NAME`");
        }
        for (number, topic) in described.iter().enumerate() {
            if number > 0 {
                output.line("")?;
            }
            show(topic, output)?;
        }
        Ok(())
    }
}

fn describe(client: &mut Client, topic: &TopicInfo) -> Result<Described, Failure> {
    let led: Vec<i32> =
        topic.partitions.iter().filter(|p| p.leader >= 0).map(|p| p.index).collect();
    let starts = offsets_of(client, topic, &led, EARLIEST)?;
    let ends = offsets_of(client, topic, &led, LATEST)?;
    let sizes = sizes_of(client, topic)?;
    let of = |partition: &PartitionInfo| DescribedPartition {
        partition: partition.index,
        leader: partition.leader,
        leader_epoch: partition.leader_epoch,
        replicas: partition.replicas.clone(),
        isr: partition.isr.clone(),
        log_start_offset: starts.get(&partition.index).copied().flatten(),
        end_offset: ends.get(&partition.index).copied().flatten(),
        bytes: sizes.get(&(partition.leader, partition.index)).copied(),
    };
    let configs = settings_of(client, &topic.name)?;
    Ok(Described {
        topic: topic.name.clone(),
        topic_id: topic.id.to_string(),
        partitions: topic.partitions.iter().map(of).collect(),
        configs: configs.into_iter().filter(Setting::is_override).collect(),
    })
}

/// Bytes of each partition on its leader.
fn sizes_of(client: &mut Client, topic: &TopicInfo) -> Result<BTreeMap<(i32, i32), i64>, Failure> {
    let mut by_leader: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for partition in topic.partitions.iter().filter(|partition| partition.leader >= 0) {
        by_leader.entry(partition.leader).or_default().push(partition.index);
    }
    let mut sizes = BTreeMap::new();
    for (leader, partitions) in by_leader {
        let wanted = DescribableLogDirTopic { topic: topic.name.as_str().into(), partitions };
        let request = DescribeLogDirsRequest { topics: Some(vec![wanted]) };
        let response = client.on_broker(leader, request)?;
        let topics = response.results.iter().flat_map(|directory| &directory.topics);
        for partition in topics.flat_map(|topic| &topic.partitions) {
            if !partition.is_future_key {
                sizes.insert((leader, partition.partition_index), partition.partition_size);
            }
        }
    }
    Ok(sizes)
}

fn show(topic: &Described, output: &mut Output) -> Result<(), Failure> {
    let name = output.coloured(Colour::Bold, &topic.topic);
    output.line(format_args!("topic {name}  id {}", topic.topic_id))?;
    let set: Vec<String> = topic.configs.iter().map(|config| config.as_assignment()).collect();
    if !set.is_empty() {
        output.line(format_args!("set: {}", set.join(", ")))?;
    }
    let mut table = Table::new(&[
        "PARTITION",
        "LEADER",
        "EPOCH",
        "REPLICAS",
        "IN SYNC",
        "START",
        "END",
        "RECORDS",
        "SIZE",
    ]);
    let number = |value: Option<i64>| value.map_or_else(|| "–".to_owned(), |n| n.to_string());
    for partition in &topic.partitions {
        let span = partition.end_offset.zip(partition.log_start_offset);
        let bytes = partition.bytes.and_then(|bytes| u64::try_from(bytes).ok());
        table.push(vec![
            partition.partition.to_string(),
            if partition.leader < 0 { "none".to_owned() } else { partition.leader.to_string() },
            partition.leader_epoch.to_string(),
            ids(&partition.replicas),
            ids(&partition.isr),
            number(partition.log_start_offset),
            number(partition.end_offset),
            number(span.map(|(end, start)| end - start)),
            bytes.map_or_else(|| "–".to_owned(), |bytes| ByteCount(bytes).to_string()),
        ]);
    }
    output.table(&table)
}

fn ids(ids: &[i32]) -> String {
    let ids: Vec<String> = ids.iter().map(i32::to_string).collect();
    ids.join(",")
}
