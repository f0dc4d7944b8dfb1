//! One partition, or one segment of it. Within a data directory it is looked at as its node would have it: the
//! journal may have what its files have not, and a running node changes both. A copy elsewhere is checked as
//! the files that it is, which says nothing of what a journal has.

use std::path::{Path, PathBuf};

use engine::disk::{DirId, FileSystem};
use engine::recovery::{NodeRecovery, RecoveredPartition, meta};
use protocol::Offset;

use super::journals::{self, JournalFacts};
use super::node_data::NodeData;
use super::report::Report;
use super::{mended, metadata, not_data, of_directory, partitions, recover_all};
use crate::cli::failure::Failure;
use crate::cli::stored_files::{FileKind, open_for_reading, read_meta, unreadable};

/// A partition's directory, and the only segment that is asked about, if any.
struct Asked {
    directory: PathBuf,
    only: Option<Offset>,
}

impl Asked {
    fn of(path: &Path) -> Result<Self, Failure> {
        let (directory, only) = match FileKind::of(path) {
            _ if path.is_dir() => (path.to_owned(), None),
            FileKind::Segment { base }
            | FileKind::OffsetIndex { base }
            | FileKind::TimeIndex { base } => {
                let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
                (parent.unwrap_or(Path::new(".")).to_owned(), Some(Offset(base)))
            }
            _ => return Err(not_data(path)),
        };
        // "." has no name and no parent.
        let directory = match directory.file_name() {
            Some(_) => directory,
            None => directory.canonicalize().unwrap_or(directory),
        };
        Ok(Self { directory, only })
    }

    /// The data directory that it lives in, with its name there.
    fn place(&self) -> Option<(PathBuf, PathBuf)> {
        let name = self.directory.file_name()?;
        let root = match self.directory.parent()? {
            here if here.as_os_str().is_empty() => Path::new("."),
            root => root,
        };
        let is_data = root.join(meta::FILE_NAME).exists();
        is_data.then(|| (root.to_owned(), PathBuf::from(name)))
    }
}

pub(super) fn check(path: &Path, report: &mut Report) -> Result<(), Failure> {
    let asked = Asked::of(path)?;
    if let Some((root, name)) = asked.place()
        && check_in_node(&root, &name, asked.only, report)?
    {
        return Ok(());
    }
    check_files(path, &asked, report)
}

/// False where the node has no such partition.
fn check_in_node(
    root: &Path,
    name: &Path,
    only: Option<Offset>,
    report: &mut Report,
) -> Result<bool, Failure> {
    // Of the node's other files only that counts which hurts this partition, and recovery tells that.
    let mut others = Report::default();
    let data = NodeData::open(&directories_of_node(root)?, &mut others)?;
    if data.directories.first().is_none_or(|first| first.path != *root) {
        return Err(Failure::failed(format!(
            "{} is damaged; `corelane verify {}` says where",
            root.join(meta::FILE_NAME).display(),
            root.display()
        )));
    }
    if let Some(what) = data.missing() {
        let what = format!("{what}; what journals there have of the partition is not known");
        report.note(&root.join(meta::FILE_NAME), what);
    }
    let overlays = data.overlays()?;
    let mut facts = JournalFacts::default();
    journals::check(&data, &overlays, &mut facts, &mut others)?;
    let dirs = overlays.iter().map(|(id, fs)| (*id, fs as &dyn FileSystem)).collect();
    let mut recovery = recover_all(&data, dirs)?;
    metadata::restore(&data, &overlays, &mut recovery)?;
    let here = data.directories[0].id;
    let whole = root.join(name);
    if recovery.doomed.iter().any(|(dir, path)| *dir == here && path == name) {
        report.note(&whole, "a deleted partition, removed at the next start");
        return Ok(true);
    }
    if recovery.unknown.iter().any(|(dir, path)| *dir == here && path == name) {
        let hurts = format!("{}: the partition is not served", name.display());
        report.damage(&whole, None, "partition.metadata is missing or damaged", hurts);
        return Ok(true);
    }
    let Some(partition) = find(&recovery, here, name) else { return Ok(false) };
    let known = partitions::segments(partition);
    if let Some(only) = only.filter(|only| known.iter().all(|(base, _)| base != only)) {
        let file = engine::partition::index::segment_path(&whole, only, "log");
        report.note(&file, "no segment of the log any more: the next start removes it");
        return Ok(true);
    }
    let fs = of_directory(&overlays, here);
    partitions::check(root, fs, partition, &facts, only, report);
    mended::check(root, fs, partition, only, report)?;
    Ok(true)
}

fn find<'a>(recovery: &'a NodeRecovery, dir: DirId, path: &Path) -> Option<&'a RecoveredPartition> {
    let mut partitions = recovery.partitions.values();
    partitions.find(|one| one.directory.dir == dir && one.directory.path == path)
}

/// This data directory, and the others that its node had at its last start, as far as they are there.
fn directories_of_node(root: &Path) -> Result<Vec<PathBuf>, Failure> {
    let own = read_meta(root)?;
    let others = own.directories.iter().filter(|known| known.id != own.directory_id);
    let others = others.map(|known| PathBuf::from(&known.path));
    let others = others.filter(|path| path.join(meta::FILE_NAME).exists());
    Ok(std::iter::once(root.to_owned()).chain(others).collect())
}

/// What files alone tell.
fn check_files(path: &Path, asked: &Asked, report: &mut Report) -> Result<(), Failure> {
    let Asked { directory, only } = asked;
    let fs = open_for_reading(directory)?;
    let entries = fs.entries(Path::new("")).map_err(|error| unreadable(directory, &error))?;
    let base = |name: &Path| match FileKind::of(name) {
        FileKind::Segment { base } => Some(Offset(base)),
        _ => None,
    };
    let mut bases: Vec<Offset> = entries.iter().filter_map(|entry| base(&entry.name)).collect();
    bases.retain(|base| only.is_none_or(|only| only == *base));
    bases.sort_unstable();
    if bases.is_empty() {
        return Err(not_data(path));
    }
    partitions::check_files(directory, &fs, Path::new(""), &bases, report);
    report.note(
        directory,
        "outside a data directory only the files are checked: a node that was killed may have what their \
         end lacks in its journal",
    );
    Ok(())
}
