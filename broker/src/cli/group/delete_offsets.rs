//! `corelane group delete-offsets`.

use std::collections::BTreeMap;

use clap::Args;
use protocol::messages::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use serde_json::json;

use super::known_group;
use super::topic_choice::{self, TopicChoice};
use crate::cli::client::{Client, ClusterArgs, Refusal};
use crate::cli::confirm::confirm;
use crate::cli::failure::Failure;
use crate::cli::output::{Output, counted};

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  corelane group delete-offsets analytics --topic orders            (asks first)
  corelane group delete-offsets analytics --topic orders:0,1 --yes

No member of the group may read the topic. A group that comes back to it begins anew there.")]
pub(crate) struct DeleteOffsetsArgs {
    /// The group.
    group: String,

    /// The topic, or some partitions of it (TOPIC:0,1); may be given several times.
    #[arg(short, long = "topic", value_name = "TOPIC[:N,N]", required = true, value_parser = topic_choice::parse)]
    topics: Vec<TopicChoice>,

    /// Do not ask.
    #[arg(short, long)]
    yes: bool,

    #[command(flatten)]
    cluster: ClusterArgs,
}

impl DeleteOffsetsArgs {
    pub(super) fn run(&self, output: &mut Output) -> Result<(), Failure> {
        let mut client = Client::connect(&self.cluster)?;
        known_group(&mut client, &self.group)?;
        let wanted = self.committed(&mut client)?;
        let count = counted(wanted.values().map(|of| of.len() as u64).sum(), "partition");
        let topics: Vec<&str> = wanted.keys().map(String::as_str).collect();
        let topics = topics.join(", ");
        if !self.yes {
            let group = &self.group;
            confirm(&format!("make group {group} forget {count} of {topics}?"))?;
        }
        self.delete(&mut client, &wanted)?;
        if output.is_json() {
            return output.json(&json!({ "group": self.group, "deleted": wanted }));
        }
        output.line(format_args!("group {} forgot {count} of {topics}", self.group))
    }

    /// Where the group committed, of what is chosen.
    fn committed(&self, client: &mut Client) -> Result<BTreeMap<String, Vec<i32>>, Failure> {
        let found = client.committed(&self.group, None)?;
        let found =
            found.map_err(|refusal| refusal.failure(&format!("group {}", self.group), None))?;
        let mut wanted: BTreeMap<String, Vec<i32>> = BTreeMap::new();
        for choice in &self.topics {
            let of_choice = found.iter().filter(|one| {
                let is_chosen =
                    choice.partitions.is_empty() || choice.partitions.contains(&one.partition);
                one.topic == choice.topic && is_chosen
            });
            let partitions = wanted.entry(choice.topic.clone()).or_default();
            partitions.extend(of_choice.map(|one| one.partition));
            partitions.sort_unstable();
            partitions.dedup();
            if partitions.is_empty() {
                return Err(Failure::failed(format!(
                    "group {0} has committed nothing there in {1}; see where it has with `corelane group describe {0}`",
                    self.group, choice.topic
                )));
            }
        }
        Ok(wanted)
    }

    fn delete(
        &self,
        client: &mut Client,
        wanted: &BTreeMap<String, Vec<i32>>,
    ) -> Result<(), Failure> {
        let partition = |index: &i32| OffsetDeleteRequestPartition { partition_index: *index };
        let topic = |(name, partitions): (&String, &Vec<i32>)| OffsetDeleteRequestTopic {
            name: name.as_str().into(),
            partitions: partitions.iter().map(partition).collect(),
        };
        let request = || OffsetDeleteRequest {
            group_id: self.group.as_str().into(),
            topics: wanted.iter().map(topic).collect(),
        };
        let response =
            client.on_coordinator(&self.group, request, |response| response.error_code)?;
        if let Some(refusal) = Refusal::of(response.error_code) {
            return Err(refusal.failure(&format!("group {}", self.group), None));
        }
        for topic in &response.topics {
            for partition in &topic.partitions {
                if let Some(refusal) = Refusal::of(partition.error_code) {
                    let what = format!("partition {} of {}", partition.partition_index, topic.name);
                    return Err(refusal.failure(&what, None));
                }
            }
        }
        Ok(())
    }
}
