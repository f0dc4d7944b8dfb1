//! Journals: the chain of groups that still count, and what their damage hurts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use engine::PartitionId;
use engine::disk::FileSystem;
use engine::journal::group::{GroupContent, HEADER_BYTES, JournalSalt};
use engine::journal::scan::{ScanStep, scan};
use engine::journal::writer::JournalFileName;
use protocol::Offset;

use super::report::Report;
use super::state;
use crate::cli::failure::Failure;
use crate::cli::journal_walk::{StoredGroup, groups_of, read_journal_file};
use crate::cli::stored_files::{JOURNAL_DIRECTORY, unreadable};

/// What journals say of partitions, damaged or not.
#[derive(Default)]
pub(super) struct JournalFacts {
    /// The highest log end that any readable entry speaks of.
    pub(super) ends: BTreeMap<PartitionId, Offset>,
}

/// A group with the file it stands in.
struct Placed {
    file: PathBuf,
    stored: StoredGroup,
}

/// Checks all journals below one data directory.
pub(super) fn check(
    root: &Path,
    fs: &dyn FileSystem,
    salt: JournalSalt,
    facts: &mut JournalFacts,
    report: &mut Report,
) -> Result<(), Failure> {
    if !root.join(JOURNAL_DIRECTORY).is_dir() {
        return Ok(());
    }
    let directory = Path::new(JOURNAL_DIRECTORY);
    let entries = fs.entries(directory).map_err(|error| unreadable(directory, &error))?;
    for entry in entries.iter().filter(|entry| entry.is_dir) {
        match entry.name.to_str().and_then(|name| name.parse().ok()) {
            Some(shard) => check_shard(root, fs, salt, shard, facts, report)?,
            None => report.note(&root.join(directory).join(&entry.name), "not a shard's journal"),
        }
    }
    Ok(())
}

fn check_shard(
    root: &Path,
    fs: &dyn FileSystem,
    salt: JournalSalt,
    shard: u32,
    facts: &mut JournalFacts,
    report: &mut Report,
) -> Result<(), Failure> {
    let directory = JournalFileName::directory(shard);
    let entries = fs.entries(&directory).map_err(|error| unreadable(&directory, &error))?;
    let mut files = Vec::new();
    let mut placed: BTreeMap<(u64, u64), Placed> = BTreeMap::new();
    for entry in entries {
        if JournalFileName::number_of(&entry.name).is_none() {
            continue;
        }
        let name = directory.join(&entry.name);
        let data = read_journal_file(fs, &name)?;
        report.checked(data.len() as u64);
        for stored in groups_of(&data, salt, shard) {
            for (entry, _) in stored.entries() {
                let end = facts.ends.entry(entry.partition).or_default();
                *end = entry.next.max(*end);
            }
            let header = stored.group.header;
            let at = (header.incarnation, header.sequence);
            placed.insert(at, Placed { file: root.join(&name), stored });
        }
        files.push(data);
    }
    state::check(root, fs, shard, report)?;
    let found = scan(&files, salt, shard);
    let whole = root.join(&directory);
    let Some(incarnation) = found.incarnation else {
        if files.iter().any(|data| data.iter().any(|byte| *byte != 0)) {
            report.damage(
                &whole,
                None,
                "no group of this journal can be read with the salt in meta.properties",
                "every partition of this shard: what was not in segments yet is lost",
            );
        }
        return Ok(());
    };
    let mut said = Vec::new();
    for step in &found.steps {
        let (damage, partition) = match step {
            ScanStep::Apply(..) => continue,
            ScanStep::Damaged(id, damage) => (damage, Some(*id)),
            ScanStep::AllDamaged(damage) => (damage, None),
        };
        let at = (damage.incarnation, damage.sequence);
        if said.contains(&(at, partition)) {
            continue;
        }
        said.push((at, partition));
        let (file, position, what) = locate(&placed, at, &whole);
        let hurts = match partition {
            Some(id) => format!("partition {} of topic id {}", id.partition, id.topic_id),
            None => "partitions of this shard that are not known; recovery clears those that go on without a gap".to_owned(),
        };
        report.damage(&file, position, what, hurts);
    }
    check_end(&placed, incarnation, found.cut, &files, report);
    Ok(())
}

/// Where a damaged or missing group stands or would stand.
fn locate(
    placed: &BTreeMap<(u64, u64), Placed>,
    at: (u64, u64),
    directory: &Path,
) -> (PathBuf, Option<u64>, String) {
    let (incarnation, sequence) = at;
    let name = format!("group {incarnation}.{sequence}, which was acknowledged,");
    if let Some(found) = placed.get(&at) {
        let what = match found.stored.group.content {
            GroupContent::BodyDamaged(_) => format!("{name} has damaged record data"),
            GroupContent::TableDamaged => format!("{name} has a damaged entry table"),
            GroupContent::Sound(_) => format!("{name} does not follow on the group before it"),
        };
        return (found.file.clone(), Some(found.stored.position), what);
    }
    let what = format!("{name} is missing or has a damaged header");
    let before = sequence.checked_sub(1).and_then(|before| placed.get(&(incarnation, before)));
    match before {
        Some(before) => (before.file.clone(), Some(before.stored.end()), what),
        None => (directory.to_owned(), None, what),
    }
}

/// Behind the last group that counts stands an older one or nothing; a header that nearly matches is
/// worth a word: it is a torn write of a power cut, or a damaged group of which nothing was acknowledged.
fn check_end(
    placed: &BTreeMap<(u64, u64), Placed>,
    incarnation: u64,
    cut: u64,
    files: &[bytes::Bytes],
    report: &mut Report,
) {
    let Some(last) = cut.checked_sub(1).and_then(|last| placed.get(&(incarnation, last))) else {
        return;
    };
    let at = usize::try_from(last.stored.end()).unwrap_or(usize::MAX);
    let torn = files.iter().any(|data| {
        let head = data.get(at..at.saturating_add(HEADER_BYTES));
        head.is_some_and(|head| {
            head.starts_with(b"CLJG")
                && head.get(16..24) == Some(&incarnation.to_le_bytes())
                && head.get(24..32) == Some(&cut.to_le_bytes())
        })
    });
    if torn && !placed.contains_key(&(incarnation, cut)) {
        report.note(
            &last.file,
            format!("group {incarnation}.{cut} at {at} is torn; nothing in it was acknowledged"),
        );
    }
}
