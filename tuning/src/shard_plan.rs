//! Facts and wishes to shards, cores and memory.
//!
//! ```text
//! cores allowed      0        1         2         3          (four or more: one is for control)
//!                    control  shard 0   shard 1   shard 2
//!
//! memory             | controller | coordinator | groups    | shard 0 | shard 1 | shard 2 |
//!                      a sixteenth each, 16 to    an eighth,  equal parts of the rest,
//!                      256 MiB                    8 MiB to    64 MiB at the least
//!                                                 1 GiB
//! ```

use std::fmt;

use runtime::locked_memory;
use serde::Serialize;

use crate::byte_count::ByteCount;
use crate::checks::raise_memlock;
use crate::cpu_set::{CpuId, CpuSet};
use crate::cpus::CpuFacts;
use crate::host::HostFacts;
use crate::limits::{
    CORES_WITH_ONE_FOR_CONTROL_MIN, DATA_SHARD_BYTES_DEFAULT_MAX, DATA_SHARD_BYTES_MAX,
    DATA_SHARD_BYTES_MIN, DEDICATED_SHARD_BYTES_MAX, DEDICATED_SHARD_BYTES_MIN,
    DEDICATED_SHARD_FRACTION, DEDICATED_SHARDS, GROUPS_BYTES_MAX, GROUPS_BYTES_MIN,
    GROUPS_FRACTION, MEMLOCK_BYTES_MIN, RING_LOCKED_WANTED, SHARDS_MAX,
};
use crate::memory::MemoryFacts;

/// Which shards a node runs, where, and with how much memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ShardPlan {
    /// Invariant: not empty; shard *n* is at place *n*.
    pub data_shards: Vec<DataShard>,
    /// The CPU of the controller shard and of the coordinator shard.
    pub control_cpu: CpuId,
    pub data_shard_memory: ByteCount,
    /// Of the controller shard and of the coordinator shard, each.
    pub dedicated_shard_memory: ByteCount,
    /// What the coordinator shard may hold of groups, beside that.
    pub groups_memory: ByteCount,
    /// Invariant: at least the sum over all shards.
    pub memory: ByteCount,
    /// What the queues of one shard's ring may lock.
    pub ring_locked_bytes_max: u64,
    /// What the operator should know of how the plan came about: a sentence each.
    pub notes: Vec<String>,
}

/// The place of one data shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct DataShard {
    pub cpu: CpuId,
    pub numa_node: Option<u32>,
}

/// Why there is no plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShardPlanError {
    NoShards,
    TooManyShards {
        wanted: u32,
        max: u32,
    },
    TooLittleMemory {
        given: ByteCount,
        least: ByteCount,
        source: MemorySource,
    },
    /// More than the arena of a shard can be.
    TooMuchMemory {
        given: ByteCount,
        most: ByteCount,
    },
}

/// Who bounds the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemorySource {
    Option,
    Machine,
}

impl fmt::Display for ShardPlanError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NoShards => formatter.write_str("--shards 0: a node has one data shard or more"),
            Self::TooManyShards { wanted, max } => {
                write!(formatter, "--shards {wanted}: a node runs {max} data shards at the most")
            }
            Self::TooLittleMemory { given, least, source: MemorySource::Option } => {
                write!(formatter, "--memory {given} is too little: give {least} or more")
            }
            Self::TooMuchMemory { given, most } => write!(
                formatter,
                "--memory {given} is more than the shards can use: give {most} or less"
            ),
            Self::TooLittleMemory { given, least, source: MemorySource::Machine } => write!(
                formatter,
                "this machine or container has {given} of memory: a node needs {least} or more"
            ),
        }
    }
}

impl std::error::Error for ShardPlanError {}

/// The least that `--memory` may say: one data shard, the two dedicated ones, and the groups.
const MEMORY_MIN: ByteCount = ByteCount(
    DATA_SHARD_BYTES_MIN.get()
        + DEDICATED_SHARDS * DEDICATED_SHARD_BYTES_MIN.get()
        + GROUPS_BYTES_MIN.get(),
);

/// Plans a node. `None` for a wish is the default: a data shard on every core (on four cores or
/// more, on all but one), and half of the smallest of RAM, the cgroup's limit and what the cpuset grants, but no more than
/// 4 GiB a data shard. Where that memory is too little for the shards, there are fewer shards.
pub fn plan_shards(
    facts: &HostFacts,
    wanted_shards: Option<u32>,
    wanted_memory: Option<ByteCount>,
) -> Result<ShardPlan, ShardPlanError> {
    match wanted_shards {
        Some(0) => return Err(ShardPlanError::NoShards),
        Some(wanted) if wanted > SHARDS_MAX => {
            return Err(ShardPlanError::TooManyShards { wanted, max: SHARDS_MAX });
        }
        _ => {}
    }
    let mut notes = Vec::new();
    let usable = usable_cpus(&facts.cpus, &mut notes);
    let asked = wanted_shards.map_or_else(|| default_shards(usable.len()), u64::from);
    let memory = total_memory(&facts.memory, asked, wanted_memory, &mut notes)?;
    let count = affordable_shards(asked, memory, &mut notes);
    let count = lockable_shards(facts, count, &mut notes);
    let ring_locked_bytes_max = ring_share(facts, count, &mut notes);
    let (control_cpu, data_shards) = place(&facts.cpus, &usable, count, &mut notes);
    let dedicated_shard_memory = dedicated_memory(memory);
    let most = ByteCount(count * DATA_SHARD_BYTES_MAX.get());
    if memory > most {
        return Err(ShardPlanError::TooMuchMemory { given: memory, most });
    }
    let groups_memory = groups_memory(memory);
    let plan = ShardPlan {
        data_shards,
        control_cpu,
        data_shard_memory: ByteCount(data_memory(memory) / count),
        dedicated_shard_memory,
        groups_memory,
        memory,
        ring_locked_bytes_max,
        notes,
    };
    plan.assert_invariants();
    Ok(plan)
}

impl ShardPlan {
    fn assert_invariants(&self) {
        assert!(!self.data_shards.is_empty(), "a plan has a data shard");
        assert!(self.data_shard_memory >= DATA_SHARD_BYTES_MIN, "a data shard can work");
        let shards = self.data_shards.len() as u64;
        let sum = self.data_shard_memory.get() * shards
            + self.dedicated_shard_memory.get() * DEDICATED_SHARDS
            + self.groups_memory.get();
        assert!(sum <= self.memory.get(), "the parts are no more than the whole");
    }
}

/// The CPUs to use, the preferred first.
fn usable_cpus(cpus: &CpuFacts, notes: &mut Vec<String>) -> Vec<CpuId> {
    let mut usable = cpus.by_preference();
    if cpus.usable_count() < usable.len() {
        let quota = cpus.quota_millis.unwrap_or(0);
        notes.push(format!(
            "the cgroup grants {}.{:03} CPUs of {}: {} are used",
            quota / 1000,
            quota % 1000,
            usable.len(),
            cpus.usable_count(),
        ));
        usable.truncate(cpus.usable_count());
    }
    assert!(!usable.is_empty(), "the CPU that runs this is allowed");
    usable
}

fn default_shards(usable: usize) -> u64 {
    let for_control = usize::from(usable >= CORES_WITH_ONE_FOR_CONTROL_MIN);
    (usable - for_control).min(SHARDS_MAX as usize) as u64
}

fn total_memory(
    facts: &MemoryFacts,
    shards: u64,
    wanted: Option<ByteCount>,
    notes: &mut Vec<String>,
) -> Result<ByteCount, ShardPlanError> {
    let limit = facts.limit();
    if let Some(given) = wanted {
        if given < MEMORY_MIN {
            let source = MemorySource::Option;
            return Err(ShardPlanError::TooLittleMemory { given, least: MEMORY_MIN, source });
        }
        if let Some(limit) = limit.filter(|&limit| given > limit) {
            notes.push(format!(
                "--memory {given} is more than the {limit} that this machine or container has: \
                 the kernel may kill the node"
            ));
        }
        return Ok(given);
    }
    let Some(limit) = limit else {
        let memory = ByteCount(MEMORY_MIN.get().max(shards * DATA_SHARD_BYTES_MIN.get()));
        notes.push(format!("the size of the memory is unknown: {memory} are used (see --memory)"));
        return Ok(memory);
    };
    if limit < MEMORY_MIN {
        let source = MemorySource::Machine;
        return Err(ShardPlanError::TooLittleMemory { given: limit, least: MEMORY_MIN, source });
    }
    let half = limit.get() / 2;
    if half < MEMORY_MIN.get() {
        notes.push(format!("{MEMORY_MIN} of {limit} are used: a node needs that much"));
        return Ok(MEMORY_MIN);
    }
    let memory = ByteCount(half.min(shards * DATA_SHARD_BYTES_DEFAULT_MAX.get()));
    if memory > facts.available {
        notes.push(format!(
            "only {} of memory are free now, and the node may take {memory} (see --memory)",
            facts.available
        ));
    }
    Ok(memory)
}

fn dedicated_memory(memory: ByteCount) -> ByteCount {
    let part = ByteCount(memory.get() / DEDICATED_SHARD_FRACTION);
    part.clamp(DEDICATED_SHARD_BYTES_MIN, DEDICATED_SHARD_BYTES_MAX)
}

/// On the smallest nodes less than the fraction: a data shard comes first.
fn groups_memory(memory: ByteCount) -> ByteCount {
    let beside = ByteCount(memory.get() - (MEMORY_MIN.get() - GROUPS_BYTES_MIN.get()));
    let part = ByteCount(memory.get() / GROUPS_FRACTION).min(beside);
    part.clamp(GROUPS_BYTES_MIN, GROUPS_BYTES_MAX)
}

/// Of all data shards together.
fn data_memory(memory: ByteCount) -> u64 {
    let dedicated = DEDICATED_SHARDS * dedicated_memory(memory).get();
    memory.get() - dedicated - groups_memory(memory).get()
}

/// As many of the shards asked for as the memory carries. Invariant: at least one, since `memory`
/// is at least [`MEMORY_MIN`].
fn affordable_shards(asked: u64, memory: ByteCount, notes: &mut Vec<String>) -> u64 {
    let affordable = data_memory(memory) / DATA_SHARD_BYTES_MIN.get();
    assert!(affordable > 0, "the least memory carries one shard");
    if affordable < asked {
        notes.push(format!(
            "{memory} of memory carry {affordable} data shards of {DATA_SHARD_BYTES_MIN}, not \
             {asked}: give --memory more for more shards"
        ));
    }
    affordable.min(asked)
}

/// As many shards as the rings of all may lock memory for; at least one, because a node with less than
/// [`MEMLOCK_BYTES_MIN`] does not start.
fn lockable_shards(facts: &HostFacts, count: u64, notes: &mut Vec<String>) -> u64 {
    let Some(lockable) = bounding_lockable(facts) else { return count };
    let lockable_shards = locked_memory::shards_max(lockable.get());
    let fit = lockable_shards - DEDICATED_SHARDS;
    if fit < count {
        notes.push(format!(
            "{lockable} of locked memory carry {fit} data shards, not {count}; for more of them: {}",
            raise_memlock(facts)
        ));
    }
    fit.min(count)
}

/// A limit below the least refuses the start; that is not for a plan to say.
fn bounding_lockable(facts: &HostFacts) -> Option<ByteCount> {
    facts.process.lockable().filter(|&lockable| lockable >= MEMLOCK_BYTES_MIN)
}

fn ring_share(facts: &HostFacts, count: u64, notes: &mut Vec<String>) -> u64 {
    let lockable = bounding_lockable(facts);
    let share = locked_memory::ring_share(lockable.map(ByteCount::get), count + DEDICATED_SHARDS);
    if let Some(lockable) = lockable.filter(|_| share < RING_LOCKED_WANTED.get()) {
        notes.push(format!(
            "{lockable} of locked memory make the queues of {count} data shards' rings short, which costs \
             system calls under load; to lift it: {}",
            raise_memlock(facts)
        ));
    }
    share
}

const _: () = assert!(
    MEMLOCK_BYTES_MIN.get() >= (1 + DEDICATED_SHARDS) * runtime::limits::SHARD_LOCKED_BYTES_MIN
);

/// Control takes the first CPU, where interrupts and kernel threads run too; data shards take those of
/// other cores while there are enough, then the hardware thread beside control, else all in turn.
fn place(
    cpus: &CpuFacts,
    usable: &[CpuId],
    count: u64,
    notes: &mut Vec<String>,
) -> (CpuId, Vec<DataShard>) {
    let count = usize::try_from(count).expect("at most SHARDS_MAX");
    let control_cpu = usable[0];
    let mut for_data = usable.to_vec();
    if count < usable.len() {
        for_data.remove(0);
        // Stable: the order of the others stays.
        for_data.sort_by_key(|&cpu| cpus.core(cpu) == cpus.core(control_cpu));
    }
    let shard = |&cpu: &CpuId| DataShard { cpu, numa_node: cpus.node_of(cpu) };
    let data_shards: Vec<DataShard> = for_data.iter().cycle().take(count).map(shard).collect();
    if count > for_data.len() {
        notes.push(format!(
            "{count} data shards share {} cores in turn: more shards than cores are slower",
            for_data.len()
        ));
    } else if count == usable.len() && count >= CORES_WITH_ONE_FOR_CONTROL_MIN {
        notes.push(format!(
            "every core has a data shard: the controller and the coordinator share core \
             {control_cpu} with shard 0"
        ));
    }
    note_threads_of_one_core(cpus, &data_shards, notes);
    note_far_memory(cpus, &data_shards, notes);
    (control_cpu, data_shards)
}

fn note_threads_of_one_core(cpus: &CpuFacts, shards: &[DataShard], notes: &mut Vec<String>) {
    let mut used: Vec<CpuId> = shards.iter().map(|shard| shard.cpu).collect();
    used.sort_unstable();
    used.dedup();
    let threads = used.len();
    let mut cores: Vec<CpuId> = used.iter().map(|&cpu| cpus.core(cpu)).collect();
    cores.sort_unstable();
    cores.dedup();
    if cores.len() < threads {
        notes.push(format!(
            "{threads} hardware threads of {} physical cores are used: for the lowest latency give \
             --shards {}",
            cores.len(),
            cores.len()
        ));
    }
}

fn note_far_memory(cpus: &CpuFacts, shards: &[DataShard], notes: &mut Vec<String>) {
    let far: CpuSet =
        shards.iter().map(|shard| shard.cpu).filter(|&cpu| cpus.is_far_from_memory(cpu)).collect();
    if !far.is_empty() {
        notes.push(format!(
            "cores {far} have no memory near them: the cpuset does not grant that of their NUMA node \
             (cpuset.mems, AllowedMemoryNodes= of a unit), and shards there work on another's"
        ));
    }
}

#[cfg(test)]
mod tests;
