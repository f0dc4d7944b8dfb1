//! The kernel's version and whether it lets us have a ring.

use rustix::io::Errno;

use crate::check::{Check, Severity};
use crate::checks::{Finding, process, set_sysctl};
use crate::container::{Container, Seccomp};
use crate::host::{HostFacts, RingProbe};
use crate::limits::KERNEL_VERSION_MIN;

/// The call that tells whether the kernel has io_uring at all.
const SETUP: &str = "io_uring_setup";

pub(crate) fn checks(facts: &HostFacts, ring: RingProbe) -> Vec<Check> {
    vec![version(facts).into(), disabled(facts).into(), created(facts, ring).into()]
}

fn version(facts: &HostFacts) -> Finding {
    let version = facts.kernel.version;
    Finding {
        id: "kernel.version",
        title: "the kernel",
        current: match facts.kernel.release.as_str() {
            "" => "unknown".to_owned(),
            release => release.to_owned(),
        },
        wanted: format!("{KERNEL_VERSION_MIN} or newer"),
        why: "a shard's ring needs single-issuer submission with deferred task work",
        mend: Some(format!("install a kernel of version {KERNEL_VERSION_MIN} or newer and reboot")),
        severity: Severity::Fatal,
        passed: version.map(|version| version >= KERNEL_VERSION_MIN),
    }
}

fn disabled(facts: &HostFacts) -> Finding {
    let setting = facts.kernel.sysctls.io_uring_disabled;
    let group = facts.kernel.sysctls.io_uring_group.unwrap_or(-1);
    let passed = match setting {
        // Kernels before 6.6 have no such setting and refuse nobody.
        None | Some(0) => true,
        Some(1) => facts.process.may_administer || facts.process.groups.contains(&group),
        Some(_) => false,
    };
    Finding {
        id: "io_uring.disabled",
        title: "the sysctl kernel.io_uring_disabled",
        current: setting.map_or_else(|| "absent".to_owned(), |value| value.to_string()),
        wanted: "0, or 1 with this user in kernel.io_uring_group".to_owned(),
        why: "all sockets and data files go through io_uring",
        mend: Some(set_sysctl(facts, "kernel.io_uring_disabled", "0")),
        severity: Severity::Fatal,
        passed: Some(passed),
    }
}

fn created(facts: &HostFacts, ring: RingProbe) -> Finding {
    let (current, mend, passed) = match ring {
        RingProbe::NotTried => ("not tried".to_owned(), None, None),
        RingProbe::Works => ("accepted".to_owned(), None, Some(true)),
        RingProbe::Refused { call, errno } => {
            let error = std::io::Error::from_raw_os_error(errno);
            let (cause, mend) = refusal(facts, call, errno);
            (format!("{call} refused ({error}), probably by {cause}"), Some(mend), Some(false))
        }
    };
    Finding {
        id: "io_uring.ring",
        title: "making and using an io_uring ring",
        current,
        wanted: "accepted".to_owned(),
        why: "all sockets and data files go through io_uring",
        mend,
        severity: Severity::Fatal,
        passed,
    }
}

/// The likeliest cause of a refused ring, and what lifts it. In precedence order: a missing system
/// call explains itself, a limit on memory has its own number, the sysctl can be read, and what is
/// left is a filter.
fn refusal(facts: &HostFacts, call: &str, errno: i32) -> (&'static str, String) {
    let sysctl_refuses = disabled(facts).passed == Some(false);
    if errno == Errno::NOSYS.raw_os_error()
        && call == SETUP
        && facts.container.seccomp != Seccomp::Filtered
    {
        return ("a kernel built without io_uring", "use a kernel with CONFIG_IO_URING".to_owned());
    }
    if errno == Errno::NOMEM.raw_os_error() {
        let mend = process::raise_memlock(facts);
        return ("the limit on locked memory", mend);
    }
    if errno == Errno::MFILE.raw_os_error() || errno == Errno::NFILE.raw_os_error() {
        return ("the limit on open files", process::raise_nofile(facts));
    }
    if sysctl_refuses {
        let mend = set_sysctl(facts, "kernel.io_uring_disabled", "0");
        return ("the sysctl kernel.io_uring_disabled", mend);
    }
    match facts.container.container {
        Some(container) => ("the container's seccomp profile", lift_seccomp(container)),
        None if facts.container.seccomp == Seccomp::Filtered => (
            "a seccomp filter",
            "allow io_uring_setup, io_uring_enter and io_uring_register in the filter (of a systemd \
             unit: SystemCallFilter=@io-event)"
                .to_owned(),
        ),
        None => (
            "a security module",
            "look for io_uring in the kernel's log: sudo dmesg | grep -i io_uring".to_owned(),
        ),
    }
}

fn lift_seccomp(container: Container) -> String {
    match container {
        Container::Docker | Container::Unnamed => {
            "docker run --security-opt seccomp=unconfined --ulimit memlock=-1 … (or a profile that \
             allows io_uring_setup, io_uring_enter and io_uring_register)"
        }
        Container::Podman => {
            "podman run --security-opt seccomp=unconfined --ulimit memlock=-1 … (or a profile that \
             allows io_uring_setup, io_uring_enter and io_uring_register)"
        }
        Container::Kubernetes => {
            "set securityContext.seccompProfile to {type: Unconfined}, or to a Localhost profile \
             that allows io_uring_setup, io_uring_enter and io_uring_register"
        }
        Container::Lxc => "set lxc.seccomp.profile to one that allows the io_uring system calls",
        Container::SystemdNspawn => {
            "systemd-nspawn --system-call-filter='io_uring_setup io_uring_enter io_uring_register' …"
        }
    }
    .to_owned()
}
