//! Host facts turned into explicit limits.
//!
//! Job: read what the machine and the process's container allow, say how many shards fit on which
//! cores with how much memory, and name what must or should be changed, with the command that does
//! it.
//!
//! May touch: `/proc`, `/sys` and (in `directory_probe` and `disk_probes`) the data disk. Settings of the machine are written
//! in `changes` alone, where somebody asked for it (`corelane tune apply`); all else writes none but the
//! process's own soft limits. Must not touch: the node's data files.
//!
//! Everything but the probe and the process's limits is read below a [`HostRoot`], so that tests
//! read the recorded trees of other machines (`testdata/`).
//!
//! | module | what it holds |
//! |---|---|
//! | `host_root` | the folder below which `proc` and `sys` are read |
//! | `host` | all facts of one machine, as one value |
//! | `cpu_set` | ids and sets of CPUs, in the kernel's list format |
//! | `cpus` | which CPUs may be used: affinity, cpuset, quota, NUMA nodes, SMT siblings |
//! | `cgroup` | where this process sits in cgroup v1 and v2, and the limits above it |
//! | `memory` | RAM, what of it is free, the cgroup's limit, swap, huge pages |
//! | `kernel` | the kernel's version and the sysctls that matter |
//! | `process_limits` | rlimits and capabilities; raising the soft limits |
//! | `container` | which container runs us, and its seccomp filter |
//! | `mounts` | the mount that holds a path |
//! | `file_system` | kinds of file systems and what each can promise |
//! | `kernel_workers` | the kernel's threads that work for a process's rings |
//! | `block_device` | the disks below a file system, with their queues |
//! | `directory` | all facts of one data directory |
//! | `directory_probe` | direct I/O, stable writes and copy on write, tried rather than looked up |
//! | `disk_probes` | how fast a disk is (`aligned_bytes`, `durable`, `probe_file`, `samples`, `sequential`) |
//! | `calibration` | a disk measured for the node (`advice`, `flush`, `origin`, `record`, `sweep`) |
//! | `recorded_tree` | trees of other machines, for tests |
//! | `shard_plan` | facts and wishes to shards, cores and memory |
//! | `check` | one finding: current, wanted, why, and the command that mends it |
//! | `checks` | the findings about a machine (`checks/kernel`, `checks/process`, `checks/machine`) and a data directory (`checks/data_directory`) |
//! | `catalogue` | everything that `corelane tune` looks at, entry by entry |
//! | `finding` | an entry of the catalogue, looked up on a machine |
//! | `profile` | what the machine is for, which says how much a finding weighs |
//! | `setting` | one file of the kernel that may be written, and how it shows what it holds |
//! | `changes` | changing settings by a plan, with a journal, and changing them back |
//! | `systemd_unit` | a unit for the node that fits the machine |
//! | `byte_count` | sizes as people write them |
//! | `limits` | the bounds of this crate and their arithmetic |

mod block_device;
mod byte_count;
mod calibration;
mod catalogue;
mod cgroup;
mod changes;
mod check;
mod checks;
mod container;
mod cpu_set;
mod cpus;
mod directory;
mod directory_probe;
mod disk_probes;
mod file_system;
mod finding;
mod host;
mod host_root;
mod kernel;
mod kernel_workers;
mod limits;
mod memory;
mod mounts;
mod process_limits;
mod profile;
#[cfg(test)]
mod recorded_tree;
mod setting;
mod shard_plan;
mod systemd_unit;

pub use block_device::{BlockDevice, WriteCache};
pub use byte_count::{ByteCount, ParseByteCountError};
pub use calibration::{
    Calibration, CalibrationNow, CalibrationOrigin, CalibrationRecord, DiskAdvice, Effort,
    FlushTrust,
};
pub use catalogue::{Entry, Examined, ask_cards, entries, examine};
pub use changes::{
    Applied, AppliedCheck, AppliedState, Change, ChangeError, ChangeState, ChangeStatus, Choice,
    Drifted, JournalError, Overruled, OwnedFile, Plan, PlanError, PlannedCheck, PlannedFile,
    RolledBack, RolledBackChange, RolledBackState, STATE_DIRECTORY, Skipped, apply, rollback,
    status,
};
pub use check::{Check, Severity, Status};
pub use checks::{
    DirectoryContents, DurabilityWanted, directory_checks, host_checks, mend_unwritable,
};
pub use container::{Container, ContainerFacts, Seccomp};
pub use cpu_set::{CpuId, CpuSet};
pub use cpus::{CpuFacts, NumaNode};
pub use directory::{DirectoryFacts, DirectoryFactsError};
pub use directory_probe::{DirectoryProbe, DirectoryProbeError, WritePath, probe_directory};
pub use disk_probes::{
    Bandwidth, Direction, DiskProbeError, DiskProbes, DurableCall, DurableWrites, FileState,
    Samples, Shape, believable, knee,
};
pub use file_system::FileSystemKind;
pub use finding::{Action, Finding, Group, Scope, SettingWrite};
pub use host::{HostFacts, RingProbe};
pub use host_root::HostRoot;
pub use kernel::{KernelFacts, KernelVersion, Sysctls};
pub use kernel_workers::KernelWorkers;
pub use limits::{DEDICATED_SHARDS, KERNEL_VERSION_MIN, MEMLOCK_BYTES_MIN, SHARDS_MAX};
pub use memory::{HugePages, MemoryFacts};
pub use process_limits::{ProcessFacts, RLimit, RaisedLimits, raise_soft_limits};
pub use profile::Profile;
pub use setting::{Form, Setting};
pub use shard_plan::{DataShard, ShardPlan, ShardPlanError, plan_shards};
pub use systemd_unit::{DataDirsSaid, UNIT_PATH, UnitWishes, systemd_unit};
