//! All facts of one machine, as one value.

use serde::Serialize;

use crate::cgroup::CgroupLimits;
use crate::container::ContainerFacts;
use crate::cpus::CpuFacts;
use crate::host_root::HostRoot;
use crate::kernel::KernelFacts;
use crate::memory::MemoryFacts;
use crate::process_limits::{ProcessFacts, RLimit};

/// What the machine, the container and the process allow. The facts of a data directory are apart
/// ([`crate::DirectoryFacts`]): a node has several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HostFacts {
    pub kernel: KernelFacts,
    pub cpus: CpuFacts,
    pub memory: MemoryFacts,
    pub process: ProcessFacts,
    pub container: ContainerFacts,
}

impl HostFacts {
    /// Never fails: what cannot be read is unknown, and every consumer has an answer for that.
    pub fn read(host: &HostRoot) -> Self {
        let cgroup = CgroupLimits::read(host);
        let cpus = CpuFacts::read(host, &cgroup, "self");
        Self {
            kernel: KernelFacts::read(host),
            memory: MemoryFacts::read(host, &cgroup, &cpus),
            cpus,
            process: ProcessFacts::read(host),
            container: ContainerFacts::read(host),
        }
    }

    /// As a unit of systemd will find the machine, whose limits are its own: neither what the shell that asks may lock
    /// nor its cores, quota and memory count. A container's bind its units, too.
    pub fn read_for_unit(host: &HostRoot) -> Self {
        let mut facts = Self::read(host);
        facts.process.memlock = Some(RLimit { soft: None, hard: None });
        if facts.container.container.is_none() {
            let unlimited = CgroupLimits::default();
            // Units inherit the first process's affinity, which leaves out isolated processors.
            facts.cpus = CpuFacts::read(host, &unlimited, "1");
            facts.memory = MemoryFacts::read(host, &unlimited, &facts.cpus);
        }
        facts
    }
}

/// What came of creating a ring. The attempt itself is `runtime`'s: this crate is without unsafe
/// system calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RingProbe {
    NotTried,
    Works,
    /// The system call that was refused, and the kernel's error number.
    Refused {
        call: &'static str,
        errno: i32,
    },
}

#[cfg(test)]
mod tests;
