//! What a directory holds: a node's data, a partition's segments, a shard's journal.

use std::path::{Path, PathBuf};

use broker::node::assembly::{CONTROLLER_JOURNAL, COORDINATOR_JOURNAL};
use engine::disk::{DirectoryEntry, FileSystem};
use engine::recovery::identity;
use engine::recovery::meta;
use engine::recovery::suspicion::{ACCEPT_LOSS_FILE, SUSPECT_FILE};
use serde::Serialize;
use tuning::ByteCount;

use crate::cli::failure::Failure;
use crate::cli::output::{Output, Table};
use crate::cli::stored_files::{
    FileKind, JOURNAL_DIRECTORY, open_for_reading, read_meta, unreadable,
};

pub(super) fn inspect(path: &Path, output: &mut Output) -> Result<(), Failure> {
    let entries = entries_of(path)?;
    let has = |kind: fn(&FileKind) -> bool| {
        entries.iter().any(|entry| !entry.is_dir && kind(&FileKind::of(&entry.name)))
    };
    if entries.iter().any(|entry| entry.name == Path::new(meta::FILE_NAME)) {
        return data_directory(path, &entries, output);
    }
    if has(|kind| matches!(kind, FileKind::Journal { .. })) {
        return journals(path, &entries, output);
    }
    if has(|kind| matches!(kind, FileKind::Segment { .. } | FileKind::PartitionMetadata)) {
        return partition(path, &entries, output);
    }
    if path.file_name().is_some_and(|name| name == JOURNAL_DIRECTORY) {
        for entry in entries.iter().filter(|entry| entry.is_dir) {
            inspect(&path.join(&entry.name), output)?;
        }
        return Ok(());
    }
    Err(Failure::failed(format!(
        "{} is neither a data directory nor one of a partition or a journal; name the --data-dir of a node",
        path.display()
    )))
}

fn entries_of(path: &Path) -> Result<Vec<DirectoryEntry>, Failure> {
    open_for_reading(path)?.entries(Path::new("")).map_err(|error| unreadable(path, &error))
}

#[derive(Serialize)]
struct DataDirectory {
    directory: PathBuf,
    cluster_id: String,
    node_id: i32,
    directory_id: String,
    format: u32,
    incarnation: u64,
    partitions: Vec<PartitionDirectory>,
    journals: Vec<JournalDirectory>,
}

#[derive(Serialize)]
struct PartitionDirectory {
    directory: String,
    topic_id: Option<String>,
    segments: Vec<Segment>,
    bytes: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    note: String,
}

#[derive(Serialize)]
struct Segment {
    base_offset: i64,
    bytes: u64,
    has_indexes: bool,
}

#[derive(Serialize)]
struct JournalDirectory {
    shard: String,
    /// `shard N`, `controller` or `coordinator`.
    owner: String,
    files: usize,
    bytes: u64,
}

fn data_directory(
    path: &Path,
    entries: &[DirectoryEntry],
    output: &mut Output,
) -> Result<(), Failure> {
    let meta = read_meta(path)?;
    let mut partitions = Vec::new();
    for entry in entries.iter().filter(|entry| entry.is_dir) {
        let name = entry.name.to_string_lossy().into_owned();
        if identity::is_doomed(&name) || identity::split_name(&name).is_some() {
            partitions.push(partition_directory(&path.join(&entry.name), name)?);
        }
    }
    let journals = journal_directories(path)?;
    let data = DataDirectory {
        directory: path.to_owned(),
        cluster_id: meta.cluster_id,
        node_id: meta.node_id,
        directory_id: meta.directory_id,
        format: meta.format,
        incarnation: meta.incarnation,
        partitions,
        journals,
    };
    if output.is_json() {
        return output.json(&data);
    }
    output.line(format_args!(
        "data of node {} in cluster {}, directory {}, format {}, start number {}",
        data.node_id, data.cluster_id, data.directory_id, data.format, data.incarnation
    ))?;
    let mut table =
        Table::new(&["PARTITION", "TOPIC ID", "SEGMENTS", "FIRST OFFSET", "SIZE", "NOTE"]);
    for partition in data.partitions {
        let first = partition.segments.first().map(|segment| segment.base_offset.to_string());
        table.push(vec![
            partition.directory,
            partition.topic_id.unwrap_or_else(|| "unreadable".to_owned()),
            partition.segments.len().to_string(),
            first.unwrap_or_else(|| "–".to_owned()),
            ByteCount(partition.bytes).to_string(),
            partition.note,
        ]);
    }
    output.table(&table)?;
    output.line("")?;
    let mut table = Table::new(&["JOURNAL OF", "FILES", "SIZE"]);
    for journal in data.journals {
        let size = ByteCount(journal.bytes).to_string();
        table.push(vec![journal.owner, journal.files.to_string(), size]);
    }
    output.table(&table)
}

fn journal_directories(path: &Path) -> Result<Vec<JournalDirectory>, Failure> {
    let root = path.join(JOURNAL_DIRECTORY);
    if !root.is_dir() {
        return Ok(Vec::new());
    }
    let mut journals = Vec::new();
    for entry in entries_of(&root)?.into_iter().filter(|entry| entry.is_dir) {
        let files = entries_of(&root.join(&entry.name))?;
        let of_journal =
            |file: &&DirectoryEntry| matches!(FileKind::of(&file.name), FileKind::Journal { .. });
        let shard = entry.name.to_string_lossy().into_owned();
        journals.push(JournalDirectory {
            owner: owner_of_journal(&shard),
            shard,
            files: files.iter().filter(of_journal).count(),
            bytes: files.iter().filter(of_journal).map(|file| file.length).sum(),
        });
    }
    journals.sort_by_key(|journal| journal.shard.parse::<u32>().unwrap_or(u32::MAX));
    Ok(journals)
}

/// Controller and coordinator have numbers that no data shard has.
fn owner_of_journal(number: &str) -> String {
    match number.parse() {
        Ok(CONTROLLER_JOURNAL) => format!("controller (journal/{number})"),
        Ok(COORDINATOR_JOURNAL) => format!("coordinator (journal/{number})"),
        _ => format!("shard {number}"),
    }
}

fn partition_directory(path: &Path, name: String) -> Result<PartitionDirectory, Failure> {
    let entries = entries_of(path)?;
    let has = |wanted: &str| entries.iter().any(|entry| entry.name == Path::new(wanted));
    let note = match (identity::is_doomed(&name), has(SUSPECT_FILE), has(ACCEPT_LOSS_FILE)) {
        (true, _, _) => "deleted, being removed",
        (_, true, _) => "suspect: acknowledged records were damaged",
        (_, _, true) => "a loss was accepted; the node has not started since",
        _ => "",
    };
    let metadata = std::fs::read(path.join(identity::FILE_NAME)).ok();
    let topic_id = metadata.and_then(|metadata| identity::decode(&metadata));
    let segments = segments_of(&entries);
    Ok(PartitionDirectory {
        directory: name,
        topic_id: topic_id.map(|id| id.to_string()),
        bytes: segments.iter().map(|segment| segment.bytes).sum(),
        segments,
        note: note.to_owned(),
    })
}

fn segments_of(entries: &[DirectoryEntry]) -> Vec<Segment> {
    let kinds: Vec<FileKind> = entries.iter().map(|entry| FileKind::of(&entry.name)).collect();
    let segment = |entry: &DirectoryEntry| match FileKind::of(&entry.name) {
        FileKind::Segment { base } => Some(Segment {
            base_offset: base,
            bytes: entry.length,
            has_indexes: kinds.contains(&FileKind::OffsetIndex { base })
                && kinds.contains(&FileKind::TimeIndex { base }),
        }),
        _ => None,
    };
    entries.iter().filter_map(segment).collect()
}

fn partition(path: &Path, entries: &[DirectoryEntry], output: &mut Output) -> Result<(), Failure> {
    debug_assert!(!entries.is_empty(), "the caller found a file");
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let found = partition_directory(path, name.unwrap_or_default())?;
    if output.is_json() {
        return output.json(&found);
    }
    let id = found.topic_id.unwrap_or_else(|| "unreadable".to_owned());
    output.line(format_args!("partition {}, topic id {id}", found.directory))?;
    if !found.note.is_empty() {
        output.line(found.note)?;
    }
    let mut table = Table::new(&["SEGMENT", "SIZE", "INDEXES"]);
    for segment in found.segments {
        let indexes = if segment.has_indexes { "yes" } else { "not yet" };
        let size = ByteCount(segment.bytes).to_string();
        table.push(vec![format!("{:020}.log", segment.base_offset), size, indexes.to_owned()]);
    }
    output.table(&table)
}

/// Every file of one shard's journal, in order of their numbers.
fn journals(path: &Path, entries: &[DirectoryEntry], output: &mut Output) -> Result<(), Failure> {
    let mut files: Vec<(u64, &Path)> = entries
        .iter()
        .filter_map(|entry| match FileKind::of(&entry.name) {
            FileKind::Journal { number } => Some((number, entry.name.as_path())),
            _ => None,
        })
        .collect();
    files.sort_unstable();
    for (_, name) in files {
        let file = path.join(name);
        if !output.is_json() {
            output.line(format_args!("{}:", file.display()))?;
        }
        super::journal::inspect(&file, output)?;
    }
    Ok(())
}
