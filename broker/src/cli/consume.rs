//! `corelane consume`: records of a topic, all partitions, without a group.
//!
//! * `position`: where to begin
//! * `reader`: fetches from every leader
//! * `print`: how a record is shown

mod position;
mod print;
mod reader;

use clap::Args;

use super::client::{Client, ClusterArgs, TopicInfo};
use super::failure::Failure;
use super::output::Output;
use super::topic_argument::TopicArgument;
use position::From;
use print::{Printer, RecordFormat};
use reader::{Reader, Wanted};

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  corelane consume --topic orders                          (everything there is, then end)
  corelane consume --topic orders --from end --follow      (what comes from now on)
  corelane consume --topic orders --from -1h --output json
  corelane consume --topic orders --from time:2026-01-01T00:00:00Z --partition 3 --count 10")]
pub(crate) struct ConsumeArgs {
    #[command(flatten)]
    topic: TopicArgument,

    /// Only this partition; may be given several times.
    #[arg(short, long = "partition", value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    partitions: Vec<i32>,

    /// Where to begin: beginning, end, an offset, time:2026-01-01T00:00:00Z, or how long ago (-1h).
    #[arg(long, value_name = "WHERE", default_value = "beginning", allow_hyphen_values = true, value_parser = position::parse)]
    from: From,

    /// End after this many records.
    #[arg(short = 'n', long, value_name = "N")]
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
        let partitions = self.online(&topic)?;
        let positions = self.from.positions(&mut client, &topic, &partitions)?;
        let ends = match self.follow {
            true => None,
            false => Some(position::ends(&mut client, &topic, &partitions)?),
        };
        if let Some(ends) = &ends
            && partitions.iter().all(|index| positions.get(index) >= ends.get(index))
        {
            // On standard error: what is read stays what is read.
            eprintln!("nothing is there to read; --follow waits for more");
        }
        let format = match (self.output, output.is_json()) {
            (Some(format), _) => format,
            (None, true) => RecordFormat::Json,
            (None, false) => RecordFormat::Value,
        };
        let printer =
            Printer::new(format, self.topic.name().to_owned(), self.key_separator.clone());
        let is_by_name = !self.partitions.is_empty();
        let wanted = Wanted { positions, ends, count: self.count, is_by_name };
        Reader::new(client, topic, wanted, printer).run(output)
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
