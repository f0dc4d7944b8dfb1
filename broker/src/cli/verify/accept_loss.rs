//! `corelane verify --accept-loss`: what suspect partitions have lost is said, asked about, written down,
//! and given up; the partitions take records again.
//!
//! In this order, so that a crash at any point leaves partitions that are suspect still, never ones that
//! lost something silently:
//!
//! 1. recovery, as at a node's start
//! 2. logs are cut to their sound end; a note in each partition's directory makes the node's next start
//!    raise the leader epoch
//! 3. the loss is appended to `accepted-losses.log`
//! 4. a new incarnation of a journal states every partition; the damaged one counts no more
//! 5. segments with damaged batches are written anew without them, and damaged indexes
//! 6. the marks of suspicion are removed

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use broker::shard::metadata_log::METADATA;
use bytes::Bytes;
use engine::PartitionId;
use engine::disk::job::read_file;
use engine::disk::real::RealFileSystem;
use engine::disk::{DirId, FileSystem, FileSystemError};
use engine::journal::writer::{JournalFileName, JournalIdentity};
use engine::limits::INDEX_INTERVAL_BYTES;
use engine::partition::cleaner_checkpoint;
use engine::partition::epochs::EpochHistory;
use engine::partition::index::{build_files, segment_path};
use engine::partition::producers::ProducerTable;
use engine::recovery::meta;
use engine::recovery::suspicion::{ACCEPT_LOSS_FILE, SUSPECT_FILE};
use engine::recovery::{ActiveSegment, NodeRecovery, RecoveredPartition, open_shard, state_file};
use protocol::Offset;
use serde::Serialize;

use super::journals::{self, JournalFacts};
use super::mend::{self, Mend};
use super::metadata;
use super::node_data::NodeData;
use super::overlay::Overlay;
use super::report::Report;
use super::sound_end::{self, SoundEnd};
use super::{of_directory, partitions, recover_all};
use crate::cli::confirm::confirm;
use crate::cli::failure::Failure;
use crate::cli::output::{Colour, Output, counted};
use crate::cli::stored_files::{ACCEPTED_LOSSES_FILE, unreadable};
use crate::cli::times;

/// What goes, of one partition.
#[derive(Clone, Debug, Serialize)]
struct Loss {
    #[serde(skip)]
    id: PartitionId,
    #[serde(skip)]
    directory: DirId,
    partition: String,
    topic_id: String,
    reason: String,
    /// The log starts here from now on, where its beginning is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    log_start: Option<i64>,
    /// The log ends here from now on.
    log_end: i64,
    /// The log reached at least this far; `None` where that is not known.
    reached: Option<i64>,
    /// Segments that are removed.
    removed_segments: Vec<i64>,
    /// Offsets of damaged batches before the log end: (first, last).
    damaged: Vec<(i64, i64)>,
    #[serde(skip)]
    mends: Vec<Mend>,
    #[serde(skip)]
    is_suspect: bool,
}

impl Loss {
    fn sentence(&self) -> String {
        let ranges: Vec<String> =
            self.damaged.iter().map(|(first, last)| format!("{first} to {last}")).collect();
        let damaged = match ranges.is_empty() {
            true => String::new(),
            false => format!("the damaged offsets {} are given up", ranges.join(", ")),
        };
        if !self.is_suspect {
            return format!("{}: {damaged} ({})", self.partition, self.reason);
        }
        let damaged = if damaged.is_empty() { damaged } else { format!(", {damaged}") };
        let end = self.log_end;
        let beginning =
            self.log_start.map(|start| format!("everything before offset {start} is given up"));
        let behind = self.reached.filter(|reached| *reached > end);
        let behind = behind.map(|reached| format!("offsets {end} to {} are given up", reached - 1));
        let lost = match (beginning, behind) {
            (Some(beginning), Some(behind)) => format!("{beginning}, {behind}"),
            (Some(lost), None) | (None, Some(lost)) => lost,
            (None, None) => format!("whatever was acknowledged from offset {end} on is given up"),
        };
        let removed = match self.removed_segments.len() {
            0 => String::new(),
            count => format!(", {count} segment file(s) behind it are removed"),
        };
        let all = match self.id == METADATA {
            true => ": topics, their settings and deletions that were made since",
            false => "",
        };
        format!("{}: {lost}{removed}{damaged}{all} ({})", self.partition, self.reason)
    }
}

pub(super) fn run(paths: &[PathBuf], yes: bool, output: &mut Output) -> Result<(), Failure> {
    let mut report = Report::default();
    let data = NodeData::open(paths, &mut report)?;
    if data.directories.len() < paths.len() {
        let damage = report.damages.first().map_or("meta.properties is damaged", |d| &d.what);
        return Err(Failure::failed(damage));
    }
    if let Some(what) = data.missing() {
        // Recovery would cut logs to what the journals that are here know of.
        let file = data.directories[0].path.join(meta::FILE_NAME);
        return Err(Failure::usage(format!("{}: {what}", file.display())));
    }
    let Foreseen { losses, indexes } = foresee(&data, &mut report)?;
    if losses.is_empty() {
        rebuild(&data, &indexes)?;
        if output.is_json() {
            let rebuilt = indexes.len();
            return output.json(&serde_json::json!({ "accepted": [], "rebuilt_indexes": rebuilt }));
        }
        return output.line(match indexes.len() {
            0 => "nothing is lost: there is no loss to accept".to_owned(),
            count => format!("nothing is lost; the indexes of {count} segment(s) were rebuilt"),
        });
    }
    if !output.is_json() {
        for loss in &losses {
            let mark = output.coloured(Colour::Red, "lost");
            output.line(format_args!("{mark}  {}", loss.sentence()))?;
        }
        output.flush()?;
    }
    if !yes {
        confirm("accept these losses for good?")?;
    }
    let accepted = accept(&data, &losses)?;
    rebuild(&data, &indexes)?;
    if output.is_json() {
        return output.json(&serde_json::json!({ "accepted": accepted }));
    }
    output.line(format_args!(
        "accepted, and written to {ACCEPTED_LOSSES_FILE}; {} from the node's next start on takes records again",
        counted(accepted.len() as u64, "partition")
    ))
}

/// A segment whose indexes are damaged: its log directory, its partition's directory, its base.
type DamagedIndex = (DirId, PathBuf, Offset);

struct Foreseen {
    losses: Vec<Loss>,
    indexes: Vec<DamagedIndex>,
}

/// What would be lost, found without changing anything.
fn foresee(data: &NodeData, report: &mut Report) -> Result<Foreseen, Failure> {
    let overlays = data.overlays()?;
    let mut facts = JournalFacts::default();
    journals::check(data, &overlays, &mut facts, report)?;
    let dirs = overlays.iter().map(|(id, fs)| (*id, fs as &dyn FileSystem)).collect();
    let mut recovery = recover_all(data, dirs)?;
    facts.judge_unreadable(recovery.partitions.keys(), report);
    if let Some(refusal) = metadata::refusal(data, &overlays, &recovery) {
        return Err(refusal);
    }
    metadata::restore(data, &overlays, &mut recovery)?;
    let (mut losses, mut indexes) = (Vec::new(), Vec::new());
    for partition in recovery.partitions.values_mut() {
        let id = partition.directory.dir;
        let fs = of_directory(&overlays, id);
        let directory = partition.directory.path.clone();
        let bases = partitions::damaged_indexes(data.path_of(id), fs, partition, &facts);
        indexes.extend(bases.into_iter().map(|base| (id, directory.clone(), base)));
        let mut loss = loss_of(fs, partition, &facts)?;
        // Batches are looked for as far as the log will go.
        loss.mends = mend::find(fs, partition).map_err(|error| unreadable(&directory, &error))?;
        let damaged = loss.mends.iter().flat_map(Mend::lost);
        loss.damaged = damaged.map(|of| (of.start.0, of.end.0 - 1)).collect();
        if loss.is_suspect || !loss.mends.is_empty() {
            losses.push(loss);
        }
    }
    Ok(Foreseen { losses, indexes })
}

/// What goes with the end of a suspect log, which is cut to its sound end; damaged batches are not known yet.
fn loss_of(
    fs: &Overlay,
    partition: &mut RecoveredPartition,
    facts: &JournalFacts,
) -> Result<Loss, Failure> {
    let end = partition.end.offset;
    let mut loss = Loss {
        id: partition.id,
        directory: partition.directory.dir,
        partition: partition.directory.path.display().to_string(),
        topic_id: partition.id.topic_id.to_string(),
        reason: "batches in its segments are damaged".to_owned(),
        log_start: None,
        log_end: end.0,
        reached: None,
        removed_segments: Vec::new(),
        damaged: Vec::new(),
        mends: Vec::new(),
        is_suspect: partition.suspicion.is_some(),
    };
    if let Some(suspicion) = &partition.suspicion {
        let sound = sound_end::find(fs, partition)?;
        let reached = facts.end_of(partition.id).max(Some(partition.reached));
        loss.reason = suspicion.to_string();
        loss.log_start = partition.missing_below.map(|start| start.0);
        loss.log_end = sound.end.offset.0;
        loss.reached = reached.filter(|reached| *reached > sound.end.offset).map(|end| end.0);
        loss.removed_segments = sound.dropped.iter().map(|base| base.0).collect();
        cut(fs, partition, sound)?;
    }
    Ok(loss)
}

/// Derived from the segments: nothing is lost with them.
fn rebuild(data: &NodeData, indexes: &[DamagedIndex]) -> Result<(), Failure> {
    if indexes.is_empty() {
        return Ok(());
    }
    let file_systems = data.real()?;
    for (id, directory, base) in indexes {
        let fs = of_directory(&file_systems, *id);
        build_files(fs, directory, base.0, INDEX_INTERVAL_BYTES)
            .map_err(|error| unreadable(directory, &error))?;
    }
    Ok(())
}

fn accept(data: &NodeData, losses: &[Loss]) -> Result<Vec<Loss>, Failure> {
    let file_systems = data.real()?;
    let dirs = file_systems.iter().map(|(id, fs)| (*id, fs as &dyn FileSystem)).collect();
    let mut recovery = recover_all(data, dirs)?;
    metadata::restore(data, &file_systems, &mut recovery)?;
    let failed = |what: &str, error: &FileSystemError| unreadable(Path::new(what), error);
    for loss in losses {
        let fs = of_directory(&file_systems, loss.directory);
        let Some(partition) = recovery.partitions.get_mut(&loss.id) else { continue };
        if partition.suspicion.is_some() {
            let sound = sound_end::find(fs, partition)?;
            cut(fs, partition, sound)?;
        }
        mend::roll(partition, &loss.mends);
        if loss.id == METADATA {
            // The metadata of one node has no leader epochs.
            continue;
        }
        leave_note(fs, loss, partition).map_err(|error| failed(&loss.partition, &error))?;
    }
    for directory in &data.directories {
        let of_it = losses.iter().filter(|loss| loss.directory == directory.id);
        write_down(&directory.path, of_it)?;
    }
    open_new_incarnation(data, &file_systems, &recovery, losses)?;
    for loss in losses {
        let fs = of_directory(&file_systems, loss.directory);
        let directory = Path::new(&loss.partition);
        mend::rewrite(fs, directory, &loss.mends)
            .and_then(|()| match fs.remove_file(&directory.join(SUSPECT_FILE)) {
                Err(FileSystemError::NotFound) => Ok(()),
                removed => removed,
            })
            .and_then(|()| fs.sync_dir(directory))
            .map_err(|error| failed(&loss.partition, &error))?;
    }
    Ok(losses.to_vec())
}

/// The log ends at its sound end, in its files and in what is said of it.
fn cut(
    fs: &dyn FileSystem,
    partition: &mut RecoveredPartition,
    sound: SoundEnd,
) -> Result<(), Failure> {
    let directory = partition.directory.path.clone();
    let path = segment_path(&directory, sound.end.segment, "log");
    cut_files(fs, &directory, &sound).map_err(|error| unreadable(&path, &error))?;
    let end = sound.end;
    let has_file = match fs.length(&path) {
        Ok(_) => true,
        Err(FileSystemError::NotFound) => false,
        Err(error) => return Err(unreadable(&path, &error)),
    };
    partition.last_block = Bytes::from(sound_end::last_block(fs, partition, end)?);
    partition.active = has_file.then(|| ActiveSegment {
        base: end.segment,
        length: end.position,
        allocated: end.position,
        index: partition.active.take().map(|active| active.index).unwrap_or_default(),
        is_complete: true,
    });
    partition.finished = sound.finished;
    partition.end = end;
    partition.reached = end.offset;
    if end.offset < partition.cleaner.cleaned {
        partition.cleaner = partition.cleaner.of_shorter_log(end.segment, end.offset);
        cleaner_checkpoint::write(fs, &directory, &partition.cleaner)
            .map_err(|error| unreadable(&directory, &error))?;
    }
    partition.log_start = partition.log_start.min(end.offset);
    let kept = partition.epochs.pairs().iter().copied().filter(|(_, start)| *start < end.offset);
    let mut epochs = EpochHistory::from_pairs(kept.collect()).unwrap_or_default();
    for (epoch, start) in sound.epochs {
        epochs.begin(epoch, start);
    }
    partition.epochs = epochs;
    partition.leader_epoch = partition.leader_epoch.max(sound.leader_epoch.unwrap_or_default());
    partition.producers = producers_below(&partition.producers, end.offset);
    partition.suspicion = None;
    Ok(())
}

fn cut_files(
    fs: &dyn FileSystem,
    directory: &Path,
    sound: &SoundEnd,
) -> Result<(), FileSystemError> {
    for base in &sound.dropped {
        for extension in ["log", "index", "timeindex"] {
            fs.remove_file(&segment_path(directory, *base, extension))?;
        }
    }
    let last = (sound.end.segment, sound.end.position);
    for (base, length) in sound.finished.iter().copied().chain([last]) {
        let path = segment_path(directory, base, "log");
        match fs.length(&path) {
            // A log that ends with its first segment's name has no file yet.
            Err(FileSystemError::NotFound) => continue,
            Err(error) => return Err(error),
            Ok(now) if now == length && base != last.0 => continue,
            Ok(_) => {}
        }
        fs.set_length(&path, length)?;
        fs.sync(&path)?;
        build_files(fs, directory, base.0, INDEX_INTERVAL_BYTES)?;
    }
    fs.sync_dir(directory)
}

/// A producer's batches that are gone must not be taken for duplicates when they come again.
fn producers_below(producers: &ProducerTable, end: Offset) -> ProducerTable {
    let mut kept = ProducerTable::default();
    for (id, producer) in producers.iter() {
        let mut producer = producer.clone();
        producer.batches.retain(|batch| batch.next <= end);
        if !producer.batches.is_empty() {
            kept.insert(*id, producer);
        }
    }
    kept
}

/// For the node's next start, which raises the leader epoch: what comes now must not share an epoch with
/// what is gone.
fn leave_note(
    fs: &RealFileSystem,
    loss: &Loss,
    partition: &RecoveredPartition,
) -> Result<(), FileSystemError> {
    let directory = &partition.directory.path;
    let path = directory.join(ACCEPT_LOSS_FILE);
    let text = format!(
        "version: 1\ntopic_id: {}\npartition: {}\nlog_end: {}\n",
        loss.topic_id, loss.id.partition, partition.end.offset
    );
    fs.write_file(&path, text.as_bytes())?;
    fs.sync(&path)?;
    fs.sync_dir(directory)
}

fn write_down<'a>(root: &Path, losses: impl Iterator<Item = &'a Loss>) -> Result<(), Failure> {
    let path = root.join(ACCEPTED_LOSSES_FILE);
    let now = times::shown(times::now_ms());
    let lines: String = losses.map(|loss| format!("{now} {}\n", loss.sentence())).collect();
    if lines.is_empty() {
        return Ok(());
    }
    let append = || {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&path)?;
        file.write_all(lines.as_bytes())?;
        file.sync_all()?;
        std::fs::File::open(root)?.sync_all()
    };
    append().map_err(|error| Failure::failed(format!("{}: {error}", path.display())))
}

/// One journal states every partition of the node; recovery takes the newest word on each.
fn open_new_incarnation(
    data: &NodeData,
    file_systems: &[(DirId, RealFileSystem)],
    recovery: &NodeRecovery,
    losses: &[Loss],
) -> Result<(), Failure> {
    let newest = data.directories.iter().map(|directory| directory.meta.incarnation);
    let incarnation = newest.fold(recovery.incarnation_max, u64::max) + 1;
    for directory in &data.directories {
        let mut meta = directory.meta.clone();
        meta.incarnation = incarnation;
        let fs = of_directory(file_systems, directory.id);
        meta.write(fs).map_err(|error| unreadable(&directory.path, &error))?;
        forget_producers(fs, recovery, directory.id, losses)
            .map_err(|error| unreadable(&directory.path, &error))?;
    }
    let first = &data.directories[0];
    let here = recovery.journal_files.iter().filter(|(dir, ..)| *dir == first.id);
    let shard = here.clone().map(|(_, name, _)| name.shard).min().unwrap_or(0);
    let numbers = here.filter(|(_, name, _)| name.shard == shard).map(|(_, name, _)| name.number);
    let number = numbers.max().map_or(0, |number| number + 1);
    let identity = JournalIdentity { shard, incarnation, salt: first.meta.salt };
    let partitions: Vec<RecoveredPartition> = recovery.partitions.values().cloned().collect();
    let fs = of_directory(file_systems, first.id);
    open_shard(fs, identity, &partitions, number)
        .map_err(|error| unreadable(&first.path.join("journal"), &error))?;
    Ok(())
}

/// Saved states of the partitions that lost something may know of batches that are gone.
fn forget_producers(
    fs: &RealFileSystem,
    recovery: &NodeRecovery,
    directory: DirId,
    losses: &[Loss],
) -> Result<(), FileSystemError> {
    let of_it = recovery.journal_files.iter().filter(|(dir, ..)| *dir == directory);
    let mut shards: Vec<u32> = of_it.map(|(_, name, _)| name.shard).collect();
    shards.sort_unstable();
    shards.dedup();
    for shard in shards {
        let path = state_file::path(shard);
        let Some(file) = read_file(fs, &path, state_file::FILE_BYTES_MAX)? else { continue };
        let states: BTreeMap<PartitionId, state_file::SavedState> = state_file::decode(file);
        let kept: Vec<Bytes> = states
            .iter()
            .filter(|(id, _)| losses.iter().all(|loss| loss.id != **id))
            .map(|(id, state)| state_file::encode_section(*id, state))
            .collect();
        let temporary = path.with_extension("new");
        fs.write_file(&temporary, &state_file::encode_sections(kept.iter()))?;
        fs.sync(&temporary)?;
        fs.rename(&temporary, &path)?;
        fs.sync_dir(&JournalFileName::directory(shard))?;
    }
    Ok(())
}
