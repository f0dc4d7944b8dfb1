//! The process's limits: locked memory and open files.

use crate::byte_count::ByteCount;
use crate::check::{Check, Severity};
use crate::checks::Finding;
use crate::container::Container;
use crate::host::HostFacts;
use crate::limits::{MEMLOCK_BYTES_MIN, NOFILE_WANTED};

pub(crate) fn checks(facts: &HostFacts) -> Vec<Check> {
    vec![memlock(facts).into(), registered_buffers(facts).into(), nofile(facts).into()]
}

fn memlock(facts: &HostFacts) -> Finding {
    Finding {
        id: "process.memlock",
        title: "the limit on locked memory",
        current: lockable_shown(facts),
        wanted: format!("{MEMLOCK_BYTES_MIN} or more"),
        why: "each shard's executor locks its rings and first buffers",
        mend: Some(raise_memlock(facts)),
        severity: Severity::Fatal,
        passed: lockable_known(facts)
            .map(|lockable| lockable.is_none_or(|bytes| bytes >= MEMLOCK_BYTES_MIN)),
    }
}

fn registered_buffers(facts: &HostFacts) -> Finding {
    Finding {
        id: "process.registered_buffers",
        title: "locked memory for registered buffers",
        current: lockable_shown(facts),
        wanted: "unlimited".to_owned(),
        why: "`--pin-memory` registers the node's memory with the kernel; without, the kernel maps the \
              pages of every disk operation anew, a tenth more processor time on large writes",
        mend: Some(raise_memlock(facts)),
        severity: Severity::Info,
        passed: lockable_known(facts).map(|lockable| lockable.is_none()),
    }
}

fn nofile(facts: &HostFacts) -> Finding {
    let hard = facts.process.nofile.map(|limit| limit.hard);
    Finding {
        id: "process.nofile",
        title: "the hard limit on open files",
        current: hard.map_or_else(|| "unknown".to_owned(), unlimited_or),
        wanted: format!("{NOFILE_WANTED} or more"),
        why: "a connection is an open file, and so is a segment in use; the node raises its soft \
              limit to the hard one by itself",
        mend: Some(raise_nofile(facts)),
        severity: Severity::Warning,
        passed: hard.map(|hard| hard.is_none_or(|files| files >= NOFILE_WANTED)),
    }
}

fn unlimited_or(limit: Option<u64>) -> String {
    limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string())
}

/// The outer `None`: not known. The inner: no limit.
fn lockable_known(facts: &HostFacts) -> Option<Option<ByteCount>> {
    let known = facts.process.may_lock_without_limit || facts.process.memlock.is_some();
    known.then(|| facts.process.lockable())
}

fn lockable_shown(facts: &HostFacts) -> String {
    match lockable_known(facts) {
        Some(None) => "unlimited".to_owned(),
        Some(Some(bytes)) => bytes.to_string(),
        None => "unknown".to_owned(),
    }
}

pub(crate) fn raise_memlock(facts: &HostFacts) -> String {
    raise(
        facts,
        Raise { docker: "memlock=-1", unit: "LimitMEMLOCK=infinity", pam: "memlock unlimited" },
    )
}

pub(crate) fn raise_nofile(facts: &HostFacts) -> String {
    raise(
        facts,
        Raise { docker: "nofile=1048576", unit: "LimitNOFILE=1048576", pam: "nofile 1048576" },
    )
}

/// One limit in the words of the three places where limits are set.
struct Raise {
    docker: &'static str,
    unit: &'static str,
    pam: &'static str,
}

fn raise(facts: &HostFacts, limit: Raise) -> String {
    let Raise { docker, unit, pam } = limit;
    match facts.container.container {
        Some(Container::Docker | Container::Unnamed) => format!("docker run --ulimit {docker} …"),
        Some(Container::Podman) => format!("podman run --ulimit {docker} …"),
        Some(Container::Kubernetes | Container::Lxc | Container::SystemdNspawn) => {
            format!("set {unit} in the unit of the container's runtime on the host")
        }
        None => format!(
            "echo '* - {pam}' | sudo tee /etc/security/limits.d/60-corelane.conf, then log in \
             again (in a systemd unit: {unit})"
        ),
    }
}
