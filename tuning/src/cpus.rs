//! Which CPUs this process may use: online, affinity, cpuset, quota; and how they are related.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::cgroup::CgroupLimits;
use crate::cpu_set::{CpuId, CpuSet};
use crate::host_root::{HostRoot, field};

/// The CPUs of the machine, as this process sees them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CpuFacts {
    pub online: CpuSet,
    /// Online, in the process's affinity, and in its cpuset. Invariant: not empty.
    pub allowed: CpuSet,
    /// Thousandths of a CPU that the cgroup grants in each period.
    pub quota_millis: Option<u64>,
    /// Invariant: each allowed CPU is in one node at the most; empty on kernels without NUMA.
    pub nodes: Vec<NumaNode>,
    /// For each allowed CPU with SMT: the lowest-numbered hardware thread of its core.
    pub core_of: BTreeMap<CpuId, CpuId>,
    pub model: Option<String>,
}

/// Memory and the CPUs that are near it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NumaNode {
    pub id: u32,
    pub cpus: CpuSet,
}

impl CpuFacts {
    /// With the affinity of `process`: its number, or `self`.
    pub(crate) fn read(host: &HostRoot, cgroup: &CgroupLimits, process: &str) -> Self {
        let list = |path: &str| CpuSet::parse(&host.text(path)?).filter(|cpus| !cpus.is_empty());
        let online =
            list("/sys/devices/system/cpu/online").unwrap_or_else(|| CpuSet::from_iter([CpuId(0)]));
        let mut allowed = online.clone();
        let status = host.text(format!("/proc/{process}/status")).unwrap_or_default();
        let affinity = field(&status, "Cpus_allowed_list").and_then(CpuSet::parse);
        for bound in affinity.iter().chain(&cgroup.cpus) {
            let narrowed = allowed.intersection(bound);
            // Sets that do not meet are a misread, not a machine without CPUs: we are running.
            if !narrowed.is_empty() {
                allowed = narrowed;
            }
        }
        let core_of = allowed.iter().filter_map(|cpu| Some((cpu, first_sibling(host, cpu)?)));
        Self {
            nodes: numa_nodes(host),
            core_of: core_of.collect(),
            quota_millis: cgroup.cpu_quota_millis,
            model: model(host),
            online,
            allowed,
        }
    }

    /// How many CPUs can be busy at once: the allowed ones, or fewer if a quota binds. A quota of
    /// 2.5 CPUs keeps three shards: two would leave half a CPU unused.
    pub fn usable_count(&self) -> usize {
        let quota = self.quota_millis.map(|millis| usize::try_from(millis.div_ceil(1000)));
        match quota {
            Some(Ok(quota)) => self.allowed.len().min(quota.max(1)),
            _ => self.allowed.len(),
        }
    }

    /// Allowed CPUs in the order in which shards take them: one hardware thread of each core first,
    /// node by node, then the second threads.
    pub fn by_preference(&self) -> Vec<CpuId> {
        let mut cpus: Vec<CpuId> = self.allowed.iter().collect();
        cpus.sort_by_key(|&cpu| (self.shares_core_with_lower(cpu), self.node_of(cpu), cpu));
        cpus
    }

    pub fn node_of(&self, cpu: CpuId) -> Option<u32> {
        self.nodes.iter().find(|node| node.cpus.contains(cpu)).map(|node| node.id)
    }

    pub(crate) fn core(&self, cpu: CpuId) -> CpuId {
        self.core_of.get(&cpu).copied().unwrap_or(cpu)
    }

    /// Whether a lower allowed CPU is a hardware thread of the same core.
    fn shares_core_with_lower(&self, cpu: CpuId) -> bool {
        let core = self.core(cpu);
        self.allowed.iter().take_while(|&lower| lower < cpu).any(|lower| self.core(lower) == core)
    }
}

fn first_sibling(host: &HostRoot, cpu: CpuId) -> Option<CpuId> {
    let folder = format!("/sys/devices/system/cpu/cpu{cpu}/topology");
    let siblings = host.text(format!("{folder}/thread_siblings_list"))?;
    CpuSet::parse(&siblings)?.first()
}

fn numa_nodes(host: &HostRoot) -> Vec<NumaNode> {
    let mut nodes: Vec<NumaNode> = host
        .names("/sys/devices/system/node")
        .iter()
        .filter_map(|name| {
            let id = name.strip_prefix("node")?.parse().ok()?;
            let list = host.text(format!("/sys/devices/system/node/{name}/cpulist"))?;
            Some(NumaNode { id, cpus: CpuSet::parse(&list)? })
        })
        .collect();
    nodes.sort_by_key(|node| node.id);
    nodes
}

fn model(host: &HostRoot) -> Option<String> {
    let text = host.text("/proc/cpuinfo")?;
    field(&text, "model name").map(str::to_owned)
}
