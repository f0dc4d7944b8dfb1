//! Journals: the chain of groups that still count, and what their damage hurts.
//!
//! The newest incarnation of any shard is that of the newest start, which stated every partition. What an
//! older one says of a partition counts only where the newer one says nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use broker::shard::metadata_log::METADATA;
use engine::PartitionId;
use engine::disk::{DirId, FileSystem};
use engine::journal::group::{GroupContent, JournalSalt, MAGIC};
use engine::journal::scan::{Damage, JournalBytes, Scan, ScanStep, scan};
use engine::journal::writer::JournalFileName;
use engine::limits::BLOCK_BYTES;
use protocol::Offset;

use super::node_data::NodeData;
use super::report::Report;
use super::{of_directory, state};
use crate::cli::failure::Failure;
use crate::cli::journal_walk::{StoredGroup, groups_of, read_journal_file};
use crate::cli::stored_files::{JOURNAL_DIRECTORY, unreadable};

/// What journals say of partitions, damaged or not.
#[derive(Default)]
pub(super) struct JournalFacts {
    /// The highest log end that any readable entry of the newest incarnation speaks of, with that.
    ends: BTreeMap<PartitionId, (u64, Offset)>,
    /// Journals of which nothing can be read, and which hold no more than a shard's first write.
    unreadable: Vec<PathBuf>,
}

impl JournalFacts {
    /// `None` for a partition of which no journal speaks.
    pub(super) fn end_of(&self, id: PartitionId) -> Option<Offset> {
        self.ends.get(&id).map(|(_, end)| *end)
    }

    /// A start whose power goes leaves a torn first write in the journal of a shard that it began. All partitions are in
    /// others then: what a start states it has from the journals before it, which it keeps until it is done.
    pub(super) fn judge_unreadable<'a>(
        &self,
        partitions: impl Iterator<Item = &'a PartitionId>,
        report: &mut Report,
    ) {
        // The metadata log is never a data shard's.
        let mut of_data = partitions.filter(|id| **id != METADATA);
        let is_torn_start = of_data.all(|id| self.ends.contains_key(id));
        for directory in &self.unreadable {
            if is_torn_start {
                let what = "holds the torn first write of a start that was cut short; the next one begins it anew";
                report.note(directory, what);
            } else {
                tell_unreadable(directory, report);
            }
        }
    }

    fn note(&mut self, group: &StoredGroup) {
        let incarnation = group.group.header.incarnation;
        for (entry, _) in group.entries() {
            let known = self.ends.entry(entry.partition).or_default();
            *known = (incarnation, entry.next).max(*known);
        }
    }
}

/// A group with the file it stands in.
struct Placed {
    file: PathBuf,
    /// Of the file.
    length: u64,
    stored: StoredGroup,
}

type Groups = BTreeMap<(u64, u64), Placed>;

/// A damage of which it is not yet known whether it counts.
struct Finding {
    incarnation: u64,
    /// `None`: nobody knows whom it hurt.
    partition: Option<PartitionId>,
    file: PathBuf,
    position: Option<u64>,
    what: String,
}

/// All shards' journals.
#[derive(Default)]
struct Findings {
    findings: Vec<Finding>,
    /// Newest incarnation that states a partition.
    stated: BTreeMap<PartitionId, u64>,
    newest: u64,
}

/// Checks the journals and state files below all data directories of a node.
pub(super) fn check<F: FileSystem>(
    data: &NodeData,
    file_systems: &[(DirId, F)],
    facts: &mut JournalFacts,
    report: &mut Report,
) -> Result<(), Failure> {
    let mut findings = Findings::default();
    for directory in &data.directories {
        let (root, fs) = (&directory.path, of_directory(file_systems, directory.id));
        for shard in shards(root, fs, report)? {
            let salt = directory.meta.salt;
            let has_journal = check_shard(root, fs, salt, shard, &mut findings, facts, report)?;
            state::check(root, fs, shard, has_journal, report)?;
        }
    }
    let Findings { findings, stated, newest } = findings;
    for finding in findings {
        let counts = finding.incarnation == newest
            || finding
                .partition
                .is_some_and(|id| stated.get(&id).is_none_or(|at| *at <= finding.incarnation));
        if !counts {
            continue;
        }
        let hurts = match finding.partition {
            Some(id) => format!("partition {} of topic id {}", id.partition, id.topic_id),
            None => "partitions of this shard that are not known; recovery clears those that go on without a gap".to_owned(),
        };
        report.damage(&finding.file, finding.position, finding.what, hurts);
    }
    Ok(())
}

fn shards(root: &Path, fs: &dyn FileSystem, report: &mut Report) -> Result<Vec<u32>, Failure> {
    let directory = Path::new(JOURNAL_DIRECTORY);
    if !root.join(directory).is_dir() {
        return Ok(Vec::new());
    }
    let mut shards = Vec::new();
    let entries = fs.entries(directory).map_err(|error| unreadable(directory, &error))?;
    for entry in entries.iter().filter(|entry| entry.is_dir) {
        match entry.name.to_str().and_then(|name| name.parse().ok()) {
            Some(shard) => shards.push(shard),
            None => report.note(&root.join(directory).join(&entry.name), "not a shard's journal"),
        }
    }
    Ok(shards)
}

/// Whether the shard has a journal at all: a start that was cut short may not have come so far.
fn check_shard(
    root: &Path,
    fs: &dyn FileSystem,
    salt: JournalSalt,
    shard: u32,
    findings: &mut Findings,
    facts: &mut JournalFacts,
    report: &mut Report,
) -> Result<bool, Failure> {
    let directory = JournalFileName::directory(shard);
    let entries = fs.entries(&directory).map_err(|error| unreadable(&directory, &error))?;
    let mut files = Vec::new();
    let mut groups = Groups::new();
    for entry in entries {
        if JournalFileName::number_of(&entry.name).is_none() {
            continue;
        }
        let name = directory.join(&entry.name);
        let data = read_journal_file(fs, &name)?;
        report.checked(data.len() as u64);
        for stored in groups_of(&data, salt, shard) {
            facts.note(&stored);
            let header = stored.group.header;
            let at = (header.incarnation, header.sequence);
            let length = data.len() as u64;
            groups.insert(at, Placed { file: root.join(&name), length, stored });
        }
        files.push((root.join(&name), JournalBytes::from(data)));
    }
    let whole = root.join(&directory);
    let bytes: Vec<JournalBytes> = files.iter().map(|(_, bytes)| bytes.clone()).collect();
    let scans = scan(&bytes, salt, shard);
    let is_empty = bytes.iter().all(|file| file.bytes.iter().all(|byte| *byte == 0));
    if scans.incarnation_max == 0 && !is_empty {
        if bytes.iter().any(|file| has_later_groups(&file.bytes)) {
            tell_unreadable(&whole, report);
        } else {
            facts.unreadable.push(whole.clone());
        }
    }
    if let Some(newest) = scans.complete.first() {
        findings.newest = findings.newest.max(newest.incarnation);
        check_end(&groups, newest, &files, report);
        findings.add(newest, &groups, &whole);
    }
    Ok(!files.is_empty())
}

fn tell_unreadable(directory: &Path, report: &mut Report) {
    report.damage(
        directory,
        None,
        "no group of this journal can be read with the salt in meta.properties",
        "every partition of this shard: what was not in segments yet is lost",
    );
}

/// Whether something behind the file's first block begins as groups do.
fn has_later_groups(bytes: &[u8]) -> bool {
    let magic = MAGIC.to_le_bytes();
    bytes.chunks(BLOCK_BYTES).skip(1).any(|block| block.starts_with(&magic))
}

impl Findings {
    fn add(&mut self, scan: &Scan, groups: &Groups, directory: &Path) {
        let mut said = BTreeSet::new();
        for step in &scan.steps {
            let (damage, partition) = match step {
                ScanStep::Apply(entry, _) => {
                    let at = self.stated.entry(entry.partition).or_default();
                    *at = scan.incarnation.max(*at);
                    continue;
                }
                ScanStep::Damaged(entry, damage) => (*damage, Some(entry.partition)),
                ScanStep::AllDamaged(damage) => (*damage, None),
            };
            if said.insert((damage.sequence, partition)) {
                let (file, position, what) = locate(groups, damage, directory);
                let incarnation = scan.incarnation;
                self.findings.push(Finding { incarnation, partition, file, position, what });
            }
        }
    }
}

/// Where a damaged or missing group stands or would stand.
fn locate(groups: &Groups, damage: Damage, directory: &Path) -> (PathBuf, Option<u64>, String) {
    let Damage { incarnation, sequence, .. } = damage;
    let name = format!("group {incarnation}.{sequence}, which was acknowledged,");
    if let Some(found) = groups.get(&(incarnation, sequence)) {
        let what = match found.stored.group.content {
            GroupContent::BodyDamaged(_) => format!("{name} has damaged record data"),
            GroupContent::TableDamaged => format!("{name} has a damaged entry table"),
            GroupContent::Sound(_) => format!("{name} does not follow on the group before it"),
        };
        return (found.file.clone(), Some(found.stored.position), what);
    }
    let what = format!("{name} is missing or has a damaged header");
    let before = sequence.checked_sub(1).and_then(|before| groups.get(&(incarnation, before)));
    match before {
        Some(before) if before.stored.group.header.file_bytes > before.length => {
            let (length, was) = (before.length, before.stored.group.header.file_bytes);
            let what = format!("the file was {was} bytes long and is cut to {length}");
            (before.file.clone(), Some(before.stored.end()), what)
        }
        Some(before) => (before.file.clone(), Some(before.stored.end()), what),
        None => (directory.to_owned(), None, what),
    }
}

/// Behind the last group that counts stands an older one or nothing. One that is neither is worth a word: it is
/// a torn write of a power cut, or a damaged group of which nothing was acknowledged.
fn check_end(groups: &Groups, scan: &Scan, files: &[(PathBuf, JournalBytes)], report: &mut Report) {
    let Scan { incarnation, cut, .. } = *scan;
    let note = "nothing in it was acknowledged, and the next start goes on without it";
    if let Some(next) = groups.get(&(incarnation, cut)) {
        let at = next.stored.position;
        let what =
            format!("group {incarnation}.{cut} at {at} is damaged or lacks the one before it");
        return report.note(&next.file, format!("{what}; {note}"));
    }
    let Some(last) = cut.checked_sub(1).and_then(|last| groups.get(&(incarnation, last))) else {
        return;
    };
    let at = last.stored.end();
    let is_readable =
        groups.values().any(|group| group.file == last.file && group.stored.position == at);
    let is_begun = files.iter().filter(|(file, _)| *file == last.file).any(|(_, data)| {
        let behind = usize::try_from(at).ok().and_then(|at| data.bytes.get(at..));
        behind.is_some_and(|behind| behind.starts_with(&MAGIC.to_le_bytes()))
    });
    if is_begun && !is_readable {
        report.note(&last.file, format!("the group at {at} is torn or damaged; {note}"));
    }
}
