//! `corelane partition`: which core and disk each partition lives on, and why; moving one.
//!
//! Kafka's protocol knows no cores: this is asked on the node's admin address.

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tuning::ByteCount;

use super::admin_http::{AdminArgs, encoded};
use super::failure::Failure;
use super::output::{Output, Table};

pub(super) const EXAMPLES: &str = "Examples:
  corelane partition list orders
  corelane partition move orders 3 --shard 1";

#[derive(Debug, Subcommand)]
pub(crate) enum PartitionCommand {
    /// Lists partitions with their core, disk and size, and why they live there.
    List(ListArgs),
    /// Moves a partition to another shard (core) of the node.
    Move(MoveArgs),
}

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  corelane partition list
  corelane partition list orders")]
pub(crate) struct ListArgs {
    /// Only this topic.
    topic: Option<String>,

    #[command(flatten)]
    admin: AdminArgs,
}

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  corelane partition move orders 3 --shard 1
\nClients notice nothing but a short pause: no record is lost or reordered.")]
pub(crate) struct MoveArgs {
    /// The partition's topic.
    topic: String,

    /// The partition's number.
    #[arg(value_parser = clap::value_parser!(i32).range(0..))]
    partition: i32,

    /// The shard that shall own it; `corelane partition list` shows them.
    #[arg(long, value_name = "N")]
    shard: u16,

    /// The log directory that holds it: a partition keeps its own while the node runs.
    #[arg(long, value_name = "DIR")]
    dir: Option<String>,

    #[command(flatten)]
    admin: AdminArgs,
}

/// The answer to `GET /v1/partitions`, as far as it is shown.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Placement {
    pub(crate) partitions: Vec<PlacedPartition>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct PlacedPartition {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    /// `None`: the coordinator's.
    shard: Option<u16>,
    #[serde(default)]
    core: Option<u32>,
    #[serde(default)]
    pub(crate) directory: String,
    #[serde(default)]
    bytes: u64,
    #[serde(default)]
    durability: String,
    #[serde(default)]
    pub(crate) state: String,
    #[serde(default)]
    why: String,
    #[serde(default)]
    pub(crate) damage: Vec<DamagedPlace>,
}

/// Where reads found a segment damaged.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct DamagedPlace {
    pub(crate) file: String,
    pub(crate) position: u64,
    pub(crate) offset: i64,
    pub(crate) what: String,
}

/// The answer to a move.
#[derive(Debug, Deserialize, Serialize)]
struct Moved {
    topic: String,
    partition: i32,
    from: Place,
    to: Place,
}

#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Place {
    shard: u16,
    #[serde(default)]
    directory: String,
}

impl PartitionCommand {
    pub(crate) fn run(&self, output: &mut Output) -> Result<(), Failure> {
        match self {
            Self::List(args) => args.run(output),
            Self::Move(args) => args.run(output),
        }
    }
}

impl ListArgs {
    fn run(&self, output: &mut Output) -> Result<(), Failure> {
        let path = match &self.topic {
            Some(topic) => format!("/v1/partitions?topic={}", encoded(topic)),
            None => "/v1/partitions".to_owned(),
        };
        let answer = self.admin.get(&path)?;
        if output.is_json() {
            // All that the node says, also what this version does not know.
            let mut value: Value = answer.value()?;
            if let Some(partitions) = value.get_mut("partitions").and_then(Value::as_array_mut) {
                partitions.sort_by_key(|one| {
                    let topic = one["topic"].as_str().unwrap_or_default().to_owned();
                    (topic, one["partition"].as_i64())
                });
            }
            return output.json(&value);
        }
        let mut placement: Placement = answer.value()?;
        placement.partitions.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        let mut table = Table::new(&[
            "TOPIC",
            "PARTITION",
            "SHARD",
            "CORE",
            "SIZE",
            "DIRECTORY",
            "STATE",
            "WHY",
        ]);
        for partition in placement.partitions {
            let directory = match partition.directory.as_str() {
                "" => "missing".to_owned(),
                known => known.to_owned(),
            };
            let state = match partition.durability.as_str() {
                "memory" => format!("{}, memory", partition.state),
                _ => partition.state.clone(),
            };
            table.push(vec![
                partition.topic,
                partition.partition.to_string(),
                partition.shard.map_or("coordinator".to_owned(), |shard| shard.to_string()),
                partition.core.map_or_else(|| "–".to_owned(), |core| core.to_string()),
                ByteCount(partition.bytes).to_string(),
                directory,
                state,
                partition.why,
            ]);
        }
        if table.is_empty() {
            return output
                .line("there are no partitions; create a topic with `corelane topic create NAME`");
        }
        output.table(&table)
    }
}

impl MoveArgs {
    fn run(&self, output: &mut Output) -> Result<(), Failure> {
        let directory = self.dir.as_deref().map(|dir| format!("&dir={}", encoded(dir)));
        let path = format!(
            "/v1/partitions/{}/{}/move?shard={}{}",
            encoded(&self.topic),
            self.partition,
            self.shard,
            directory.unwrap_or_default()
        );
        let moved: Moved = self.admin.post(&path)?.value()?;
        if output.is_json() {
            return output.json(&moved);
        }
        let (topic, partition) = (&moved.topic, moved.partition);
        let shard = moved.to.shard;
        if moved.from == moved.to {
            return output.line(format_args!("{topic}-{partition} lives on shard {shard} already"));
        }
        let directory = match moved.from.directory == moved.to.directory {
            true => String::new(),
            false => format!(", in {}", moved.to.directory),
        };
        let from = moved.from.shard;
        output.line(format_args!(
            "moved {topic}-{partition} from shard {from} to shard {shard}{directory}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::Placement;

    #[test]
    fn a_placement_needs_little_and_ignores_what_it_does_not_know() {
        let text = r#"{"partitions":[{"topic":"t","partition":1,"shard":2,"core":null,"new":[1]}],"x":{}}"#;
        let placement: Placement = serde_json::from_str(text).unwrap();
        assert_eq!(placement.partitions[0].shard, Some(2));
        assert_eq!(placement.partitions[0].core, None);
    }
}
