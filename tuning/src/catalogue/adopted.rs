//! What a start and `corelane doctor` check too: their findings, with what `tune` adds to them.

use std::path::Path;

use crate::catalogue::entry::{Entry, Observation, Verdict};
use crate::catalogue::machine::Machine;
use crate::check::{Check, Severity, Status};
use crate::checks::{DirectoryContents, data_directory, host_checks};
use crate::directory::DirectoryFacts;
use crate::finding::{Finding, Group, Scope, SettingWrite};
use crate::setting::{Form, Setting, same};

pub(crate) static ENTRIES: [Entry; 22] = [
    Entry {
        prod: Severity::Fatal,
        bench: Severity::Fatal,
        why: "a shard's ring needs single-issuer submission with deferred task work",
        lesson: "Features decide, not the number: but all of those that the node uses came by 6.1, and \
                 a start tries them. Later kernels are faster: shared direct overwrites on ext4 (6.3), \
                 less locked memory for each ring, no helper thread for timestamps (7.0).",
        source: "/proc/sys/kernel/osrelease",
        reboot: true,
        ..Entry::of("kernel.version", Group::Kernel, "the kernel")
    },
    Entry {
        prod: Severity::Fatal,
        bench: Severity::Fatal,
        why: "all sockets and data files go through io_uring",
        lesson: "0 lets everyone use it, 1 only privileged processes and kernel.io_uring_group, 2 \
                 nobody. Some distributions switch it off because it once had many security bugs: a \
                 group of its own for the node (1 with kernel.io_uring_group) is the narrower way.",
        source: "/proc/sys/kernel/io_uring_disabled, io_uring_group",
        risk: Some("lets every process of this machine use io_uring; a group is the narrower way"),
        ..Entry::of("io_uring.disabled", Group::Kernel, "the sysctl kernel.io_uring_disabled")
    },
    Entry {
        prod: Severity::Fatal,
        bench: Severity::Fatal,
        why: "all sockets and data files go through io_uring",
        lesson: "A ring is made and used, as a start does. Docker's and Kubernetes' usual filters \
                 refuse it; the command says what lifts that.",
        source: "the system calls io_uring_setup and io_uring_enter, tried",
        of_host: false,
        ..Entry::of("io_uring.ring", Group::Kernel, "making and using an io_uring ring")
    },
    Entry {
        prod: Severity::Fatal,
        bench: Severity::Fatal,
        why: "each shard's executor locks its rings and first buffers",
        lesson: "Read for the process that runs this command: a unit or a container has its own \
                 (LimitMEMLOCK=, --ulimit memlock=). Rings themselves count since Linux 6.13; \
                 registered buffers always did.",
        source: "/proc/self/limits, /proc/self/status (CAP_IPC_LOCK)",
        of_host: false,
        ..Entry::of("process.memlock", Group::Process, "the limit on locked memory")
    },
    Entry {
        why: "`--pin-memory` registers the node's memory with the kernel; without, the kernel maps the \
              pages of every disk operation anew",
        lesson: "About a tenth of the processor time of large writes. Pinning touches all memory at \
                 the start, which then takes seconds. Measure with `serve --pin-memory` and without.",
        source: "/proc/self/limits",
        of_host: false,
        ..Entry::of(
            "process.registered_buffers",
            Group::Process,
            "locked memory for registered buffers",
        )
    },
    Entry {
        prod: Severity::Warning,
        bench: Severity::Warning,
        why: "a connection is an open file, and so is a segment in use",
        lesson: "The node raises its soft limit to the hard one by itself, so the hard one counts. \
                 With fewer, segments are opened and closed by turns, and connections are refused at \
                 the end. Kafka's operators use 100,000 and more as well.",
        source: "/proc/self/limits",
        of_host: false,
        ..Entry::of("process.nofile", Group::Process, "the hard limit on open files")
    },
    Entry {
        prod: Severity::Warning,
        bench: Severity::Warning,
        why: "a shard that has used up its quota stands still for the rest of the period, with every \
              partition on it",
        lesson: "A quota of two CPUs on a machine with 16 is spent by 16 threads in an eighth of each \
                 100 ms; the rest of the period is latency. Whole CPUs by cpuset have no such pauses. \
                 `nr_throttled` in the group's cpu.stat counts them.",
        source: "cpu.max, or cpu.cfs_quota_us, of every cgroup above this process",
        of_host: false,
        ..Entry::of("cpu.quota", Group::Cpu, "the cgroup's processor quota")
    },
    Entry {
        prod: Severity::Warning,
        bench: Severity::Warning,
        why: "a shard that waits for its own memory to come back from disk stops all its partitions",
        lesson: "1 swaps only where there would be no memory otherwise, and keeps swap for everyone \
                 else; other tuners choose 1 to 10. The node's memory is resident from its first use \
                 on, and `serve --pin-memory` keeps it so whatever this says.",
        source: "/proc/sys/vm/swappiness, /proc/meminfo",
        ..Entry::of("memory.swap", Group::Memory, "swapping (vm.swappiness)")
    },
    Entry {
        why: "shards ask for huge pages for their own memory; `always` makes the kernel build them \
              for every process, in the middle of an allocation, and `never` costs address translation",
        lesson: "Tuners disagree (always, never): that is about programs that do not ask. This one \
                 asks (madvise), so `madvise` gives it what it needs and leaves the others alone. Takes \
                 effect for memory that is first used afterwards: start the node again.",
        source: "/sys/kernel/mm/transparent_hugepage/enabled",
        ..Entry::of("memory.huge_pages", Group::Memory, "transparent huge pages")
    },
    Entry {
        prod: Severity::Warning,
        bench: Severity::Warning,
        why: "clients that all reconnect after a restart wait in this queue; beyond it they are dropped \
              and try again a second later",
        lesson: "The node listens with as long a queue as this allows. The kernel counts what it \
                 dropped: `nstat -az TcpExtListenOverflows`. 4096 is the kernel's own default since \
                 5.4; older sysctl.conf files still say 128. A listening socket keeps the length of \
                 its start: start the node again.",
        source: "/proc/sys/net/core/somaxconn",
        ..Entry::of("network.somaxconn", Group::Network, "the longest queue of new connections")
    },
    Entry {
        why: "clients that all reconnect after a restart wait in this queue first; it binds only where \
              net.ipv4.tcp_syncookies is 0",
        lesson: "With SYN cookies, the usual setting, the kernel answers without the queue when it is \
                 full, and this number hardly matters. `nstat -az TcpExtTCPReqQFullDrop` counts drops.",
        source: "/proc/sys/net/ipv4/tcp_max_syn_backlog",
        ..Entry::of(
            "network.syn_backlog",
            Group::Network,
            "the longest queue of half-open connections",
        )
    },
    Entry {
        prod: Severity::Warning,
        bench: Severity::Warning,
        why: "without them a stable write stays in the disk's cache, and a power cut takes \
              acknowledged records",
        lesson: "Never switch them off to be faster, whatever a guide says: on disks with power-loss \
                 protection they cost nothing anyway, for the kernel sends no flush there.",
        source: "/proc/self/mountinfo",
        of_host: false,
        ..Entry::of("directory.barriers", Group::Directory, "write barriers of the file system")
    },
    Entry {
        prod: Severity::Warning,
        bench: Severity::Warning,
        why: "only ext4 and XFS are tried and measured with every release",
        lesson: "Both take direct writes that append without blocking the ring, mostly; \
                 `corelane_kernel_worker…` on /metrics counts what a kernel thread had to do instead. \
                 A container's own layer goes with the container: mount a volume.",
        source: "statfs, /proc/self/mountinfo",
        of_host: false,
        ..Entry::of("directory.file_system", Group::Directory, "the file system")
    },
    Entry {
        prod: Severity::Warning,
        bench: Severity::Warning,
        why: "each overwrite of the journal allocates a new place and a metadata transaction, several \
              times the cost of writing in place",
        lesson: "On btrfs, `chattr +C` on the empty directory exempts the files made in it later.",
        source: "statfs",
        of_host: false,
        ..Entry::of("directory.copy_on_write", Group::Directory, "copy on write")
    },
    Entry {
        prod: Severity::Warning,
        bench: Severity::Warning,
        why: "ext4 then writes everything twice, and not past the page cache",
        lesson: "data=ordered, the default, is right. data=writeback is not needed: the node syncs \
                 what it promises by itself.",
        source: "/proc/self/mountinfo",
        of_host: false,
        ..Entry::of(
            "directory.data_journal",
            Group::Directory,
            "ext4's journal of file contents (data=journal)",
        )
    },
    Entry {
        prod: Severity::Warning,
        bench: Severity::Warning,
        why: "deleting segments then sends bursts of discards to the disk, between the journal's writes",
        lesson: "fstrim.timer does the same once a week, at a quiet hour of your choice. On some cloud \
                 disks discards cost nothing: measure the durable latency while a large topic is deleted.",
        source: "/proc/self/mountinfo",
        of_host: false,
        ..Entry::of(
            "directory.discard",
            Group::Directory,
            "discard at every deletion (mount option)",
        )
    },
    Entry {
        why: "kernels before 7.0 hand a direct write to a helper thread whenever the file's \
              modification time changes, once a tick",
        lesson: "lazytime keeps timestamps in memory for up to a day: nothing of the node reads them. \
                 Measured as tens of microseconds on the write that meets the tick.",
        source: "/proc/self/mountinfo",
        of_host: false,
        ..Entry::of(
            "directory.lazytime",
            Group::Directory,
            "lazy timestamps (mount option lazytime)",
        )
    },
    Entry {
        prod: Severity::Fatal,
        bench: Severity::Fatal,
        why: "journals and a reserve are written before the node answers",
        lesson: "A node that has data starts even so, and refuses appends until there is room.",
        source: "statfs",
        of_host: false,
        ..Entry::of("directory.room", Group::Directory, "room for the first journals")
    },
    Entry {
        prod: Severity::Warning,
        bench: Severity::Warning,
        why: "a full disk refuses appends; a nearly full one slows down every allocation",
        lesson: "File systems look longer for free space above 80 %, and an SSD has less room to move \
                 data in. Bound topics with retention.bytes, or give the node a further directory.",
        source: "statfs",
        of_host: false,
        ..Entry::of("directory.space", Group::Directory, "free space")
    },
    Entry {
        prod: Severity::Warning,
        bench: Severity::Warning,
        why: "the node already orders its writes by importance; a second queue only adds delay",
        lesson: "`none` hands requests to the disk as they come. On a spinning disk mq-deadline is as \
                 good. Choosing another scheduler makes the kernel set nr_requests, wbt_lat_usec and \
                 the old scheduler's own numbers anew: they are noted first, and put back by rollback.",
        source: "/sys/block/DISK/queue/scheduler",
        ..Entry::of("disk.scheduler", Group::Disk, "the disk's scheduler")
    },
    Entry {
        why: "with a volatile cache each group of records costs a flush",
        lesson: "Only reported. `echo write through` into this file does not change the disk: it stops \
                 the kernel from flushing it, and a power cut then takes acknowledged records. A disk \
                 with power-loss protection says \"write through\" by itself; `disk.volatile_cache` is its own \
                 word, and `tune calibrate` measures what a flush costs.",
        source: "/sys/block/DISK/queue/write_cache, fua",
        ..Entry::of("disk.write_cache", Group::Disk, "the disk's write cache")
    },
    Entry {
        prod: Severity::Warning,
        bench: Severity::Warning,
        why: "block sizes and depths of one disk may be wrong for another",
        lesson: "`corelane tune calibrate` measures how many durable writes at once a disk gains from, and \
                 from which size on; another disk, file system or kernel may differ by a factor. Looked at \
                 where --config names a file in which it wrote.",
        source: "[disk.calibrated] of the node's configuration",
        of_host: false,
        ..Entry::of("disk.calibration", Group::Disk, "what `tune calibrate` measured")
    },
];

pub(crate) fn findings(machine: &Machine<'_>) -> Vec<Finding> {
    let host = host_checks(machine.facts, machine.ring);
    let mut findings: Vec<Finding> =
        host.into_iter().map(|check| adopt(machine, check, None)).collect();
    for directory in machine.directories {
        findings.extend(of_directory(machine, directory));
    }
    findings
}

fn of_directory(machine: &Machine<'_>, directory: &DirectoryFacts) -> Vec<Finding> {
    // Whether there is data, only a live machine tells.
    let contents = match directory.path.join("meta.properties").exists() {
        true => DirectoryContents::NodeData,
        false => DirectoryContents::Nothing,
    };
    let checks = data_directory::seen(directory, None, contents).into_iter();
    let is_sized = directory.total.get() > 0;
    let checks = checks.map(|check| {
        let needs_size = ["directory.room", "directory.space"].contains(&check.id.as_str());
        match needs_size && !is_sized {
            true => Check { status: Status::Unknown, ..check },
            false => check,
        }
    });
    checks.map(|check| adopt(machine, check, Some(&directory.path))).collect()
}

/// Of one disk, which may hold several directories.
pub(crate) fn of_disk(
    machine: &Machine<'_>,
    disk: &crate::block_device::BlockDevice,
) -> Vec<Finding> {
    data_directory::of_disk(disk).into_iter().map(|check| adopt(machine, check, None)).collect()
}

/// Of what the configuration says it was calibrated on.
pub(crate) fn of_calibration(machine: &Machine<'_>, check: Check) -> Finding {
    adopt(machine, check, None)
}

fn adopt(machine: &Machine<'_>, check: Check, directory: Option<&Path>) -> Finding {
    let (id, device) = match check.id.split_once(':') {
        Some((id, device)) => (id, Some(device)),
        None => (check.id.as_str(), None),
    };
    let entry = ENTRIES.iter().find(|entry| entry.id == id).expect("each check of doctor is here");
    let scope = match (directory, device, entry.group) {
        (Some(path), _, _) => Scope::Directory(path.to_path_buf()),
        (_, Some(name), _) => Scope::Disk(name.to_owned()),
        (_, _, Group::Process) => Scope::Process,
        _ => Scope::Machine,
    };
    let verdict = match check.status {
        Status::Passed => Verdict::Passed,
        Status::Failed => Verdict::Failed,
        Status::Unknown => Verdict::Unknown("it cannot be read here".to_owned()),
    };
    let writes = match check.status {
        Status::Failed => writes(machine, id, device),
        _ => Vec::new(),
    };
    let mut seen = Observation::new(&check.current, check.wanted.clone(), verdict);
    if !writes.is_empty() {
        seen = seen.with_writes(writes);
    } else if let Some(mend) = check.mend {
        seen = seen.with_command(mend);
    }
    let mut finding = machine.scoped(entry, scope, seen);
    // A directory with data in it may be fuller than an empty one.
    finding.severity = machine.profile.weighs(check.severity, check.severity.min(entry.bench));
    finding
}

fn writes(machine: &Machine<'_>, id: &str, device: Option<&str>) -> Vec<SettingWrite> {
    let queue = |file: &str| format!("/sys/block/{}/queue/{file}", device.unwrap_or_default());
    let (path, form, to) = match id {
        "io_uring.disabled" => ("/proc/sys/kernel/io_uring_disabled".to_owned(), Form::Plain, "0"),
        "memory.swap" => ("/proc/sys/vm/swappiness".to_owned(), Form::Plain, "1"),
        "memory.huge_pages" => {
            ("/sys/kernel/mm/transparent_hugepage/enabled".to_owned(), Form::Choice, "madvise")
        }
        "network.somaxconn" => ("/proc/sys/net/core/somaxconn".to_owned(), Form::Plain, "4096"),
        "network.syn_backlog" => {
            ("/proc/sys/net/ipv4/tcp_max_syn_backlog".to_owned(), Form::Plain, "4096")
        }
        "disk.scheduler" => (queue("scheduler"), Form::Choice, "none"),
        _ => return Vec::new(),
    };
    let setting = Setting::new(path, form).expect("these are harmless");
    let Ok(from) = setting.read(machine.host) else { return Vec::new() };
    if same(&from, to) {
        return Vec::new();
    }
    let resets = match id {
        "disk.scheduler" => scheduler_resets(machine, &queue("")),
        _ => Vec::new(),
    };
    vec![SettingWrite { setting, from, to: to.to_owned(), resets }]
}

/// A scheduler brings numbers of its own, and they go with it.
fn scheduler_resets(machine: &Machine<'_>, queue: &str) -> Vec<Setting> {
    let own = machine.host.names(format!("{queue}iosched"));
    let own = own.into_iter().map(|name| format!("{queue}iosched/{name}"));
    let of_queue = ["nr_requests", "wbt_lat_usec"].map(|name| format!("{queue}{name}"));
    let paths = of_queue.into_iter().chain(own);
    paths
        .filter(|path| machine.host.text(path).is_some())
        .filter_map(|path| Setting::new(path, Form::Plain))
        .collect()
}
