//! What a log directory's disk can do, found out at start by trying.

use std::fmt;
use std::fs;
use std::io::IoSlice;
use std::path::{Path, PathBuf};

use rustix::fd::OwnedFd;
use rustix::fs::{CWD, IFlags, Mode, OFlags, ioctl_getflags, ioctl_setflags, openat, unlink};
use rustix::io::{Errno, ReadWriteFlags, pread, pwritev2, retry_on_intr};

use super::aligned::AlignedBuffer;
use super::mount::Mount;
use crate::limits::BLOCK_BYTES;

const PROBE_FILE: &str = ".probe";

/// Smallest unit of direct I/O that any device has.
const SECTOR_BYTES: usize = 512;

/// Keep everything in memory, or forget it with the machine.
const MEMORY_FILE_SYSTEMS: [&str; 3] = ["tmpfs", "ramfs", "rootfs"];

/// What was found out about the disk below a log directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryProbe {
    pub root: PathBuf,
    /// As the kernel calls it; for overlay the upper file system stands behind it.
    pub file_system: String,
    pub device: String,
    /// The unit of direct I/O; `None`: the file system knows none.
    pub direct_io_bytes: Option<usize>,
    pub copy_on_write: CopyOnWrite,
    pub stable_writes: StableWrites,
    /// Times are written lazily: kernels before 7.0 then hand fewer direct writes to a worker.
    pub lazytime: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyOnWrite {
    /// The file system overwrites in place.
    Never,
    /// Switched off for files created in this directory from now on.
    SwitchedOff,
    /// Every write of a block moves it: prewritten journal files gain nothing, segments fragment.
    Always,
}

/// Whether a completed durable write survives a power cut, as far as can be told from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StableWrites {
    Yes,
    /// The file system lives in memory.
    InMemory,
    /// Mounted so that flushes do not reach the device (nobarrier, volatile).
    FlushesOff,
    /// RWF_DSYNC is refused.
    Refused,
}

/// Why a directory could not be probed at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeError {
    Create {
        root: PathBuf,
        errno: i32,
    },
    Write {
        root: PathBuf,
        errno: i32,
    },
    /// The block that was read is not the one that was written.
    Mismatch {
        root: PathBuf,
    },
}

impl DirectoryProbe {
    /// Whether `durability=fsync` can be promised here.
    pub fn is_durable(&self) -> bool {
        self.direct_io_bytes.is_some_and(|bytes| bytes <= BLOCK_BYTES)
            && self.stable_writes == StableWrites::Yes
    }
}

/// Tries the disk below `root`, which is created if it is not there. Leaves no file behind; on btrfs
/// it switches copy-on-write off for files that will be created in `root`.
pub fn probe(root: &Path) -> Result<DirectoryProbe, ProbeError> {
    let create_failed =
        |error: std::io::Error| ProbeError::Create { root: root.into(), errno: errno_of(&error) };
    fs::create_dir_all(root).map_err(create_failed)?;
    let absolute = root.canonicalize().map_err(create_failed)?;
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mount = Mount::of(&absolute, &mountinfo);
    let upper = mount.as_ref().and_then(|mount| upper_of(mount, &mountinfo));
    let storage = upper.as_ref().or(mount.as_ref());
    let copy_on_write = switch_off_copy_on_write(root, storage);
    let (direct_io_bytes, dsync) = try_direct_writes(root)?;
    let (file_system, device) = match (&mount, &upper) {
        (Some(mount), Some(upper)) => {
            (format!("{} on {}", mount.file_system, upper.file_system), upper.device.clone())
        }
        (Some(mount), None) => (mount.file_system.clone(), mount.device.clone()),
        (None, _) => ("unknown file system".into(), "unknown device".into()),
    };
    Ok(DirectoryProbe {
        root: root.into(),
        file_system,
        device,
        direct_io_bytes,
        copy_on_write,
        stable_writes: judge_stability(mount.as_ref(), storage, dsync),
        lazytime: storage.is_some_and(|mount| mount.has("lazytime")),
    })
}

/// The mount that holds what is written to an overlay, where it can be seen from here.
fn upper_of(mount: &Mount, mountinfo: &str) -> Option<Mount> {
    if mount.file_system != "overlay" {
        return None;
    }
    let upper = Mount::of(Path::new(mount.value_of("upperdir")?), mountinfo)?;
    // In a container the path is the host's, and leads to the overlay itself.
    (upper.file_system != "overlay").then_some(upper)
}

fn judge_stability(mount: Option<&Mount>, storage: Option<&Mount>, dsync: bool) -> StableWrites {
    let flushes_off = |mount: &Mount| {
        ["nobarrier", "barrier=0", "volatile"].iter().any(|option| mount.has(option))
    };
    if storage.is_some_and(|mount| MEMORY_FILE_SYSTEMS.contains(&mount.file_system.as_str())) {
        StableWrites::InMemory
    } else if mount.is_some_and(flushes_off) || storage.is_some_and(flushes_off) {
        StableWrites::FlushesOff
    } else if dsync {
        StableWrites::Yes
    } else {
        StableWrites::Refused
    }
}

/// New files and directories inherit the flag; files with data in them cannot change it any more.
fn switch_off_copy_on_write(root: &Path, storage: Option<&Mount>) -> CopyOnWrite {
    match storage.map(|mount| mount.file_system.as_str()) {
        Some("btrfs") => {}
        Some("zfs" | "bcachefs") => return CopyOnWrite::Always,
        _ => return CopyOnWrite::Never,
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let switched = openat(CWD, root, flags, Mode::empty()).and_then(|directory| {
        let own = ioctl_getflags(&directory)?;
        ioctl_setflags(&directory, own | IFlags::NOCOW)?;
        ioctl_getflags(&directory)
    });
    match switched {
        Ok(now) if now.contains(IFlags::NOCOW) => CopyOnWrite::SwitchedOff,
        _ => CopyOnWrite::Always,
    }
}

/// The unit of direct I/O (`None`: no direct I/O), and whether RWF_DSYNC is accepted.
fn try_direct_writes(root: &Path) -> Result<(Option<usize>, bool), ProbeError> {
    let path = root.join(PROBE_FILE);
    let found = try_direct_file(root, &path);
    let _ = unlink(&path);
    found
}

fn try_direct_file(root: &Path, path: &Path) -> Result<(Option<usize>, bool), ProbeError> {
    let failed =
        |errno: Errno| ProbeError::Write { root: root.into(), errno: errno.raw_os_error() };
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o600);
    // First without O_DIRECT: a directory that cannot be written is another fault, with its own message.
    let buffered = openat(CWD, path, flags, mode).map_err(failed)?;
    let Ok(file) = openat(CWD, path, flags | OFlags::DIRECT, mode) else {
        let dsync = write_block(&buffered, BLOCK_BYTES, ReadWriteFlags::DSYNC).is_ok();
        return Ok((None, dsync));
    };
    let dsync = match write_block(&file, BLOCK_BYTES, ReadWriteFlags::DSYNC) {
        Ok(()) => true,
        Err(Errno::OPNOTSUPP) => false,
        Err(Errno::INVAL) => return Ok((None, false)),
        Err(errno) => return Err(failed(errno)),
    };
    if !dsync {
        write_block(&file, BLOCK_BYTES, ReadWriteFlags::empty()).map_err(failed)?;
    }
    let mut back = AlignedBuffer::zeroed(BLOCK_BYTES);
    let read = retry_on_intr(|| pread(&file, &mut back[..], 0)).map_err(failed)?;
    if read != BLOCK_BYTES || back[..] != pattern(BLOCK_BYTES)[..] {
        return Err(ProbeError::Mismatch { root: root.into() });
    }
    let sector = write_block(&file, SECTOR_BYTES, ReadWriteFlags::empty()).is_ok();
    Ok((Some(if sector { SECTOR_BYTES } else { BLOCK_BYTES }), dsync))
}

/// Writes one unit of the pattern to the beginning of the file, from memory aligned to 4 KiB.
fn write_block(file: &OwnedFd, bytes: usize, flags: ReadWriteFlags) -> Result<(), Errno> {
    let data = pattern(bytes);
    match retry_on_intr(|| pwritev2(file, &[IoSlice::new(&data)], 0, flags))? {
        written if written == bytes => Ok(()),
        _ => Err(Errno::IO),
    }
}

fn pattern(bytes: usize) -> AlignedBuffer {
    let mut data = AlignedBuffer::zeroed(bytes);
    for (value, byte) in (0..=u8::MAX).cycle().zip(data.iter_mut()) {
        *byte = value;
    }
    data
}

fn errno_of(error: &std::io::Error) -> i32 {
    error.raw_os_error().unwrap_or(Errno::IO.raw_os_error())
}

/// One line for the start-up log.
impl fmt::Display for DirectoryProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} on {}", self.root.display(), self.file_system, self.device)?;
        match self.direct_io_bytes {
            Some(bytes) => write!(f, ", direct I/O in units of {bytes} bytes")?,
            None => f.write_str(", no direct I/O")?,
        }
        f.write_str(match self.stable_writes {
            StableWrites::Yes => ", durable writes",
            StableWrites::InMemory => ", lives in memory: nothing survives a power cut",
            StableWrites::FlushesOff => ", flushes are switched off: a power cut can take anything",
            StableWrites::Refused => ", durable writes are refused",
        })?;
        f.write_str(match self.copy_on_write {
            CopyOnWrite::Never => "",
            CopyOnWrite::SwitchedOff => ", copy on write switched off for new files",
            CopyOnWrite::Always => {
                ", copy on write: each write moves its block, expect half the speed"
            }
        })
    }
}

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = |errno: &i32| std::io::Error::from_raw_os_error(*errno);
        match self {
            Self::Create { root, errno } => write!(
                f,
                "the data directory {} cannot be created: {}; give another --data-dir",
                root.display(),
                reason(errno)
            ),
            Self::Write { root, errno } => write!(
                f,
                "the data directory {} cannot be written: {}; make it writable or give another --data-dir",
                root.display(),
                reason(errno)
            ),
            Self::Mismatch { root } => write!(
                f,
                "the disk below {} does not give back what was written to it; give another --data-dir",
                root.display()
            ),
        }
    }
}

impl std::error::Error for ProbeError {}
