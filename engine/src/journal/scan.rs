//! Reading a shard's journal back: which groups count, where it ends, what is corrupt.
//!
//! | group at sequence *s* | below the highest acknowledged end | at or above it |
//! |---|---|---|
//! | sound | counts | counts if all before it do |
//! | missing or damaged header | corruption: nobody knows whom it hurt | the journal ends here |
//! | damaged table | corruption: nobody knows whom it hurt | the journal ends here |
//! | damaged body | corruption of the partitions with a body in it | the journal ends here |
//!
//! With several groups in flight a power cut can leave valid groups behind a missing one; they were
//! never acknowledged and are cut off with it. A file that is shorter than its groups say was cut: if nothing
//! is known of what followed its last one, anything acknowledged may have. An incarnation counts only once
//! its opening (a description of every partition) is complete; until then the one before it does.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::entry::Entry;
use super::group::{self, Group, GroupContent, JournalSalt};
use crate::limits::BLOCK_BYTES;

/// What a scan found in one shard's journal directory.
#[derive(Clone, Debug)]
pub struct Scan {
    pub incarnation: u64,
    /// Entries that count, in order.
    pub steps: Vec<ScanStep>,
    /// Where the incarnation was cut: sequence of the first group that does not count.
    pub cut: u64,
    /// Groups below it describe every partition.
    pub opening_end: u64,
}

/// All that a shard's journal files hold.
#[derive(Clone, Debug, Default)]
pub struct Scans {
    /// Incarnations whose opening is complete, the newest first. There are older ones when a start was
    /// cut short: what this shard owned before and does not now is in them, until the journal of its
    /// new owner is open too.
    pub complete: Vec<Scan>,
    /// Highest incarnation seen at all.
    pub incarnation_max: u64,
}

/// One step of the replay.
#[derive(Clone, Debug)]
pub enum ScanStep {
    Apply(Entry, Bytes),
    /// Acknowledged data of this partition is damaged here; the entry is sound, its body is not.
    Damaged(Entry, Damage),
    /// Acknowledged data of unknown partitions of this shard is damaged here.
    AllDamaged(Damage),
}

/// Where acknowledged data was lost to corruption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    pub shard: u32,
    pub incarnation: u64,
    pub sequence: u64,
}

/// A journal file to be scanned.
#[derive(Clone, Debug)]
pub struct JournalBytes {
    /// The file from its beginning, at least up to its last group.
    pub bytes: Bytes,
    /// How long the file is.
    pub length: u64,
}

impl From<Bytes> for JournalBytes {
    fn from(bytes: Bytes) -> Self {
        Self { length: bytes.len() as u64, bytes }
    }
}

/// Groups by incarnation and sequence.
type Groups = BTreeMap<(u64, u64), Group>;

/// Sequence behind the last group of a file that is shorter than it was, by incarnation.
type Cuts = BTreeMap<u64, u64>;

/// Evaluates the journal files of one shard, in any order.
pub fn scan(files: &[JournalBytes], salt: JournalSalt, shard: u32) -> Scans {
    let (mut groups, mut cuts) = (Groups::new(), Cuts::new());
    for file in files {
        collect(file, salt, shard, &mut groups, &mut cuts);
    }
    let mut incarnations: Vec<u64> = groups.keys().map(|key| key.0).collect();
    incarnations.dedup();
    let incarnation_max = incarnations.last().copied().unwrap_or(0);
    let complete = incarnations.into_iter().rev().filter_map(|incarnation| {
        let of_it: Vec<&Group> =
            groups.range((incarnation, 0)..=(incarnation, u64::MAX)).map(|entry| entry.1).collect();
        evaluate(&of_it, cuts.get(&incarnation).copied(), shard, incarnation)
    });
    Scans { complete: complete.collect(), incarnation_max }
}

/// Finds every sound header, block by block: a stale group may reach over the beginning of a new one
/// when the one between them never got to the disk.
fn collect(
    file: &JournalBytes,
    salt: JournalSalt,
    shard: u32,
    groups: &mut Groups,
    cuts: &mut Cuts,
) {
    let data = &file.bytes;
    let mut at = 0;
    while at < data.len() {
        if let Some(group) = group::decode(&data.slice(at..), salt, shard) {
            let header = &group.header;
            if header.file_bytes > file.length {
                let cut = cuts.entry(header.incarnation).or_default();
                *cut = (header.sequence + 1).max(*cut);
            }
            groups.insert((header.incarnation, header.sequence), group);
        }
        at += BLOCK_BYTES;
    }
}

/// `None` if the incarnation's opening never became complete. `file_cut`: what came from this sequence on may
/// have stood in the part of a file that is gone.
fn evaluate(
    groups: &[&Group],
    file_cut: Option<u64>,
    shard: u32,
    incarnation: u64,
) -> Option<Scan> {
    let acknowledged_end = groups.iter().map(|group| group.header.acknowledged_end).max()?;
    let live_start = groups.iter().map(|group| group.header.live_start).max()?;
    let opening_end = groups.iter().map(|group| group.header.opening_end).max()?;
    let mut scan = Scan { incarnation, steps: Vec::new(), cut: 0, opening_end };
    let mut previous: Option<&Group> = None;
    let mut by_sequence = groups.iter().map(|group| (group.header.sequence, *group)).peekable();
    let mut sequence = live_start;
    loop {
        while by_sequence.peek().is_some_and(|(at, _)| *at < sequence) {
            by_sequence.next();
        }
        let group =
            by_sequence.peek().filter(|(at, _)| *at == sequence).map(|(_, group)| *group).filter(
                |group| {
                    previous.is_none_or(|before| before.header_crc == group.header.previous_crc)
                },
            );
        let sound = matches!(group.map(|group| &group.content), Some(GroupContent::Sound(_)));
        if !sound && sequence >= acknowledged_end.max(live_start) {
            break;
        }
        let damage = Damage { shard, incarnation, sequence };
        apply(group, damage, &mut scan.steps);
        previous = group;
        sequence += 1;
        if group.is_none() {
            // One statement for all that is missing up to the next group.
            let found = by_sequence.peek().map_or(acknowledged_end, |(at, _)| *at);
            sequence = sequence.max(found.min(acknowledged_end));
        }
    }
    scan.cut = sequence;
    if file_cut.is_some_and(|file_cut| file_cut >= sequence) {
        // The last groups went, and with them their word of what was acknowledged.
        scan.steps.push(ScanStep::AllDamaged(Damage { shard, incarnation, sequence }));
    }
    (sequence >= opening_end || acknowledged_end >= opening_end).then_some(scan)
}

fn apply(group: Option<&Group>, damage: Damage, steps: &mut Vec<ScanStep>) {
    match group.map(|group| &group.content) {
        Some(GroupContent::Sound(entries)) => {
            let entries = entries.iter().cloned();
            steps.extend(entries.map(|(entry, body)| ScanStep::Apply(entry, body)));
        }
        Some(GroupContent::BodyDamaged(entries)) => {
            steps.extend(entries.iter().map(|entry| match entry.body_bytes {
                0 => ScanStep::Apply(*entry, Bytes::new()),
                _ => ScanStep::Damaged(*entry, damage),
            }));
        }
        Some(GroupContent::TableDamaged) | None => steps.push(ScanStep::AllDamaged(damage)),
    }
}

#[cfg(test)]
mod tests;
