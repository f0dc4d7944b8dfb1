//! Batches of a segment, and their records.

use std::path::Path;

use protocol::record_batch::BatchSlice;
use serde::Serialize;

use super::split;
use crate::cli::failure::Failure;
use crate::cli::output::{Colour, Output, counted};
use crate::cli::records::{Content, StoredRecord, records_of};
use crate::cli::segment_walk::{SegmentWalk, StoredBatch};
use crate::cli::stored_files::{open_for_reading, unreadable};
use crate::cli::times;

#[derive(Serialize)]
struct ShownBatch {
    position: u64,
    bytes: usize,
    base_offset: i64,
    last_offset: i64,
    records: i32,
    leader_epoch: i32,
    compression: &'static str,
    timestamp_type: &'static str,
    base_timestamp: i64,
    max_timestamp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    producer: Option<ShownProducer>,
    transactional: bool,
    control: bool,
    crc: u32,
    crc_is_valid: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    contents: Option<Vec<StoredRecord>>,
}

#[derive(Serialize)]
struct ShownProducer {
    id: i64,
    epoch: i16,
    base_sequence: i32,
}

const HEADINGS: &str = "    POSITION    BASE OFFSET    LAST OFFSET  RECORDS     BYTES  EPOCH  CODEC   LARGEST TIMESTAMP         CRC   PRODUCER";

/// Shows every batch; fails where the file is damaged.
pub(super) fn inspect(
    path: &Path,
    base: i64,
    with_records: bool,
    output: &mut Output,
) -> Result<(), Failure> {
    let (directory, name) = split(path);
    let fs = open_for_reading(&directory)?;
    let mut walk = SegmentWalk::new(&fs, &name, 0).map_err(|error| unreadable(path, &error))?;
    if !output.is_json() {
        let headings = output.coloured(Colour::Bold, HEADINGS);
        output.line(headings)?;
    }
    let (mut batches, mut records, mut damaged) = (0u64, 0u64, 0u64);
    let (mut next, mut last_is_whole) = (base, true);
    loop {
        let batch = match walk.next_batch() {
            Ok(Some(batch)) => batch,
            Ok(None) => break,
            Err(damage) => {
                return Err(Failure::failed(format!(
                    "{} at {}: {damage}; `corelane verify` says what it hurts",
                    path.display(),
                    damage.position()
                )));
            }
        };
        batches += 1;
        records += u64::from(batch.header.record_count.unsigned_abs());
        damaged += u64::from(!batch.crc_is_valid || batch.header.base_offset.0 < next);
        last_is_whole = batch.crc_is_valid;
        next = batch.header.next_offset().0;
        show(&batch, with_records, output)?;
    }
    if !output.is_json() {
        output.line(format_args!(
            "{}, {}, {} bytes; the next offset is {next}",
            counted(batches, "batch"),
            counted(records, "record"),
            walk.position()
        ))?;
    }
    match damaged {
        0 => Ok(()),
        1 if !last_is_whole => {
            eprintln!(
                "the last batch is not whole: a running node keeps the end of it in its journal; for a stopped one, `corelane verify` tells"
            );
            Ok(())
        }
        _ => Err(Failure::failed(format!(
            "{}: {}; `corelane verify` says what is hurt",
            path.display(),
            counted(damaged, "damaged batch")
        ))),
    }
}

fn show(batch: &StoredBatch, with_records: bool, output: &mut Output) -> Result<(), Failure> {
    let contents = match with_records {
        true => Some(contents(batch)?),
        false => None,
    };
    let shown = shown(batch, contents);
    if output.is_json() {
        return output.json_line(&shown);
    }
    let producer = shown.producer.as_ref().map_or_else(String::new, |producer| {
        format!("{} epoch {} sequence {}", producer.id, producer.epoch, producer.base_sequence)
    });
    let marks = match (shown.control, shown.transactional) {
        (true, _) => " control",
        (false, true) => " transactional",
        (false, false) => "",
    };
    let crc = match shown.crc_is_valid {
        true => "ok ".to_owned(),
        false => output.coloured(Colour::Red, "BAD"),
    };
    let line = format!(
        "{:>12} {:>14} {:>14} {:>8} {:>9} {:>6}  {:<6}  {:<24}  {crc}   {producer}{marks}",
        shown.position,
        shown.base_offset,
        shown.last_offset,
        shown.records,
        shown.bytes,
        shown.leader_epoch,
        shown.compression,
        times::shown(shown.max_timestamp),
    );
    output.line(line.trim_end())?;
    for record in shown.contents.iter().flatten() {
        let text = |content: &Option<Content>| match content {
            Some(content) => String::from_utf8_lossy(&content.0).escape_debug().to_string(),
            None => "null".to_owned(),
        };
        let headers: Vec<String> = record
            .headers
            .iter()
            .map(|header| format!("{}={}", header.key, text(&header.value)))
            .collect();
        output.line(
            format!(
                "             offset {}  {}  key {}  value {}  {}",
                record.offset,
                record.time,
                text(&record.key),
                text(&record.value),
                headers.join(" ")
            )
            .trim_end(),
        )?;
    }
    Ok(())
}

fn contents(batch: &StoredBatch) -> Result<Vec<StoredRecord>, Failure> {
    let failed = |what: &str| {
        Failure::failed(format!("the batch at offset {}: {what}", batch.header.base_offset))
    };
    let slice = BatchSlice::first(&batch.bytes).map_err(|error| failed(&error.to_string()))?;
    records_of(&batch.bytes, &slice).map_err(|what| failed(&what))
}

fn shown(batch: &StoredBatch, contents: Option<Vec<StoredRecord>>) -> ShownBatch {
    let header = &batch.header;
    let appended =
        header.attributes.timestamp_type() == protocol::record_batch::TimestampType::LogAppendTime;
    ShownBatch {
        position: batch.position,
        bytes: batch.bytes.len(),
        base_offset: header.base_offset.0,
        last_offset: header.next_offset().0 - 1,
        records: header.record_count,
        leader_epoch: header.partition_leader_epoch.0,
        compression: header.attributes.compression().map_or("unknown", |codec| codec.name()),
        timestamp_type: if appended { "LogAppendTime" } else { "CreateTime" },
        base_timestamp: header.base_timestamp,
        max_timestamp: header.max_timestamp,
        producer: header.producer().map(|producer| ShownProducer {
            id: producer.id.0,
            epoch: producer.epoch.0,
            base_sequence: producer.base_sequence,
        }),
        transactional: header.attributes.is_transactional(),
        control: header.attributes.is_control(),
        crc: header.crc,
        crc_is_valid: batch.crc_is_valid,
        contents,
    }
}
