//! Groups of a journal file, with their entries.

use std::path::Path;

use engine::PartitionId;
use engine::journal::entry::Entry;
use serde_json::{Value, json};

use super::split;
use crate::cli::failure::Failure;
use crate::cli::journal_walk::{StoredGroup, groups_of, kind_name, read_journal_file};
use crate::cli::output::{Colour, Output, counted};
use crate::cli::stored_files::{data_directory_of, open_for_reading, read_meta};

pub(super) fn inspect(path: &Path, output: &mut Output) -> Result<(), Failure> {
    let whole = path
        .canonicalize()
        .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
    let shard =
        whole.parent().and_then(Path::file_name).and_then(|name| name.to_str()?.parse().ok());
    let shard: u32 = shard.ok_or_else(|| {
        Failure::failed(format!(
            "{} is not in a shard's directory journal/N; inspect it where the node wrote it",
            path.display()
        ))
    })?;
    let root = data_directory_of(&whole).ok_or_else(|| {
        Failure::failed(format!(
            "{} is in no data directory: without the salt in meta.properties its groups cannot be told from data; inspect it in its data directory",
            path.display()
        ))
    })?;
    let salt = read_meta(&root)?.salt;
    let (directory, name) = split(path);
    let data = read_journal_file(&open_for_reading(&directory)?, &name)?;
    let groups = groups_of(&data, salt, shard);
    let written: usize = groups.iter().map(|group| group.group.total_bytes).sum();
    for group in &groups {
        show(group, output)?;
    }
    if output.is_json() {
        return Ok(());
    }
    output.line(format_args!(
        "{} in {written} of {} bytes",
        counted(groups.len() as u64, "group"),
        data.len()
    ))
}

fn show(group: &StoredGroup, output: &mut Output) -> Result<(), Failure> {
    let header = &group.group.header;
    let entries = group.entries();
    if output.is_json() {
        let entries: Vec<Value> = entries.iter().map(|(entry, _)| entry_value(entry)).collect();
        return output.json_line(&json!({
            "position": group.position,
            "bytes": group.group.total_bytes,
            "shard": header.shard,
            "incarnation": header.incarnation,
            "sequence": header.sequence,
            "acknowledged_end": header.acknowledged_end,
            "live_start": header.live_start,
            "opening_end": header.opening_end,
            "crc": group.group.header_crc,
            "previous_crc": header.previous_crc,
            "state": group.state(),
            "entries": entries,
        }));
    }
    let state = match group.state() {
        "sound" => "sound".to_owned(),
        damaged => output.coloured(Colour::Red, damaged),
    };
    output.line(format_args!(
        "at {:>10}  group {}.{}  {} bytes  acknowledged below {}  needed from {}  {state}",
        group.position,
        header.incarnation,
        header.sequence,
        group.group.total_bytes,
        header.acknowledged_end,
        header.live_start,
    ))?;
    for (entry, _) in &entries {
        output.line(format_args!("               {}", entry_text(entry)))?;
    }
    Ok(())
}

fn entry_text(entry: &Entry) -> String {
    let kind = kind_name(entry.kind);
    if entry.partition == PartitionId::NONE {
        return kind.to_owned();
    }
    let id = entry.partition;
    let mut text = format!(
        "{kind} {}-{}  offsets {}..{}  epoch {}  segment {} at {}",
        id.topic_id,
        id.partition,
        entry.base,
        entry.next,
        entry.leader_epoch,
        entry.segment,
        entry.position
    );
    if entry.run_bytes > 0 {
        text.push_str(&format!("  run of {} bytes", entry.run_bytes));
    }
    if entry.body_bytes > 0 {
        text.push_str(&format!("  {} bytes here", entry.body_bytes));
    }
    text
}

fn entry_value(entry: &Entry) -> Value {
    json!({
        "kind": kind_name(entry.kind),
        "topic_id": entry.partition.topic_id.to_string(),
        "partition": entry.partition.partition.0,
        "leader_epoch": entry.leader_epoch.0,
        "base_offset": entry.base.0,
        "next_offset": entry.next.0,
        "segment": entry.segment.0,
        "position": entry.position,
        "run_bytes": entry.run_bytes,
        "run_crc": entry.run_crc,
        "head_bytes": entry.head_bytes,
        "body_bytes": entry.body_bytes,
    })
}
