//! Where this process sits in cgroup v1 and v2, and the limits of its group and of those above it.
//!
//! A limit of any ancestor binds, and a container often sees its own group mounted as the root. So
//! every level that is visible is read, and the smallest limit counts.

use std::path::{Path, PathBuf};

use crate::byte_count::ByteCount;
use crate::cpu_set::CpuSet;
use crate::host_root::HostRoot;
use crate::limits::CGROUP_LEVELS_MAX;
use crate::mounts::Mount;

/// What the groups of this process allow it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CgroupLimits {
    /// Thousandths of a CPU that may be used.
    pub(crate) cpu_quota_millis: Option<u64>,
    pub(crate) memory: Option<ByteCount>,
    pub(crate) cpus: Option<CpuSet>,
}

impl CgroupLimits {
    pub(crate) fn read(host: &HostRoot) -> Self {
        let mounts = Mount::all(host);
        let membership = host.text("/proc/self/cgroup").unwrap_or_default();
        let mut limits = Self::default();
        for line in membership.lines() {
            let Some((controllers, group)) = membership_of(line) else { continue };
            for mount in mounts.iter().filter(|mount| serves(mount, controllers)) {
                for level in levels(mount, group) {
                    limits.tighten(&Self::of_level(host, &level));
                }
            }
        }
        limits
    }

    fn of_level(host: &HostRoot, level: &Path) -> Self {
        let cpu_quota_millis = quota_v2(host, level).or_else(|| quota_v1(host, level));
        let memory = ["memory.max", "memory.high", "memory.limit_in_bytes"]
            .iter()
            .filter_map(|file| host.value::<u64>(level.join(file)))
            .filter(|&bytes| bytes < MEMORY_UNLIMITED_V1)
            .min()
            .map(ByteCount);
        let cpus = ["cpuset.cpus.effective", "cpuset.effective_cpus"]
            .iter()
            .find_map(|file| CpuSet::parse(&host.text(level.join(file))?))
            .filter(|cpus| !cpus.is_empty());
        Self { cpu_quota_millis, memory, cpus }
    }

    fn tighten(&mut self, other: &Self) {
        self.cpu_quota_millis = smaller(self.cpu_quota_millis, other.cpu_quota_millis);
        self.memory = smaller(self.memory, other.memory);
        self.cpus = match (self.cpus.take(), &other.cpus) {
            (Some(ours), Some(theirs)) => Some(ours.intersection(theirs)),
            (ours, theirs) => ours.or_else(|| theirs.clone()),
        };
    }
}

/// Version 1 writes "no limit" as the largest number that is whole in pages.
const MEMORY_UNLIMITED_V1: u64 = 1 << 62;

pub(crate) fn smaller<T: Ord>(a: Option<T>, b: Option<T>) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// `4:memory:/a/b` (version 1) or `0::/a/b` (version 2) to the controllers and the group.
fn membership_of(line: &str) -> Option<(&str, &str)> {
    let (_hierarchy, rest) = line.split_once(':')?;
    rest.split_once(':')
}

fn serves(mount: &Mount, controllers: &str) -> bool {
    match controllers {
        "" => mount.kind == "cgroup2",
        list => mount.kind == "cgroup" && list.split(',').any(|name| mount.has_option(name)),
    }
}

/// The folder of the group, then of each group above it up to the mount.
fn levels(mount: &Mount, group: &str) -> Vec<PathBuf> {
    let group = Path::new(group);
    // A container without a group namespace names its group by the host's path, of which the mount
    // shows only the part below its root. Where the group is not below it, only the mount is visible.
    let below = group.strip_prefix(&mount.root).unwrap_or(Path::new(""));
    let leaf = mount.mount_point.join(below);
    leaf.ancestors()
        .take_while(|level| level.starts_with(&mount.mount_point))
        .take(CGROUP_LEVELS_MAX)
        .map(Path::to_path_buf)
        .collect()
}

/// `cpu.max`: `max 100000` or `250000 100000` (microseconds in a period of microseconds).
fn quota_v2(host: &HostRoot, level: &Path) -> Option<u64> {
    let text = host.text(level.join("cpu.max"))?;
    let (quota, period) = text.split_once(' ')?;
    millis(quota.parse().ok()?, period.trim().parse().ok()?)
}

/// `cpu.cfs_quota_us` is -1 where there is no limit.
fn quota_v1(host: &HostRoot, level: &Path) -> Option<u64> {
    let quota: i64 = host.value(level.join("cpu.cfs_quota_us"))?;
    millis(u64::try_from(quota).ok()?, host.value(level.join("cpu.cfs_period_us"))?)
}

fn millis(quota: u64, period: u64) -> Option<u64> {
    quota.checked_mul(1000)?.checked_div(period).filter(|&millis| millis > 0)
}
