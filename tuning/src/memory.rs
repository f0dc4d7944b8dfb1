//! RAM, what of it is free, the cgroup's limit, swap and huge pages.

use serde::Serialize;

use crate::byte_count::ByteCount;
use crate::cgroup::{CgroupLimits, smaller};
use crate::cpus::CpuFacts;
use crate::host_root::{HostRoot, kibibytes};

/// The memory of the machine, as this process sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MemoryFacts {
    pub total: ByteCount,
    /// What the kernel thinks can be had without swapping.
    pub available: ByteCount,
    pub swap_total: ByteCount,
    pub cgroup_limit: Option<ByteCount>,
    /// Of the NUMA nodes that the cpuset grants; `None` where it grants all.
    pub cpuset_limit: Option<ByteCount>,
    pub transparent_huge_pages: Option<HugePages>,
}

/// `/sys/kernel/mm/transparent_hugepage/enabled`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HugePages {
    Always,
    Madvise,
    Never,
}

impl MemoryFacts {
    pub(crate) fn read(host: &HostRoot, cgroup: &CgroupLimits, cpus: &CpuFacts) -> Self {
        let meminfo = host.text("/proc/meminfo").unwrap_or_default();
        let size = |name: &str| kibibytes(&meminfo, name);
        let total = size("MemTotal").unwrap_or_default();
        Self {
            total,
            available: size("MemAvailable").unwrap_or(total),
            swap_total: size("SwapTotal").unwrap_or_default(),
            cgroup_limit: cgroup.memory,
            cpuset_limit: cpus.granted_memory(),
            transparent_huge_pages: huge_pages(host),
        }
    }

    /// The smallest of RAM, the cgroup's limit and what the cpuset grants. `None` where none is known.
    pub fn limit(&self) -> Option<ByteCount> {
        let total = Some(self.total).filter(|total| total.get() > 0);
        smaller(smaller(total, self.cgroup_limit), self.cpuset_limit)
    }
}

/// `always [madvise] never`: the one in brackets is in force.
fn huge_pages(host: &HostRoot) -> Option<HugePages> {
    let text = host.text("/sys/kernel/mm/transparent_hugepage/enabled")?;
    match text.split_once('[')?.1.split_once(']')?.0 {
        "always" => Some(HugePages::Always),
        "madvise" => Some(HugePages::Madvise),
        "never" => Some(HugePages::Never),
        _ => None,
    }
}
