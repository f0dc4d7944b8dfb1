//! `corelane group seek`: another place to go on at, shown before it is committed.
//!
//! * `target`: what the new offsets are

mod target;

use std::collections::BTreeMap;

use clap::Args;
use protocol::ErrorCode;
use protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use serde::Serialize;

use super::in_use;
use super::logs::Logs;
use super::partitions::number;
use super::topic_choice::{self, TopicChoice};
use crate::cli::client::groups::{Committed, GroupInfo};
use crate::cli::client::{Client, ClusterArgs, Refusal};
use crate::cli::failure::Failure;
use crate::cli::output::{Output, Table, counted};
use target::Target;

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  corelane group seek analytics --to-earliest              (shows what would change)
  corelane group seek analytics --to-earliest --execute    (changes it)
  corelane group seek analytics --by-duration 1h --topic orders --execute
  corelane group seek analytics --to-time 2026-01-01T00:00:00Z --topic orders:0,3
  corelane group seek analytics --shift -10 --execute      (the last ten of each partition again)
  corelane group seek new-team --to-latest --topic orders --execute   (before its first member comes)

Without --execute nothing is changed. The group must have no active members: they would go on where they are.
Offsets outside of a log become its start or its end, and the table says so. A time stands for the first record
of that time or later, and for the log end where there is none.")]
pub(crate) struct SeekArgs {
    /// The group; one that nobody has heard of begins with these offsets.
    group: String,

    #[command(flatten)]
    target: Target,

    /// Only this topic, or these partitions of it (TOPIC:0,1); may be given several times. Left out, all that the
    /// group committed in.
    #[arg(short, long = "topic", value_name = "TOPIC[:N,N]", value_parser = topic_choice::parse)]
    topics: Vec<TopicChoice>,

    /// Change it.
    #[arg(long)]
    execute: bool,

    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Serialize)]
struct Seek {
    group: String,
    executed: bool,
    /// Why --execute would be refused now.
    refused: Option<String>,
    partitions: Vec<Moved>,
}

#[derive(Serialize)]
struct Moved {
    topic: String,
    partition: i32,
    old_offset: Option<i64>,
    /// `None`: it is not moved.
    new_offset: Option<i64>,
    /// What is special about it.
    note: Option<&'static str>,
}

impl SeekArgs {
    pub(super) fn run(&self, output: &mut Output) -> Result<(), Failure> {
        let mut client = Client::connect(&self.cluster)?;
        let group = client.group(&self.group)?;
        let refused = group.as_ref().and_then(in_use);
        let refused = refused.map(|why| {
            format!("{why}: they go on where they are, and commit over what is changed here")
        });
        if let (true, Some(why)) = (self.execute, &refused) {
            return Err(Failure::failed(why.clone()));
        }
        let moved = self.moves(&mut client, group.as_ref())?;
        if self.execute {
            self.commit(&mut client, &moved)?;
        }
        if output.is_json() {
            let group = self.group.clone();
            return output.json(&Seek {
                group,
                executed: self.execute,
                refused,
                partitions: moved,
            });
        }
        self.show(&moved, output)?;
        let count = moved.iter().filter(|moved| moved.new_offset.is_some()).count();
        let partitions = counted(count as u64, "partition");
        let name = &self.group;
        match (self.execute, refused) {
            (true, _) => output.line(format_args!("moved group {name} in {partitions}")),
            (false, None) => {
                output.line("nothing is changed yet: repeat the command with --execute")
            }
            (false, Some(why)) => output
                .line(format_args!("nothing is changed, and --execute would be refused: {why}")),
        }
    }

    fn moves(&self, client: &mut Client, group: Option<&GroupInfo>) -> Result<Vec<Moved>, Failure> {
        let committed = match group {
            Some(group) => {
                let found = client.committed(&group.id, None)?;
                found.map_err(|refusal| refusal.failure(&format!("group {}", group.id), None))?
            }
            None => Vec::new(),
        };
        let wanted = self.wanted(client, &committed)?;
        let committed = committed.into_iter().map(|one| ((one.topic, one.partition), one.offset));
        let committed: BTreeMap<(String, i32), i64> = committed.collect();
        let mut logs = Logs::new(client)?;
        logs.look_at(client, &wanted)?;
        let mut moves = Vec::new();
        for (name, partitions) in &wanted {
            // Topics that are gone took the group's offsets with them.
            let Some(topic) = logs.topic(name) else { continue };
            let times = self.target.offsets_of_time(client, topic, partitions)?;
            for index in partitions {
                let old_offset = committed.get(&(name.clone(), *index)).copied();
                let log = logs.log(name, *index).ok_or_else(|| topic.without_leader(*index))?;
                let of_time = times.get(index).copied().flatten();
                let (new_offset, note) = self.target.of(log, old_offset, of_time);
                let (topic, partition) = (name.clone(), *index);
                moves.push(Moved { topic, partition, old_offset, new_offset, note });
            }
        }
        Ok(moves)
    }

    /// The partitions to move, by topic.
    fn wanted(
        &self,
        client: &mut Client,
        committed: &[Committed],
    ) -> Result<BTreeMap<String, Vec<i32>>, Failure> {
        let mut wanted: BTreeMap<String, Vec<i32>> = BTreeMap::new();
        for choice in &self.topics {
            let topic = client.topic(&choice.topic, &choice.partitions)?;
            let indexes = choice.indexes(&topic)?;
            wanted.entry(choice.topic.clone()).or_default().extend(indexes);
        }
        if self.topics.is_empty() {
            for one in committed {
                wanted.entry(one.topic.clone()).or_default().push(one.partition);
            }
        }
        if wanted.is_empty() {
            return Err(Failure::failed(format!(
                "group {} has committed nothing; name what to move with --topic",
                self.group
            )));
        }
        for partitions in wanted.values_mut() {
            partitions.sort_unstable();
            partitions.dedup();
        }
        Ok(wanted)
    }

    fn commit(&self, client: &mut Client, moved: &[Moved]) -> Result<(), Failure> {
        let mut topics: BTreeMap<&str, Vec<OffsetCommitRequestPartition>> = BTreeMap::new();
        for one in moved {
            if let Some(offset) = one.new_offset {
                topics.entry(&one.topic).or_default().push(OffsetCommitRequestPartition {
                    partition_index: one.partition,
                    committed_offset: offset,
                    committed_leader_epoch: -1,
                    committed_metadata: Some("".into()),
                });
            }
        }
        if topics.is_empty() {
            return Ok(());
        }
        let topic = |(name, partitions): (&&str, &Vec<OffsetCommitRequestPartition>)| {
            OffsetCommitRequestTopic { name: (*name).into(), partitions: partitions.clone() }
        };
        // From nobody's hands: the coordinator takes it only while the group is empty.
        let request = || OffsetCommitRequest {
            group_id: self.group.as_str().into(),
            generation_id_or_member_epoch: -1,
            topics: topics.iter().map(topic).collect(),
            ..OffsetCommitRequest::default()
        };
        let response = client.on_coordinator(&self.group, request, |response| {
            let mut partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
            partitions.next().map_or(0, |partition| partition.error_code)
        })?;
        for topic in &response.topics {
            for partition in &topic.partitions {
                match Refusal::of(partition.error_code) {
                    None => {}
                    Some(refusal) if refusal.is(ErrorCode::UnknownMemberId) => {
                        return Err(Failure::failed(format!(
                            "group {} got members meanwhile; stop them first, then repeat the command",
                            self.group
                        )));
                    }
                    Some(refusal) => {
                        let what =
                            format!("partition {} of {}", partition.partition_index, topic.name);
                        return Err(refusal.failure(&what, None));
                    }
                }
            }
        }
        Ok(())
    }

    fn show(&self, moved: &[Moved], output: &mut Output) -> Result<(), Failure> {
        let headings = ["TOPIC", "PARTITION", "OLD", "NEW", "NOTE"];
        let has_notes = moved.iter().any(|moved| moved.note.is_some());
        let shown = if has_notes { headings.len() } else { headings.len() - 1 };
        let mut table = Table::new(&headings[..shown]);
        for one in moved {
            let mut row = vec![
                one.topic.clone(),
                one.partition.to_string(),
                number(one.old_offset),
                number(one.new_offset),
            ];
            if has_notes {
                row.push(one.note.unwrap_or_default().to_owned());
            }
            table.push(row);
        }
        output.table(&table)
    }
}
