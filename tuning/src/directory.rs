//! All facts of one data directory: its file system, mount options, free space and disks.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{StatFs, major, minor, stat, statfs};
use serde::Serialize;

use crate::block_device::{BlockDevice, DeviceStack};
use crate::byte_count::ByteCount;
use crate::file_system::FileSystemKind;
use crate::host_root::HostRoot;
use crate::mounts::{DeviceNumber, Mount};

/// What a data directory lies on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DirectoryFacts {
    /// The directory, or the nearest one above it that exists, without links.
    pub path: PathBuf,
    pub kind: FileSystemKind,
    /// Where `kind` is an overlay and its upper layer can be seen: what that lies on.
    pub upper_kind: Option<FileSystemKind>,
    pub mount_point: Option<PathBuf>,
    pub mount_options: Vec<String>,
    pub free: ByteCount,
    pub total: ByteCount,
    pub disks: Vec<BlockDevice>,
    /// Mapped devices between the file system and the disks: RAID, LVM, encryption.
    pub layers: Vec<String>,
}

/// Why nothing is known of a directory.
#[derive(Debug)]
pub struct DirectoryFactsError {
    pub path: PathBuf,
    pub source: io::Error,
}

impl fmt::Display for DirectoryFactsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "cannot examine {}: {}", self.path.display(), self.source)
    }
}

impl std::error::Error for DirectoryFactsError {}

/// What system calls say of a directory; everything else is read below a [`HostRoot`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct DirectoryStat {
    pub(crate) device: DeviceNumber,
    pub(crate) magic: u64,
    pub(crate) free: ByteCount,
    pub(crate) total: ByteCount,
}

impl DirectoryFacts {
    /// Of a directory that may not exist yet: then of where it would be created.
    pub fn read(host: &HostRoot, directory: &Path) -> Result<Self, DirectoryFactsError> {
        let failed = |source| DirectoryFactsError { path: directory.to_path_buf(), source };
        let path = nearest_existing(directory).map_err(failed)?;
        let stat = DirectoryStat::of(&path).map_err(failed)?;
        Ok(Self::from_stat(host, path, stat))
    }

    /// Of a directory of a recorded tree, where only the mount tells: sizes are unknown (0).
    pub fn recorded(host: &HostRoot, path: &Path) -> Self {
        let mounts = Mount::all(host);
        let device = Mount::holding(&mounts, path).map(|mount| mount.device);
        let stat = DirectoryStat {
            device: device.unwrap_or(DeviceNumber { major: 0, minor: 0 }),
            magic: 0,
            free: ByteCount(0),
            total: ByteCount(0),
        };
        Self::from_stat(host, path.to_path_buf(), stat)
    }

    pub(crate) fn from_stat(host: &HostRoot, path: PathBuf, stat: DirectoryStat) -> Self {
        let mounts = Mount::all(host);
        let mount = Mount::holding(&mounts, &path);
        let kind = match FileSystemKind::from_magic(stat.magic) {
            FileSystemKind::Unknown => {
                mount.map_or(FileSystemKind::Unknown, |m| FileSystemKind::from_mount_type(&m.kind))
            }
            kind => kind,
        };
        let upper = mount.filter(|_| kind == FileSystemKind::Overlayfs);
        let upper = upper.and_then(|overlay| upper_mount(host, &mounts, overlay));
        let disks = disks(host, stat.device, upper.or(mount));
        Self {
            upper_kind: upper.map(|mount| FileSystemKind::from_mount_type(&mount.kind)),
            mount_point: mount.map(|mount| mount.mount_point.clone()),
            mount_options: mount.map(|mount| mount.options.clone()).unwrap_or_default(),
            disks: disks.disks,
            layers: disks.layers,
            kind,
            path,
            free: stat.free,
            total: stat.total,
        }
    }

    /// The kind that decides: an overlay behaves as its upper layer, where that is known.
    pub fn effective_kind(&self) -> FileSystemKind {
        self.upper_kind.unwrap_or(self.kind)
    }

    pub fn has_option(&self, option: &str) -> bool {
        self.mount_options.iter().any(|present| present == option)
    }
}

impl DirectoryStat {
    fn of(path: &Path) -> io::Result<Self> {
        let status = stat(path)?;
        let system: StatFs = statfs(path)?;
        let block = unsigned(system.f_bsize);
        // The kernel's magic numbers are 32 bits wide; on some targets the field is signed.
        let magic = unsigned(system.f_type) & 0xffff_ffff;
        Ok(Self {
            device: DeviceNumber { major: major(status.st_dev), minor: minor(status.st_dev) },
            magic,
            // What an ordinary user may still take, not the reserve for root.
            free: ByteCount(system.f_bavail.saturating_mul(block)),
            total: ByteCount(system.f_blocks.saturating_mul(block)),
        })
    }
}

/// The bits of a field that the kernel never means as negative.
fn unsigned(value: i64) -> u64 {
    u64::from_ne_bytes(value.to_ne_bytes())
}

fn nearest_existing(directory: &Path) -> io::Result<PathBuf> {
    let absolute = std::path::absolute(directory)?;
    let mut missing = io::Error::from(io::ErrorKind::NotFound);
    for candidate in absolute.ancestors() {
        match candidate.canonicalize() {
            Ok(path) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => missing = error,
            Err(error) => return Err(error),
        }
    }
    Err(missing)
}

/// The mount of an overlay's upper layer. Inside a container that path is one of the host, which
/// would seem to lie on the overlay itself: then nothing is known.
fn upper_mount<'mounts>(
    host: &HostRoot,
    mounts: &'mounts [Mount],
    overlay: &Mount,
) -> Option<&'mounts Mount> {
    let upper = Path::new(overlay.option("upperdir")?);
    let mount = Mount::holding(mounts, upper)?;
    (mount.kind != "overlay" && host.exists(upper)).then_some(mount)
}

fn disks(host: &HostRoot, device: DeviceNumber, mount: Option<&Mount>) -> DeviceStack {
    let by_number = DeviceStack::below(host, device);
    if !by_number.disks.is_empty() {
        return by_number;
    }
    let Some(mount) = mount else { return DeviceStack::default() };
    DeviceStack::of_mount(host, mount)
}

#[cfg(test)]
mod tests;
