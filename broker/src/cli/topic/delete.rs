//! `corelane topic delete`.

use clap::Args;
use protocol::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use serde_json::json;

use crate::cli::client::{Client, ClusterArgs, Refusal};
use crate::cli::confirm::confirm;
use crate::cli::failure::Failure;
use crate::cli::output::{Output, counted};

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  corelane topic delete orders            (asks first)
  corelane topic delete orders --yes")]
pub(crate) struct DeleteArgs {
    /// The topic's name.
    name: String,

    /// Do not ask.
    #[arg(short, long)]
    yes: bool,

    #[command(flatten)]
    cluster: ClusterArgs,
}

impl DeleteArgs {
    pub(super) fn run(&self, output: &mut Output) -> Result<(), Failure> {
        let mut client = Client::connect(&self.cluster)?;
        if !self.yes {
            let topic = client.topic_now(&self.name)?;
            let count = counted(topic.partitions.len() as u64, "partition");
            let question = format!("delete topic {} with {count} and all records?", self.name);
            confirm(&question)?;
        }
        let name = self.name.as_str();
        let request = DeleteTopicsRequest {
            topics: vec![DeleteTopicState { name: Some(name.into()), ..Default::default() }],
            topic_names: vec![name.into()],
            timeout_ms: client.timeout_ms(),
        };
        let response = client.controller(request)?;
        for result in &response.responses {
            if let Some(refusal) = Refusal::of(result.error_code) {
                return Err(
                    refusal.failure(&format!("topic {name}"), result.error_message.as_deref())
                );
            }
        }
        if output.is_json() {
            return output.json(&json!({ "topic": name, "deleted": true }));
        }
        output.line(format_args!("deleted topic {name}"))
    }
}
