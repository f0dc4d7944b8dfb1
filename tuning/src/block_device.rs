//! The disks below a file system, with their queues, from `/sys`.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::byte_count::ByteCount;
use crate::host_root::HostRoot;
use crate::limits::DEVICE_LEVELS_MAX;
use crate::mounts::{DeviceNumber, Mount};

/// One disk. Facts that the kernel does not tell are `None`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BlockDevice {
    /// As below `/sys/block`: `nvme0n1`, `sda`, `vda`.
    pub name: String,
    pub model: Option<String>,
    /// What its maker or its host calls this very disk (a world-wide id, a serial number): it stays when names change
    /// places.
    pub identity: Option<String>,
    pub size: Option<ByteCount>,
    pub rotational: Option<bool>,
    /// The scheduler in force.
    pub scheduler: Option<String>,
    pub write_cache: Option<WriteCache>,
    /// Whether a single write can bypass the cache (force unit access).
    pub fua: Option<bool>,
    pub logical_block: Option<ByteCount>,
    pub physical_block: Option<ByteCount>,
    pub queue_requests: Option<u64>,
    pub write_bytes_max: Option<ByteCount>,
    pub nomerges: Option<u64>,
    pub poll: Option<bool>,
}

/// Whether the disk says that it holds writes in a volatile cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WriteCache {
    /// A stable write costs a flush, or one forced write where `fua` is set.
    WriteBack,
    /// Every completed write is stable: no cache, or one with its own power.
    WriteThrough,
}

/// What lies below a file system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DeviceStack {
    /// Each once, by name.
    pub(crate) disks: Vec<BlockDevice>,
    /// Mapped devices above the disks, the uppermost first.
    pub(crate) layers: Vec<String>,
}

impl DeviceStack {
    /// What a device number leads to: through a partition to its disk, and through mapped
    /// devices (LVM, dm-crypt, software RAID) to all disks below. Empty for devices that are none
    /// (tmpfs, network file systems).
    pub(crate) fn below(host: &HostRoot, device: DeviceNumber) -> Self {
        let DeviceNumber { major, minor } = device;
        Self::at(host, Path::new(&format!("/sys/dev/block/{major}:{minor}")))
    }

    /// By number, or else by name: file systems that span disks have device numbers of their own, which
    /// name no disk.
    pub(crate) fn of_mount(host: &HostRoot, mount: &Mount) -> Self {
        let by_number = Self::below(host, mount.device);
        if by_number.disks.is_empty() {
            return Self::below_source(host, &mount.source);
        }
        by_number
    }

    /// The same for a device's path: `/dev/mapper/data`, `/dev/sdb1`.
    fn below_source(host: &HostRoot, source: &str) -> Self {
        let path = host.resolve(source).unwrap_or_else(|| PathBuf::from(source));
        match path.file_name() {
            Some(name) if source.starts_with("/dev/") => {
                Self::at(host, &Path::new("/sys/class/block").join(name))
            }
            _ => Self::default(),
        }
    }

    fn at(host: &HostRoot, link: &Path) -> Self {
        let Some(folder) = host.resolve(link) else { return Self::default() };
        let mut level = vec![folder];
        let mut stack = Self::default();
        for _ in 0..DEVICE_LEVELS_MAX {
            let mut below = Vec::new();
            for folder in level.iter().map(|folder| whole_disk(host, folder)) {
                let slaves = host.names(folder.join("slaves"));
                let folders =
                    slaves.iter().filter_map(|s| host.resolve(folder.join("slaves").join(s)));
                below.extend(folders);
                if slaves.is_empty() {
                    stack.disks.push(BlockDevice::read(host, &folder));
                } else if let Some(name) = folder.file_name() {
                    stack.layers.push(name.to_string_lossy().into_owned());
                }
            }
            level = below;
        }
        stack.disks.sort_by(|a, b| a.name.cmp(&b.name));
        stack.disks.dedup_by(|a, b| a.name == b.name);
        stack
    }
}

impl BlockDevice {
    fn read(host: &HostRoot, folder: &Path) -> Self {
        let queue = folder.join("queue");
        let number = |file: &str| host.value::<u64>(queue.join(file));
        let flag = |file: &str| number(file).map(|value| value != 0);
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned());
        Self {
            name: name.unwrap_or_default(),
            model: host.text(folder.join("device/model")),
            identity: identity(host, folder),
            // Always in sectors of 512 bytes, whatever the disk's block is.
            size: host.value::<u64>(folder.join("size")).map(|s| ByteCount(s.saturating_mul(512))),
            rotational: flag("rotational"),
            scheduler: scheduler(host, &queue),
            write_cache: match host.text(queue.join("write_cache")).as_deref() {
                Some("write back") => Some(WriteCache::WriteBack),
                Some("write through") => Some(WriteCache::WriteThrough),
                _ => None,
            },
            fua: flag("fua"),
            logical_block: number("logical_block_size").map(ByteCount),
            physical_block: number("physical_block_size").map(ByteCount),
            queue_requests: number("nr_requests"),
            write_bytes_max: number("max_sectors_kb").map(ByteCount::kib),
            nomerges: number("nomerges"),
            poll: flag("io_poll"),
        }
    }

    /// Whether the disk says itself that it holds writes in a volatile cache.
    pub(crate) fn says_write_back(&self) -> bool {
        self.write_cache == Some(WriteCache::WriteBack)
    }

    /// Whether a completed write may be lost with the power until a flush.
    pub fn needs_flush(&self) -> bool {
        self.write_cache != Some(WriteCache::WriteThrough)
    }
}

/// Where drivers put it: NVMe at the disk, SCSI at the device behind it; virtual disks have a serial number alone.
const IDENTITY_FILES: [&str; 4] = ["wwid", "device/wwid", "serial", "device/serial"];

fn identity(host: &HostRoot, folder: &Path) -> Option<String> {
    let told = IDENTITY_FILES.iter().filter_map(|file| host.text(folder.join(file)));
    // Of SCSI it is padded with blanks inside.
    let mut told = told.map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
    told.find(|text| !text.is_empty())
}

/// A partition lies in the folder of its disk and has no queue of its own.
fn whole_disk(host: &HostRoot, folder: &Path) -> PathBuf {
    match folder.parent() {
        Some(disk) if host.exists(folder.join("partition")) => disk.to_path_buf(),
        _ => folder.to_path_buf(),
    }
}

/// `none [mq-deadline] kyber`: the one in brackets; a lone word where there is no choice.
fn scheduler(host: &HostRoot, queue: &Path) -> Option<String> {
    let text = host.text(queue.join("scheduler"))?;
    let chosen = text.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    Some(chosen.map_or(text.as_str(), |(name, _)| name).to_owned())
}
