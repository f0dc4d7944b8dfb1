//! How a record is shown.

use clap::ValueEnum;
use serde::Serialize;

use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::records::{Content, StoredRecord};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum RecordFormat {
    /// The value's bytes and a line feed.
    Value,
    /// Key, separator, value.
    KeyValue,
    /// Everything, one JSON object a line; what is not UTF-8 as base64.
    Json,
}

pub(super) struct Printer {
    format: RecordFormat,
    topic: String,
    key_separator: String,
}

#[derive(Serialize)]
struct Shown<'a> {
    topic: &'a str,
    partition: i32,
    #[serde(flatten)]
    record: &'a StoredRecord,
}

impl Printer {
    pub(super) fn new(format: RecordFormat, topic: String, key_separator: String) -> Self {
        Self { format, topic, key_separator }
    }

    pub(super) fn print(
        &self,
        partition: i32,
        record: &StoredRecord,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let bytes = |content: &Option<Content>| -> Vec<u8> {
            content.as_ref().map_or_else(Vec::new, |content| content.0.clone())
        };
        match self.format {
            RecordFormat::Json => {
                return output.json_line(&Shown { topic: &self.topic, partition, record });
            }
            RecordFormat::KeyValue => {
                output.bytes(&bytes(&record.key))?;
                output.bytes(self.key_separator.as_bytes())?;
            }
            RecordFormat::Value => {}
        }
        output.bytes(&bytes(&record.value))?;
        output.bytes(b"\n")
    }
}
