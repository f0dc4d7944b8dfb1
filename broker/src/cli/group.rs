//! `corelane group`: which groups there are, where they are, how far behind, and moving or removing them.
//!
//! * `list`, `describe`, `lag`, `seek`, `delete`, `delete_offsets`: one command each
//! * `partitions`: where a group is in each partition, and how far behind
//! * `logs`: where logs start and end, and when their records were written
//! * `topic_choice`: `--topic T:0,1`

mod delete;
mod delete_offsets;
mod describe;
mod lag;
mod list;
mod logs;
mod partitions;
mod seek;
mod topic_choice;

use clap::Subcommand;

use super::client::Client;
use super::client::groups::GroupInfo;
use super::failure::Failure;
use super::limits::MEMBERS_NAMED_MAX;
use super::output::{Output, counted};

pub(super) const EXAMPLES: &str = "Examples:
  corelane group list --lag
  corelane group describe analytics --members
  corelane group lag analytics --watch
  corelane group seek analytics --to-earliest            (shows what would change)
  corelane group seek analytics --to-earliest --execute
  corelane group delete analytics

A group is a team that reads topics together: each partition has one reader in it, and the group remembers
the offset to go on at. Begin one with `corelane consume --topic TOPIC --group NAME`.";

#[derive(Debug, Subcommand)]
pub(crate) enum GroupCommand {
    /// Lists groups with their type, state and members.
    List(list::ListArgs),
    /// Shows a group's offsets, lag and members.
    Describe(describe::DescribeArgs),
    /// Shows how far behind groups are, in records and in seconds.
    Lag(lag::LagArgs),
    /// Moves a group to other offsets; shows what would change first.
    Seek(seek::SeekArgs),
    /// Deletes groups and all that they committed.
    Delete(delete::DeleteArgs),
    /// Makes a group forget its offsets of topics.
    DeleteOffsets(delete_offsets::DeleteOffsetsArgs),
}

impl GroupCommand {
    pub(crate) fn run(&self, output: &mut Output) -> Result<(), Failure> {
        match self {
            Self::List(args) => args.run(output),
            Self::Describe(args) => args.run(output),
            Self::Lag(args) => args.run(output),
            Self::Seek(args) => args.run(output),
            Self::Delete(args) => args.run(output),
            Self::DeleteOffsets(args) => args.run(output),
        }
    }
}

/// A group that must be there.
fn known_group(client: &mut Client, id: &str) -> Result<GroupInfo, Failure> {
    client.group(id)?.ok_or_else(|| no_such_group(id))
}

fn no_such_group(id: &str) -> Failure {
    Failure::failed(format!("there is no group {id}; see what there is with `corelane group list`"))
}

/// `2 members: app (/10.0.0.5), app (/10.0.0.6)`.
fn members_of(group: &GroupInfo) -> String {
    let count = counted(group.members.len() as u64, "member");
    let named = group.members.iter().take(MEMBERS_NAMED_MAX);
    let named = named.map(|member| format!("{} ({})", member.client_id, member.host));
    let mut named: Vec<String> = named.collect();
    match group.members.len() - named.len() {
        0 => {}
        more => named.push(format!("and {more} more")),
    }
    if named.is_empty() { count } else { format!("{count}: {}", named.join(", ")) }
}

/// Why a group cannot be changed now, and what to do; `None`: it can.
fn in_use(group: &GroupInfo) -> Option<String> {
    let (id, state, members) = (&group.id, &group.state, members_of(group));
    (!group.is_empty()).then(|| format!("group {id} is {state} with {members}; stop them first"))
}
