//! `corelane inspect`: what is in a data directory or in one of its files. Changes nothing.
//!
//! * `directory`: data directories, partition directories, journal directories
//! * `segment`: batches, and their records
//! * `index`: offset and time indexes
//! * `journal`: groups with their entries
//! * `state`: epochs and producers

mod directory;
mod index;
mod journal;
mod segment;
mod state;

use std::path::{Path, PathBuf};

use clap::Args;

use super::failure::Failure;
use super::output::Output;
use super::stored_files::{FileKind, JOURNAL_DIRECTORY};

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  corelane inspect corelane-data                                            (what is there)
  corelane inspect corelane-data/orders-0                                   (a partition's segments)
  corelane inspect corelane-data/orders-0/00000000000000000000.log          (its batches)
  corelane inspect corelane-data/orders-0/00000000000000000000.log --records
  corelane inspect corelane-data/journal/0                                  (groups and entries)
\nThe node may run: what it is just writing may then look unfinished.")]
pub(crate) struct InspectArgs {
    /// Data directories, partition directories, or files in them.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// Show the records of each batch.
    #[arg(long)]
    records: bool,
}

/// What to do where there is nothing to show.
const TRY: &str = "`corelane inspect DATA-DIR` says what there is";

impl InspectArgs {
    pub(crate) fn run(&self, output: &mut Output) -> Result<(), Failure> {
        for (number, path) in self.paths.iter().enumerate() {
            if !output.is_json() && self.paths.len() > 1 {
                let gap = if number == 0 { "" } else { "\n" };
                output.line(format_args!("{gap}{}:", path.display()))?;
            }
            self.inspect(path, output)?;
        }
        Ok(())
    }

    fn inspect(&self, path: &Path, output: &mut Output) -> Result<(), Failure> {
        let stat = std::fs::metadata(path)
            .map_err(|error| Failure::failed(format!("{}: {error}; {TRY}", path.display())))?;
        if stat.is_dir() {
            return directory::inspect(path, output);
        }
        match FileKind::of(path) {
            FileKind::Segment { base } => segment::inspect(path, base, self.records, output),
            FileKind::OffsetIndex { base } => index::inspect_offsets(path, base, output),
            FileKind::TimeIndex { base } => index::inspect_times(path, base, output),
            FileKind::Journal { .. } => journal::inspect(path, output),
            FileKind::State => state::inspect(path, output),
            FileKind::Meta | FileKind::PartitionMetadata | FileKind::Note => text(path, output),
            FileKind::Other => Err(Failure::failed(format!(
                "{} is none of Corelane's files, which are named NNNNNNNNNNNNNNNNNNNN.log, .index and .timeindex, {JOURNAL_DIRECTORY}/N/N.journal, state, meta.properties and partition.metadata; {TRY}",
                path.display()
            ))),
        }
    }
}

/// Lines of `key=value` or `key: value`, as they stand.
fn text(path: &Path, output: &mut Output) -> Result<(), Failure> {
    let data = small_file(path)?;
    let text = String::from_utf8_lossy(&data).into_owned();
    if !output.is_json() {
        return output.line(text.trim_end());
    }
    let pairs = text.lines().filter_map(|line| line.split_once('=').or(line.split_once(": ")));
    let values: serde_json::Map<String, serde_json::Value> =
        pairs.map(|(key, value)| (key.trim().into(), value.trim().into())).collect();
    output.json(&serde_json::json!({ "file": path, "values": values, "text": text }))
}

/// A file that is read whole.
fn small_file(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |error: &std::io::Error| {
        let path = path.display();
        Failure::failed(format!("{path}: {error}; run this as the user of the node"))
    };
    let length = std::fs::metadata(path).map_err(|error| failed(&error))?.len();
    if length > super::limits::SMALL_FILE_BYTES_MAX {
        let path = path.display();
        return Err(Failure::failed(format!(
            "{path}: {length} bytes are more than such a file has; look at it with `head -c 4096 {path}`"
        )));
    }
    std::fs::read(path).map_err(|error| failed(&error))
}

/// The directory of a file, and its name there.
fn split(path: &Path) -> (PathBuf, PathBuf) {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let name = path.file_name().map(PathBuf::from).unwrap_or_default();
    (parent.unwrap_or(Path::new(".")).to_owned(), name)
}
