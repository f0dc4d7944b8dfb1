//! Which CPUs this process may use: online, affinity, cpuset, quota; and how they and NUMA nodes are related.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::byte_count::ByteCount;
use crate::cgroup::CgroupLimits;
use crate::cpu_set::{CpuId, CpuSet};
use crate::host_root::{HostRoot, field, kibibytes};

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
    /// `None` where the kernel does not tell.
    pub memory: Option<ByteCount>,
    /// Whether this process may have memory there: a cpuset's `cpuset.mems` grants nodes by number.
    pub is_memory_granted: bool,
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
            nodes: numa_nodes(host, &status),
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
    /// those with memory of their own before the others, node by node, then the second threads.
    pub fn by_preference(&self) -> Vec<CpuId> {
        let mut cpus: Vec<CpuId> = self.allowed.iter().collect();
        cpus.sort_by_key(|&cpu| {
            (self.shares_core_with_lower(cpu), self.is_far_from_memory(cpu), self.node_of(cpu), cpu)
        });
        cpus
    }

    pub fn node_of(&self, cpu: CpuId) -> Option<u32> {
        self.node(cpu).map(|node| node.id)
    }

    /// Whether all memory that a thread on this CPU gets is another node's.
    pub(crate) fn is_far_from_memory(&self, cpu: CpuId) -> bool {
        self.node(cpu).is_some_and(|node| !node.is_memory_granted)
    }

    /// Of the nodes that the cpuset grants. `None` where it grants all of them, or where their sizes are unknown.
    pub(crate) fn granted_memory(&self) -> Option<ByteCount> {
        let granted: Vec<&NumaNode> =
            self.nodes.iter().filter(|node| node.is_memory_granted).collect();
        if granted.len() == self.nodes.len() {
            return None;
        }
        let sizes: Option<Vec<u64>> =
            granted.iter().map(|node| node.memory.map(ByteCount::get)).collect();
        sizes.map(|sizes| ByteCount(sizes.iter().sum()))
    }

    fn node(&self, cpu: CpuId) -> Option<&NumaNode> {
        self.nodes.iter().find(|node| node.cpus.contains(cpu))
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

/// `status` is the process's `/proc/PID/status`.
fn numa_nodes(host: &HostRoot, status: &str) -> Vec<NumaNode> {
    const NODES: &str = "/sys/devices/system/node";
    // A set of nodes is written as a set of CPUs is.
    let granted = field(status, "Mems_allowed_list").and_then(CpuSet::parse);
    let mut nodes: Vec<NumaNode> = host
        .names(NODES)
        .iter()
        .filter_map(|name| {
            let id = name.strip_prefix("node")?.parse().ok()?;
            let list = host.text(format!("{NODES}/{name}/cpulist"))?;
            let meminfo = host.text(format!("{NODES}/{name}/meminfo")).unwrap_or_default();
            let memory = kibibytes(&meminfo, &format!("Node {id} MemTotal"));
            // A node without memory is in no such list, and no cpuset is to blame.
            let is_memory_granted = memory == Some(ByteCount(0))
                || granted.as_ref().is_none_or(|nodes| nodes.contains(CpuId(id)));
            Some(NumaNode { id, cpus: CpuSet::parse(&list)?, memory, is_memory_granted })
        })
        .collect();
    nodes.sort_by_key(|node| node.id);
    // No node at all is a misread: we are running in one.
    let has_memory = |node: &&NumaNode| node.memory != Some(ByteCount(0));
    if nodes.iter().filter(has_memory).all(|node| !node.is_memory_granted) {
        nodes.iter_mut().for_each(|node| node.is_memory_granted = true);
    }
    nodes
}

fn model(host: &HostRoot) -> Option<String> {
    let text = host.text("/proc/cpuinfo")?;
    field(&text, "model name").map(str::to_owned)
}
