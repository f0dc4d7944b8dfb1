//! The process's resource limits and the two capabilities that lift them; raising the soft limits.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;

use crate::byte_count::ByteCount;
use crate::host_root::{HostRoot, field};

/// What the kernel lets this process hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProcessFacts {
    /// Bytes that may be locked: the rings' registered buffers count.
    pub memlock: Option<RLimit>,
    /// Open files: a connection is one, a segment is one.
    pub nofile: Option<RLimit>,
    /// `CAP_IPC_LOCK`: the memlock limit does not bind.
    pub may_lock_without_limit: bool,
    /// `CAP_SYS_ADMIN`: `io_uring_disabled = 1` does not bind.
    pub may_administer: bool,
    /// Supplementary and effective groups, for `io_uring_group`.
    pub groups: Vec<i64>,
    pub user_id: Option<u32>,
}

/// A soft and a hard limit; `None` is unlimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RLimit {
    pub soft: Option<u64>,
    pub hard: Option<u64>,
}

const CAP_IPC_LOCK: u32 = 14;
const CAP_SYS_ADMIN: u32 = 21;

impl ProcessFacts {
    pub(crate) fn read(host: &HostRoot) -> Self {
        let limits = host.text("/proc/self/limits").unwrap_or_default();
        let status = host.text("/proc/self/status").unwrap_or_default();
        let effective =
            field(&status, "CapEff").and_then(|hex| u64::from_str_radix(hex, 16).ok()).unwrap_or(0);
        let numbers = |name: &str| -> Vec<i64> {
            let list = field(&status, name).unwrap_or_default();
            list.split_whitespace().filter_map(|number| number.parse().ok()).collect()
        };
        // `Gid:` and `Uid:` hold the real, effective, saved and file-system ids.
        let mut groups = numbers("Groups");
        groups.extend(numbers("Gid").get(1));
        Self {
            memlock: limit_of(&limits, "Max locked memory"),
            nofile: limit_of(&limits, "Max open files"),
            may_lock_without_limit: effective >> CAP_IPC_LOCK & 1 == 1,
            may_administer: effective >> CAP_SYS_ADMIN & 1 == 1,
            groups,
            user_id: numbers("Uid").get(1).and_then(|&id| u32::try_from(id).ok()),
        }
    }

    /// How much the node can lock once its soft limit is raised; `None` is as much as it likes.
    pub fn lockable(&self) -> Option<ByteCount> {
        match self.memlock {
            Some(limit) if !self.may_lock_without_limit => limit.hard.map(ByteCount),
            _ => None,
        }
    }
}

/// `Max open files            20000                20000                files`
fn limit_of(limits: &str, name: &str) -> Option<RLimit> {
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    let mut columns = line.split_whitespace();
    let mut next = || match columns.next()? {
        "unlimited" => Some(None),
        number => number.parse().ok().map(Some),
    };
    Some(RLimit { soft: next()?, hard: next()? })
}

/// The soft limits after [`raise_soft_limits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RaisedLimits {
    pub memlock: RLimit,
    pub nofile: RLimit,
}

/// Raises the soft limits of locked memory and open files to the hard ones, which every process may
/// do for itself. What the kernel refuses stays as it was: the result says what is in force.
pub fn raise_soft_limits() -> RaisedLimits {
    RaisedLimits { memlock: raise(Resource::Memlock), nofile: raise(Resource::Nofile) }
}

fn raise(resource: Resource) -> RLimit {
    let before = getrlimit(resource);
    let wanted = Rlimit { current: before.maximum, maximum: before.maximum };
    let soft = match setrlimit(resource, wanted) {
        Ok(()) => before.maximum,
        Err(_) => before.current,
    };
    RLimit { soft, hard: before.maximum }
}
