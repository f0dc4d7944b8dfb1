//! `corelane verify`: every file of a stopped node, and accepting what is lost.
//!
//! Recovery runs over the directories with its changes kept in memory; what it would serve is then read
//! batch by batch. So this finds what a start would find, and bit rot besides.
//!
//! * `node_data`: the directories of one node, locked
//! * `overlay`: their files, with changes in memory
//! * `journals`, `state`, `partitions`, `indexes`: one kind of file each
//! * `metadata`: what the cluster's metadata says of the directories
//! * `one_partition`: one of them, as its node has it, or a copy elsewhere
//! * `report`: what is damaged, and what it hurts
//! * `accept_loss`: what goes, and bringing partitions back
//! * `mended`: segment files that the next start mends from the journal
//! * `mend`: segments written anew without their damaged batches
//! * `sound_end`: how far the batches of a suspect partition go on without a gap

mod accept_loss;
mod indexes;
mod journals;
mod mend;
mod mended;
mod metadata;
mod node_data;
mod one_partition;
mod overlay;
mod partitions;
mod report;
mod sound_end;
mod state;

use std::path::{Path, PathBuf};

use clap::Args;
use engine::disk::{DirId, FileSystem};
use engine::recovery::{LastBlock, LogDirectories, NodeRecovery, meta, recover};

use super::failure::Failure;
use super::output::Output;
use super::progress::Progress;
use super::stored_files::{data_directory_of, file_error};
use journals::JournalFacts;
use node_data::NodeData;
use report::Report;

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  corelane verify corelane-data
  corelane verify /mnt/a /mnt/b                           (all data directories of a node together)
  corelane verify corelane-data/orders-0                  (one partition, with what the journal has of it)
  corelane verify --accept-loss corelane-data             (says what is lost, asks, brings partitions back)
\nThe node must be stopped. Exit code 1 where something is damaged. Nothing is changed without --accept-loss.")]
pub(crate) struct VerifyArgs {
    /// The data directories of one node; or a partition's directory, or a segment.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// Give up what is damaged for good: logs are cut to their sound end, damaged batches are taken out.
    #[arg(long)]
    accept_loss: bool,

    /// Do not ask.
    #[arg(short, long, requires = "accept_loss")]
    yes: bool,
}

impl VerifyArgs {
    pub(crate) fn run(&self, output: &mut Output) -> Result<(), Failure> {
        for path in &self.paths {
            std::fs::metadata(path)
                .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
        }
        let is_data = |path: &PathBuf| path.join(meta::FILE_NAME).exists();
        if self.accept_loss {
            if let Some(other) = self.paths.iter().find(|path| !is_data(path)) {
                return Err(not_data(other));
            }
            return accept_loss::run(&self.paths, self.yes, output);
        }
        let (directories, mut files): (Vec<PathBuf>, Vec<PathBuf>) =
            self.paths.iter().cloned().partition(is_data);
        let progress =
            Progress::new("checked", self.paths.iter().map(|path| bytes_below(path)).sum());
        let mut report = Report { progress: Some(progress), ..Report::default() };
        if !directories.is_empty() {
            let data = NodeData::open(&directories, &mut report)?;
            check_node(&data, &mut report)?;
        }
        files.retain(|path| !is_below(path, &directories));
        for path in &files {
            one_partition::check(path, &mut report)?;
        }
        report.progress = None;
        report.show(output)?;
        if report.damages.is_empty() { Ok(()) } else { Err(Failure::said()) }
    }
}

/// Whether it was checked with its data directory.
fn is_below(path: &Path, directories: &[PathBuf]) -> bool {
    let root = data_directory_of(path);
    root.is_some_and(|root| {
        directories.iter().any(|one| one.canonicalize().is_ok_and(|one| one == root))
    })
}

fn not_data(path: &Path) -> Failure {
    Failure::usage(format!(
        "{} is no data directory: it has no meta.properties; name the --data-dir of the node",
        path.display()
    ))
}

fn check_node(data: &NodeData, report: &mut Report) -> Result<(), Failure> {
    let overlays = data.overlays()?;
    let Some(first) = data.directories.first() else { return Ok(()) };
    if let Some(what) = data.missing() {
        let file = first.path.join(meta::FILE_NAME);
        report.damage(
            &file,
            None,
            what,
            "any partition: its newest records may be in journals there",
        );
    }
    let mut facts = JournalFacts::default();
    journals::check(data, &overlays, &mut facts, report)?;
    let dirs = overlays.iter().map(|(id, fs)| (*id, fs as &dyn FileSystem)).collect();
    let mut recovery = recover_all(data, dirs)?;
    facts.judge_unreadable(recovery.partitions.keys(), report);
    check_incarnation(data, &recovery, report);
    metadata::check(data, &overlays, &recovery, &facts, report);
    metadata::restore(data, &overlays, &mut recovery)?;
    for (id, path) in &recovery.unknown {
        let whole = data.path_of(*id).join(path);
        let hurts = format!("{}: the partition is not served", path.display());
        report.damage(&whole, None, "partition.metadata is missing or damaged", hurts);
    }
    for (id, path) in &recovery.doomed {
        report
            .note(&data.path_of(*id).join(path), "a deleted partition, removed at the next start");
    }
    for partition in recovery.partitions.values() {
        let id = partition.directory.dir;
        if let Some((_, fs)) = overlays.iter().find(|(of, _)| *of == id) {
            partitions::check(data.path_of(id), fs, partition, &facts, None, report);
            mended::check(data.path_of(id), fs, partition, None, report)?;
        }
    }
    Ok(())
}

fn recover_all(
    data: &NodeData,
    dirs: Vec<(DirId, &dyn FileSystem)>,
) -> Result<NodeRecovery, Failure> {
    let salt = data.directories[0].meta.salt;
    let journals_missing = data.missing().is_some();
    let last_blocks = LastBlock::InFile;
    let directories = LogDirectories { dirs, salt, last_blocks, journals_missing };
    recover(&directories).map_err(|error| {
        Failure::failed(format!(
            "{}: recovery stops: {}; the device may have failed: see dmesg",
            data.path_of(error.dir).display(),
            file_error(&error.error)
        ))
    })
}

/// The counter of starts must not be behind a journal's, or a start would reuse a number.
fn check_incarnation(data: &NodeData, recovery: &NodeRecovery, report: &mut Report) {
    let newest = data.directories.iter().map(|directory| directory.meta.incarnation).max();
    if newest.unwrap_or(0) < recovery.incarnation_max
        && let Some(first) = data.directories.first()
    {
        report.damage(
            &first.path.join(meta::FILE_NAME),
            None,
            format!(
                "corelane.incarnation is {}, but a journal was written by start number {}",
                first.meta.incarnation, recovery.incarnation_max
            ),
            "nothing yet; set it to the larger number before the node starts",
        );
    }
}

/// For progress: what lies below a path. What cannot be read counts nothing.
fn bytes_below(path: &Path) -> u64 {
    let Ok(stat) = std::fs::symlink_metadata(path) else { return 0 };
    if !stat.is_dir() {
        return stat.len();
    }
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| bytes_below(&entry.path())).sum()
}

/// The file system of one directory among several.
fn of_directory<F>(file_systems: &[(DirId, F)], id: DirId) -> &F {
    let found = file_systems.iter().find(|(of, _)| *of == id);
    &found.expect("recovery names only directories that it was given").1
}

#[cfg(test)]
mod tests;
