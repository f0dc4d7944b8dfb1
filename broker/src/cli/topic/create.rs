//! `corelane topic create`.

use clap::Args;
use protocol::ErrorCode;
use protocol::messages::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreatableTopicResult, CreateTopicsRequest,
};
use serde::Serialize;

use super::setting;
use crate::cli::client::{Client, ClusterArgs, Refusal};
use crate::cli::failure::Failure;
use crate::cli::output::Output;

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  corelane topic create orders
  corelane topic create orders --partitions 12 --config retention.ms=86400000
  corelane topic create metrics --config corelane.durability=memory --if-not-exists")]
pub(crate) struct CreateArgs {
    /// The topic's name.
    name: String,

    /// Number of partitions; left out, the broker's num.partitions.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,

    /// Copies of each partition; left out, the broker's default.replication.factor.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i16).range(1..))]
    replication_factor: Option<i16>,

    /// A setting of the topic; may be given several times.
    #[arg(short, long = "config", value_name = "NAME=VALUE", value_parser = setting)]
    configs: Vec<(String, String)>,

    /// Succeed where the topic exists already.
    #[arg(long)]
    if_not_exists: bool,

    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Serialize)]
struct Created<'a> {
    topic: &'a str,
    created: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    partitions: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replication_factor: Option<i16>,
}

impl CreateArgs {
    pub(super) fn run(&self, output: &mut Output) -> Result<(), Failure> {
        let mut client = Client::connect(&self.cluster)?;
        let result = self.ask(&mut client)?;
        match Refusal::of(result.error_code) {
            None => self.say_created(&result, output),
            Some(refusal) if refusal.is(ErrorCode::TopicAlreadyExists) && self.if_not_exists => {
                self.say_exists(output)
            }
            Some(refusal) => {
                let what = format!("topic {}", self.name);
                Err(refusal.failure(&what, result.error_message.as_deref()))
            }
        }
    }

    fn ask(&self, client: &mut Client) -> Result<CreatableTopicResult, Failure> {
        let config = |(name, value): &(String, String)| CreatableTopicConfig {
            name: name.as_str().into(),
            value: Some(value.as_str().into()),
        };
        let topic = CreatableTopic {
            name: self.name.as_str().into(),
            num_partitions: self.partitions.unwrap_or(-1),
            replication_factor: self.replication_factor.unwrap_or(-1),
            assignments: Vec::new(),
            configs: self.configs.iter().map(config).collect(),
        };
        let request = CreateTopicsRequest {
            topics: vec![topic],
            timeout_ms: client.timeout_ms(),
            validate_only: false,
        };
        let response = client.controller(request)?;
        let missing = || Failure::failed("the broker did not answer for the topic; try again");
        response.topics.into_iter().next().ok_or_else(missing)
    }

    fn say_created(
        &self,
        result: &CreatableTopicResult,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let known = result.num_partitions > 0;
        let partitions = known.then_some(result.num_partitions).or(self.partitions);
        if output.is_json() {
            return output.json(&Created {
                topic: &self.name,
                created: true,
                topic_id: (!result.topic_id.is_none()).then(|| result.topic_id.to_string()),
                partitions,
                replication_factor: known.then_some(result.replication_factor),
            });
        }
        let count = match partitions {
            Some(1) => " with 1 partition".to_owned(),
            Some(partitions) => format!(" with {partitions} partitions"),
            None => String::new(),
        };
        output.line(format_args!("created topic {}{count}", self.name))
    }

    fn say_exists(&self, output: &mut Output) -> Result<(), Failure> {
        if output.is_json() {
            return output.json(&Created {
                topic: &self.name,
                created: false,
                topic_id: None,
                partitions: None,
                replication_factor: None,
            });
        }
        output.line(format_args!("topic {} exists already", self.name))
    }
}
