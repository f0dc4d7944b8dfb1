//! A data directory: whether writes to it are direct and stable, its file system, space and disks.

use std::path::Path;

use rustix::io::Errno;

use crate::block_device::{BlockDevice, WriteCache};
use crate::check::{Check, Severity};
use crate::checks::{DirectoryContents, DurabilityWanted, Finding, shown};
use crate::directory::DirectoryFacts;
use crate::directory_probe::{DirectoryProbe, DirectoryProbeError, WritePath};
use crate::file_system::FileSystemKind;
use crate::limits::{FREE_BYTES_MIN, FREE_BYTES_WANTED, FREE_PERCENT_WANTED};

type Probe = Result<DirectoryProbe, DirectoryProbeError>;

pub(crate) fn checks(
    facts: &DirectoryFacts,
    probe: &Probe,
    durability: DurabilityWanted,
    contents: DirectoryContents,
) -> Vec<Check> {
    let mut checks: Vec<Check> = vec![
        writable(facts, probe).into(),
        direct(facts, probe).into(),
        stable(facts, probe, durability).into(),
    ];
    let exempt = probe.as_ref().ok().map(|probe| probe.no_copy_on_write);
    checks.extend(seen(facts, exempt, contents));
    for disk in &facts.disks {
        checks.extend(of_disk(disk));
    }
    checks
}

/// What can be told of a directory without writing into it; of `exempt` (from copying on write) only
/// where somebody tried.
pub(crate) fn seen(
    facts: &DirectoryFacts,
    exempt: Option<bool>,
    contents: DirectoryContents,
) -> Vec<Check> {
    vec![
        barriers(facts).into(),
        kind(facts).into(),
        copy_on_write(facts, exempt).into(),
        journaled_data(facts).into(),
        discard(facts).into(),
        timestamps(facts).into(),
        room(facts, contents).into(),
        space(facts).into(),
    ]
}

/// `disk.scheduler:vda`, `disk.write_cache:vda`.
pub(crate) fn of_disk(disk: &BlockDevice) -> Vec<Check> {
    let findings = [scheduler(disk), write_cache(disk)];
    let named = |finding: Finding| {
        let mut check = Check::from(finding);
        check.id = format!("{}:{}", check.id, disk.name);
        check
    };
    findings.map(named).into()
}

fn writable(facts: &DirectoryFacts, probe: &Probe) -> Finding {
    Finding {
        id: "directory.writable",
        title: "writing in the data directory",
        current: match probe {
            Ok(_) => "possible".to_owned(),
            Err(error) => format!("refused ({})", std::io::Error::from(error.errno)),
        },
        wanted: "possible".to_owned(),
        why: "every acknowledged record is written there",
        mend: Some(mend_unwritable(&facts.path, probe.as_ref().err().map(|error| error.errno))),
        severity: Severity::Fatal,
        passed: Some(probe.is_ok()),
    }
}

fn direct(facts: &DirectoryFacts, probe: &Probe) -> Finding {
    let (current, passed) = match probe.as_ref().map(|probe| probe.write_path) {
        Ok(WritePath::NotDirect { errno }) => {
            (format!("refused ({})", std::io::Error::from_raw_os_error(errno)), Some(false))
        }
        Ok(_) => ("accepted".to_owned(), Some(true)),
        Err(_) => ("not tried".to_owned(), None),
    };
    Finding {
        id: "directory.direct_io",
        title: "direct I/O (O_DIRECT)",
        current: format!("{current} on {}", facts.kind.name()),
        wanted: "accepted".to_owned(),
        why: "journal and segments are written past the page cache",
        mend: Some("put --data-dir on ext4 or XFS".to_owned()),
        severity: Severity::Fatal,
        passed,
    }
}

fn stable(facts: &DirectoryFacts, probe: &Probe, durability: DurabilityWanted) -> Finding {
    // An overlay that is mounted so ignores every sync: fast builds, lost data.
    let volatile = facts.has_option("volatile");
    let in_memory = facts.effective_kind().lives_in_memory();
    let (current, passed) = match probe.as_ref().map(|probe| probe.write_path) {
        _ if volatile => ("lost (the overlay is mounted volatile)".to_owned(), Some(false)),
        _ if in_memory => {
            let name = facts.effective_kind().name();
            (format!("lost with the power ({name} is memory)"), Some(false))
        }
        Ok(WritePath::DirectStable) => ("accepted".to_owned(), Some(true)),
        Ok(WritePath::DirectWithoutStable { errno }) => {
            (format!("refused ({})", std::io::Error::from_raw_os_error(errno)), Some(false))
        }
        Ok(WritePath::NotDirect { .. }) | Err(_) => ("not tried".to_owned(), None),
    };
    Finding {
        id: "directory.stable_writes",
        title: "stable writes (RWF_DSYNC)",
        current,
        wanted: "accepted".to_owned(),
        why: "an acknowledged record is on stable storage",
        mend: Some(
            "put --data-dir on a disk with ext4 or XFS, or give up the promise: \
             --durability memory"
                .to_owned(),
        ),
        severity: match durability {
            DurabilityWanted::Fsync => Severity::Fatal,
            DurabilityWanted::Memory => Severity::Warning,
        },
        passed,
    }
}

fn barriers(facts: &DirectoryFacts) -> Finding {
    let off = facts.has_option("nobarrier") || facts.has_option("barrier=0");
    Finding {
        id: "directory.barriers",
        title: "write barriers of the file system",
        current: if off { "off" } else { "on" }.to_owned(),
        wanted: "on".to_owned(),
        why: "without them a stable write stays in the disk's cache, and a power cut takes \
              acknowledged records",
        mend: remount(facts, "barrier=1"),
        severity: Severity::Warning,
        passed: Some(!off),
    }
}

fn kind(facts: &DirectoryFacts) -> Finding {
    let effective = facts.effective_kind();
    let name = match facts.upper_kind {
        Some(upper) => format!("overlayfs over {}", upper.name()),
        None => facts.kind.name().to_owned(),
    };
    Finding {
        id: "directory.file_system",
        title: "the file system",
        current: name,
        wanted: "ext4 or xfs".to_owned(),
        why: match facts.kind {
            FileSystemKind::Overlayfs => {
                "what a container writes to its own layer goes when the container goes"
            }
            _ => "only these two are tried and measured with every release",
        },
        mend: Some(match facts.kind {
            FileSystemKind::Overlayfs => "mount a volume and put --data-dir on it".to_owned(),
            _ => "put --data-dir on ext4 or XFS".to_owned(),
        }),
        severity: Severity::Warning,
        passed: match effective {
            FileSystemKind::Unknown => None,
            known => Some(known.is_measured() && facts.kind != FileSystemKind::Overlayfs),
        },
    }
}

fn copy_on_write(facts: &DirectoryFacts, exempt: Option<bool>) -> Finding {
    let copies = facts.effective_kind().copies_on_write();
    let is_btrfs = facts.effective_kind() == FileSystemKind::Btrfs;
    Finding {
        id: "directory.copy_on_write",
        title: "copy on write",
        current: if copies && exempt != Some(true) { "on" } else { "off" }.to_owned(),
        wanted: "off".to_owned(),
        why: "each overwrite of the journal allocates a new place and a metadata transaction, \
              several times the cost of writing in place",
        mend: Some(match is_btrfs {
            true => format!("chattr +C '{}' while it is empty", facts.path.display()),
            false => "put --data-dir on ext4 or XFS".to_owned(),
        }),
        severity: Severity::Warning,
        passed: if copies { exempt } else { Some(true) },
    }
}

fn journaled_data(facts: &DirectoryFacts) -> Finding {
    let journaled = facts.has_option("data=journal");
    Finding {
        id: "directory.data_journal",
        title: "ext4's journal of file contents (data=journal)",
        current: if journaled { "on" } else { "off" }.to_owned(),
        wanted: "off".to_owned(),
        why: "ext4 then writes everything twice, and not past the page cache",
        mend: remount(facts, "data=ordered").map(|_| {
            "mount the file system with data=ordered (in /etc/fstab; needs a new mount)".to_owned()
        }),
        severity: Severity::Warning,
        passed: Some(!journaled),
    }
}

fn discard(facts: &DirectoryFacts) -> Finding {
    let online = facts.has_option("discard");
    Finding {
        id: "directory.discard",
        title: "discard at every deletion (mount option)",
        current: if online { "on" } else { "off" }.to_owned(),
        wanted: "off, with fstrim.timer".to_owned(),
        why: "deleting segments then sends bursts of discards to the disk, between the journal's \
              writes",
        mend: remount(facts, "nodiscard")
            .map(|mend| format!("{mend} && sudo systemctl enable --now fstrim.timer")),
        severity: Severity::Warning,
        passed: Some(!online),
    }
}

fn timestamps(facts: &DirectoryFacts) -> Finding {
    let lazy = facts.has_option("lazytime");
    Finding {
        id: "directory.lazytime",
        title: "lazy timestamps (mount option lazytime)",
        current: if lazy { "on" } else { "off" }.to_owned(),
        wanted: "on".to_owned(),
        why: "kernels before 7.0 hand a direct write to a helper thread whenever the file's \
              modification time changes, once a tick",
        mend: remount(facts, "lazytime"),
        severity: Severity::Info,
        passed: facts.mount_point.is_some().then_some(lazy),
    }
}

fn room(facts: &DirectoryFacts, contents: DirectoryContents) -> Finding {
    // A node must be able to start on a disk that it filled itself: it serves reads, and topics can be
    // deleted.
    let (severity, why) = match contents {
        DirectoryContents::Nothing => {
            (Severity::Fatal, "journals and a reserve are written before the node answers")
        }
        DirectoryContents::NodeData => (
            Severity::Warning,
            "appends are refused until there is room; reads and deletions go on",
        ),
    };
    Finding {
        id: "directory.room",
        title: "room for the first journals",
        current: format!("{} free", facts.free),
        wanted: format!("{FREE_BYTES_MIN} or more"),
        why,
        mend: Some(format!(
            "df -h '{}': free some space, or another --data-dir",
            facts.path.display()
        )),
        severity,
        passed: Some(facts.free >= FREE_BYTES_MIN),
    }
}

fn space(facts: &DirectoryFacts) -> Finding {
    let percent = |part: u64| part.saturating_mul(100) / facts.total.get().max(1);
    let enough =
        facts.free >= FREE_BYTES_WANTED && percent(facts.free.get()) >= FREE_PERCENT_WANTED;
    Finding {
        id: "directory.space",
        title: "free space",
        current: format!("{} ({} %)", facts.free, percent(facts.free.get())),
        wanted: format!("{FREE_BYTES_WANTED} and {FREE_PERCENT_WANTED} % or more"),
        why: "a full disk refuses appends; a nearly full one slows down every allocation",
        mend: Some(
            "bound the topics with retention.bytes, or give a further --data-dir".to_owned(),
        ),
        severity: Severity::Warning,
        passed: Some(enough),
    }
}

fn scheduler(disk: &BlockDevice) -> Finding {
    let spinning = disk.rotational == Some(true);
    Finding {
        id: "disk.scheduler",
        title: "the disk's scheduler",
        current: shown(disk.scheduler.clone()),
        wanted: if spinning { "mq-deadline or none" } else { "none" }.to_owned(),
        why: "the node already orders its writes by importance; a second queue only adds delay",
        mend: Some(format!("echo none | sudo tee /sys/block/{}/queue/scheduler", disk.name)),
        severity: Severity::Warning,
        passed: disk
            .scheduler
            .as_deref()
            .map(|name| name == "none" || (spinning && name == "mq-deadline")),
    }
}

fn write_cache(disk: &BlockDevice) -> Finding {
    let forced = if disk.fua == Some(true) { "with" } else { "without" };
    Finding {
        id: "disk.write_cache",
        title: "the disk's write cache",
        current: match disk.write_cache {
            Some(WriteCache::WriteBack) => format!("write back, {forced} forced unit access"),
            Some(WriteCache::WriteThrough) => "write through".to_owned(),
            None => "unknown".to_owned(),
        },
        wanted: "write through (power-loss protection)".to_owned(),
        why: "with a volatile cache each group of records costs a flush; never override what the \
              disk says: that only stops the flushes",
        mend: Some("corelane tune calibrate --dry-run   # what a flush costs here".to_owned()),
        severity: Severity::Info,
        passed: disk.write_cache.map(|_| !disk.needs_flush()),
    }
}

/// What to do where a directory cannot be written (or created) for this reason.
pub fn mend_unwritable(path: &Path, reason: Option<Errno>) -> String {
    let path = path.display();
    let mend = match reason {
        Some(Errno::NOSPC | Errno::DQUOT) => format!("`df -h '{path}'`: free some space"),
        Some(Errno::ROFS) => format!(
            "its file system is read-only, and `findmnt -T '{path}'` and `dmesg` say why: mount it \
             for writing"
        ),
        Some(Errno::NOTDIR | Errno::EXIST) => {
            format!("`ls -ld '{path}'` shows a file where a directory is needed: move it away")
        }
        Some(Errno::NOENT) => format!("`mkdir -p '{path}'`"),
        Some(Errno::IO) => "the device fails, see `dmesg`: mend or replace it".to_owned(),
        _ => format!("`sudo install -d -o \"$(id -un)\" '{path}'`"),
    };
    format!("{mend}, or give another --data-dir")
}

/// Only where the mount is known.
fn remount(facts: &DirectoryFacts, option: &str) -> Option<String> {
    let point = facts.mount_point.as_ref()?;
    Some(format!("sudo mount -o remount,{option} '{}' (and in /etc/fstab)", point.display()))
}
