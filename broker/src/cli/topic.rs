//! `corelane topic`: what there is, creating, describing, configuring, deleting.
//!
//! * `create`, `list`, `describe`, `config`, `delete`: one command each
//! * `offsets`: log start and end offsets of partitions

mod config;
mod create;
mod delete;
mod describe;
mod list;
pub(super) mod offsets;

use clap::Subcommand;

use super::failure::Failure;
use super::output::Output;

pub(super) const EXAMPLES: &str = "Examples:
  corelane topic create orders --partitions 12
  corelane topic list
  corelane topic describe orders
  corelane topic config orders --set retention.ms=86400000
  corelane topic delete orders";

#[derive(Debug, Subcommand)]
pub(crate) enum TopicCommand {
    /// Creates a topic.
    Create(create::CreateArgs),
    /// Lists all topics.
    List(list::ListArgs),
    /// Shows partitions, leaders, offsets, sizes and settings.
    Describe(describe::DescribeArgs),
    /// Shows a topic's settings, or changes them.
    Config(config::ConfigArgs),
    /// Deletes a topic and all its records.
    Delete(delete::DeleteArgs),
}

impl TopicCommand {
    pub(crate) fn run(&self, output: &mut Output) -> Result<(), Failure> {
        match self {
            Self::Create(args) => args.run(output),
            Self::List(args) => args.run(output),
            Self::Describe(args) => args.run(output),
            Self::Config(args) => args.run(output),
            Self::Delete(args) => args.run(output),
        }
    }
}

/// `name=value`.
fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => {
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err("a setting is NAME=VALUE, as in retention.ms=86400000".to_owned()),
    }
}
