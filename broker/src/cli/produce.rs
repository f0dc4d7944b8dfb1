//! `corelane produce`: lines of standard input, or one value, to records.
//!
//! * `input`: where records come from, and what a line means
//! * `sender`: batches, partitions, acknowledgements

mod input;
mod sender;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use protocol::record_batch::Compression;
use serde::Serialize;

use super::client::{Client, ClusterArgs};
use super::failure::Failure;
use super::output::{Output, Table, counted};
use super::times;
use super::topic_argument::TopicArgument;
use input::{Input, RecordRules};
use sender::{Sender, SenderOptions};

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  echo 'hello' | corelane produce --topic orders
  corelane produce --topic orders --key user-12345 --value '{\"total\": 3}'
  corelane produce --topic orders --key-separator : < lines-of-key-and-value
  corelane produce --topic files --value-file picture.png --header name=picture.png
\nEach line is one record. A key chooses the partition as Java's producer does; records without a key go
to one partition until a batch is full, then to the next. Records are written once, in order, even if a
request has to be repeated, and acknowledged when they are on stable storage.")]
pub(crate) struct ProduceArgs {
    #[command(flatten)]
    topic: TopicArgument,

    /// The key of every record.
    #[arg(short, long)]
    key: Option<String>,

    /// Split each line at the first occurrence: key before it, value behind it.
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["key", "value", "value_file"])]
    key_separator: Option<String>,

    /// A header of every record; may be given several times.
    #[arg(short = 'H', long = "header", value_name = "NAME=VALUE", value_parser = header)]
    headers: Vec<(String, String)>,

    /// Write to this partition, whatever the key.
    #[arg(short, long, value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,

    /// 0: do not wait; 1: the leader has it; all: every in-sync replica has it.
    #[arg(long, value_enum, default_value_t = Acks::All)]
    acks: Acks,

    /// Compress batches.
    #[arg(short = 'z', long, value_enum, default_value_t = Codec::None)]
    compression: Codec,

    /// Time of every record: milliseconds since 1970, RFC 3339, or how long ago (-1h).
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = time)]
    timestamp: Option<i64>,

    /// One record with this value, instead of lines.
    #[arg(long, conflicts_with = "value_file")]
    value: Option<String>,

    /// One record with the contents of this file, instead of lines.
    #[arg(long, value_name = "FILE")]
    value_file: Option<PathBuf>,

    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Acks {
    #[value(name = "0")]
    None,
    #[value(name = "1")]
    Leader,
    #[value(alias = "-1")]
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Codec {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl Codec {
    fn compression(self) -> Compression {
        match self {
            Self::None => Compression::None,
            Self::Gzip => Compression::Gzip,
            Self::Snappy => Compression::Snappy,
            Self::Lz4 => Compression::Lz4,
            Self::Zstd => Compression::Zstd,
        }
    }
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("a header is NAME=VALUE, as in source=shop")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn time(text: &str) -> Result<i64, String> {
    times::parse(text, times::now_ms())
        .ok_or_else(|| "a time is 2026-01-01T00:00:00Z, milliseconds since 1970, or -1h".to_owned())
}

/// What was written to one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Written {
    pub(crate) partition: i32,
    pub(crate) records: u64,
    /// `None` where nothing was acknowledged (acks=0).
    pub(crate) first_offset: Option<i64>,
    pub(crate) last_offset: Option<i64>,
}

#[derive(Serialize)]
struct Produced<'a> {
    topic: &'a str,
    records: u64,
    partitions: Vec<Written>,
}

impl ProduceArgs {
    pub(crate) fn run(&self, output: &mut Output) -> Result<(), Failure> {
        let mut client = Client::connect(&self.cluster)?;
        let wanted: Vec<i32> = self.partition.into_iter().collect();
        let topic = client.topic(self.topic.name(), &wanted)?;
        topic.select(&wanted)?;
        let options = SenderOptions {
            acks: self.acks,
            compression: self.compression.compression(),
            partition: self.partition,
        };
        let mut sender = Sender::new(client, topic, options)?;
        let result = self.produce(&mut sender);
        // What was written stays written: it is told in any case.
        let written = sender.written();
        if result.is_ok() || !written.is_empty() {
            self.report(written, output)?;
            output.flush()?;
        }
        result
    }

    fn produce(&self, sender: &mut Sender) -> Result<(), Failure> {
        let rules = RecordRules {
            key: self.key.clone().map(String::into_bytes),
            key_separator: self.key_separator.clone().map(String::into_bytes),
            headers: self.headers.clone(),
            timestamp: self.timestamp,
        };
        let mut input = match (&self.value, &self.value_file) {
            (Some(value), _) => Input::one(value.clone().into_bytes()),
            (None, Some(path)) => Input::file(path)?,
            (None, None) => Input::lines(),
        };
        input.send_all(&rules, sender)
    }

    fn report(&self, written: Vec<Written>, output: &mut Output) -> Result<(), Failure> {
        let records = written.iter().map(|written| written.records).sum();
        if output.is_json() {
            return output.json(&Produced {
                topic: self.topic.name(),
                records,
                partitions: written,
            });
        }
        if let [one] = written[..]
            && let (1, Some(offset)) = (one.records, one.first_offset)
        {
            let (topic, partition) = (self.topic.name(), one.partition);
            return output.line(format_args!(
                "wrote 1 record to {topic}, partition {partition}, offset {offset}"
            ));
        }
        if written.is_empty() {
            return output.line("there was nothing to write");
        }
        let number = |offset: Option<i64>| offset.map_or_else(|| "–".into(), |o| o.to_string());
        output.line(format_args!(
            "wrote {} to {}",
            counted(records, "record"),
            self.topic.name()
        ))?;
        let mut table = Table::new(&["PARTITION", "RECORDS", "FIRST OFFSET", "LAST OFFSET"]);
        for partition in written {
            table.push(vec![
                partition.partition.to_string(),
                partition.records.to_string(),
                number(partition.first_offset),
                number(partition.last_offset),
            ]);
        }
        output.table(&table)
    }
}
