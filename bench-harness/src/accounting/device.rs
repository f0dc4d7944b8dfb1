//! What reached the block device below the broker's files.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::process::process;
use super::read;

/// The unit of the kernel's counters, whatever the device's own blocks are.
const SECTOR_BYTES: u64 = 512;

/// Since the machine began. Of the device as a whole: others write to it, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceUsage {
    pub written_bytes: u64,
    pub read_bytes: u64,
    pub flushes: u64,
}

/// The device that holds most of the regular files that the process has open, as `major:minor`.
pub(super) fn below_files_of(root: &Path, pid: u32) -> Option<String> {
    let files = fs::read_dir(process(root, pid).join("fd")).ok()?.flatten();
    let mut devices: BTreeMap<u64, usize> = BTreeMap::new();
    for file in files {
        // Follows the link: what is open may be deleted already.
        if let Ok(data) = fs::metadata(file.path())
            && data.is_file()
        {
            *devices.entry(data.dev()).or_default() += 1;
        }
    }
    let (device, _) = devices.into_iter().max_by_key(|(_, files)| *files)?;
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    Some(format!("{major}:{minor}"))
}

pub(super) fn usage(root: &Path, device: &str) -> Option<DeviceUsage> {
    parse(&read(&root.join("sys/dev/block").join(device).join("stat")))
}

/// Fields of `/sys/block/*/stat`: 2 sectors read, 6 sectors written, 15 flushes (since Linux 5.5), from 0.
fn parse(stat: &str) -> Option<DeviceUsage> {
    let fields: Vec<u64> = stat.split_whitespace().filter_map(|text| text.parse().ok()).collect();
    Some(DeviceUsage {
        read_bytes: fields.get(2)? * SECTOR_BYTES,
        written_bytes: fields.get(6)? * SECTOR_BYTES,
        flushes: fields.get(15).copied().unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::{DeviceUsage, parse};

    #[test]
    fn sectors_are_bytes_and_flushes_are_counted() {
        let stat = " 1 2 30 4 5 6 70 8 9 10 11 12 13 14 15 160 17\n";
        let expected = DeviceUsage { read_bytes: 15_360, written_bytes: 35_840, flushes: 160 };
        assert_eq!(parse(stat), Some(expected));
        assert_eq!(parse(""), None);
    }
}
