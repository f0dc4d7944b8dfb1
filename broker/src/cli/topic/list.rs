//! `corelane topic list`.

use clap::Args;
use serde::Serialize;

use crate::cli::client::{Client, ClusterArgs};
use crate::cli::failure::Failure;
use crate::cli::output::{Output, Table};

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  corelane topic list
  corelane topic list --format json")]
pub(crate) struct ListArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Serialize)]
struct Listed {
    topic: String,
    topic_id: String,
    partitions: usize,
    replication_factor: usize,
    internal: bool,
}

impl ListArgs {
    pub(super) fn run(&self, output: &mut Output) -> Result<(), Failure> {
        let topics = Client::connect(&self.cluster)?.topics()?;
        let listed: Vec<Listed> = topics
            .into_iter()
            .map(|topic| Listed {
                topic_id: topic.id.to_string(),
                partitions: topic.partitions.len(),
                replication_factor: topic.partitions.first().map_or(0, |p| p.replicas.len()),
                internal: topic.is_internal,
                topic: topic.name,
            })
            .collect();
        if output.is_json() {
            return output.json(&listed);
        }
        if listed.is_empty() {
            return output
                .line("there are no topics; create one with `corelane topic create NAME`");
        }
        let mut table = Table::new(&["TOPIC", "PARTITIONS", "REPLICAS", "TOPIC ID"]);
        for topic in listed {
            let name =
                if topic.internal { format!("{} (internal)", topic.topic) } else { topic.topic };
            table.push(vec![
                name,
                topic.partitions.to_string(),
                topic.replication_factor.to_string(),
                topic.topic_id,
            ]);
        }
        output.table(&table)
    }
}
