//! `corelane consume`: records of a topic, all partitions of it, or those that a group gives to this member.
//!
//! * `position`: where to begin
//! * `reader`: fetches from every leader
//! * `in_group`: reads what the group gives, commits, leaves; `member`: what is said to the coordinator meanwhile
//! * `print`: how a record is shown

mod in_group;
mod member;
mod position;
mod print;
mod reader;

use std::collections::BTreeMap;

use clap::Args;

use super::client::{Client, ClusterArgs, TopicInfo};
use super::failure::Failure;
use super::output::Output;
use super::topic_argument::TopicArgument;
use in_group::InGroup;
use member::Member;
use position::From;
use print::{Printer, RecordFormat};
use reader::{Chosen, Reader, Wanted};

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  corelane consume --topic orders                          (everything there is, then end)
  corelane consume --topic orders --from end --follow      (what comes from now on)
  corelane consume --topic orders --from -1h --output json
  corelane consume --topic orders --from time:2026-01-01T00:00:00Z --partition 3 --count 10
  corelane consume --topic orders --group billing --follow (as a member of a group)

With --group, all that read with the same group share the topic's partitions, in whatever processes and languages:
each partition has one reader. Who ends, or is killed, is replaced, and goes on where the group committed. Offsets
are committed every five seconds, when partitions go to another member, and at the end (also by Ctrl-C or SIGTERM).
A record that was printed right before a kill may be printed again by whoever takes over; none is left out. --from
counts where the group has committed nothing yet. `corelane group describe billing` shows who reads what.")]
pub(crate) struct ConsumeArgs {
    #[command(flatten)]
    topic: TopicArgument,

    /// Read as a member of this group, from where it committed.
    #[arg(short, long, value_name = "GROUP", conflicts_with = "partitions")]
    group: Option<String>,

    /// Only this partition; may be given several times.
    #[arg(short, long = "partition", value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    partitions: Vec<i32>,

    /// Where to begin: beginning, end, an offset, time:2026-01-01T00:00:00Z, or how long ago (-1h).
    #[arg(long, value_name = "WHERE", default_value = "beginning", allow_hyphen_values = true, value_parser = position::parse)]
    from: From,

    /// End after this many records.
    #[arg(short = 'n', long, alias = "max", value_name = "N")]
    count: Option<u64>,

    /// Do not end at the end: wait for more.
    #[arg(short, long)]
    follow: bool,

    /// What to print of each record.
    #[arg(short, long, value_enum)]
    output: Option<RecordFormat>,

    /// Between key and value of `--output key-value`.
    #[arg(long, value_name = "TEXT", default_value = "\t", hide_default_value = true)]
    key_separator: String,

    #[command(flatten)]
    cluster: ClusterArgs,
}

impl ConsumeArgs {
    pub(crate) fn run(&self, output: &mut Output) -> Result<(), Failure> {
        let mut client = Client::connect(&self.cluster)?;
        let topic = client.topic(self.topic.name(), &self.partitions)?;
        if let Some(group) = &self.group {
            return self.run_in_group(group, client, topic, output);
        }
        let partitions = self.online(&topic)?;
        let positions = self.from.positions(&mut client, &topic, &partitions)?;
        let ends = match self.follow {
            true => None,
            false => Some(position::ends(&mut client, &topic, &partitions)?),
        };
        if let (From::Offset(offset), Some(ends)) = (self.from, &ends) {
            position::check(offset, &topic, ends)?;
        }
        if let Some(ends) = &ends
            && partitions.iter().all(|index| positions.get(index) >= ends.get(index))
        {
            // On standard error: what is read stays what is read.
            eprintln!("nothing is there to read; --follow waits for more");
        }
        let chosen = match self.partitions.is_empty() {
            true => Chosen::AsTopic,
            false => Chosen::ByNumber,
        };
        let wanted = Wanted { positions, ends, count: self.count, chosen };
        Reader::new(client, topic, wanted, self.printer(output)).run(output)
    }

    fn run_in_group(
        &self,
        group: &str,
        client: Client,
        topic: TopicInfo,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let ends = if self.follow { None } else { Some(BTreeMap::new()) };
        let (positions, chosen) = (BTreeMap::new(), Chosen::ByGroup);
        let wanted = Wanted { positions, ends, count: self.count, chosen };
        let member = Member::new(group, &topic)?;
        let reader = Reader::new(client, topic, wanted, self.printer(output));
        InGroup::new(reader, member, self.from)?.run(output)
    }

    fn printer(&self, output: &Output) -> Printer {
        let format = match (self.output, output.is_json()) {
            (Some(format), _) => format,
            (None, true) => RecordFormat::Json,
            (None, false) => RecordFormat::Value,
        };
        Printer::new(format, self.topic.name().to_owned(), self.key_separator.clone())
    }

    /// The partitions to read. Of a whole topic those that are online; one that was asked for by its number
    /// must be.
    fn online(&self, topic: &TopicInfo) -> Result<Vec<i32>, Failure> {
        let chosen = topic.select(&self.partitions)?;
        let (offline, online): (Vec<_>, Vec<_>) =
            chosen.into_iter().partition(|partition| partition.offline.is_some());
        if let Some(first) = offline.first()
            && (online.is_empty() || !self.partitions.is_empty())
        {
            return Err(topic.without_leader(first.index));
        }
        for partition in offline {
            reader::tell_unread(topic, partition.index);
        }
        Ok(online.iter().map(|partition| partition.index).collect())
    }
}
