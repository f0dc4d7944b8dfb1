//! Entries that are one number below `/proc/sys` each; those about sockets are in `network`.

mod network;

use crate::catalogue::entry::{Entry, Observation};
use crate::catalogue::machine::{Machine, Want};
use crate::check::Severity;
use crate::finding::{Finding, Group};
use crate::setting::Form;

/// One sysctl and what is wanted of it; without a wish it is only reported.
pub(crate) struct Sysctl {
    pub(crate) entry: Entry,
    path: &'static str,
    want: Option<Want<'static>>,
    on: Machines,
}

/// On which machines a sysctl means something.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Machines {
    All,
    /// With several NUMA nodes.
    Numa,
    /// It weakens what keeps processes apart, and is wanted only where somebody profiles.
    Measured,
}

const fn sysctl(entry: Entry, path: &'static str, want: Want<'static>) -> Sysctl {
    Sysctl { entry: Entry { source: path, ..entry }, path, want: Some(want), on: Machines::All }
}

const fn reported(entry: Entry, path: &'static str) -> Sysctl {
    Sysctl { entry: Entry { source: path, ..entry }, path, want: None, on: Machines::All }
}

static SYSCTLS: [Sysctl; 15] = [
    reported(
        Entry {
            why: "the node maps no segments, so this binds others (a JVM broker needs two for each)",
            lesson: "Guides for Kafka raise it to 262144 and more, because Kafka maps its indexes.",
            ..Entry::of("kernel.max_map_count", Group::Kernel, "memory maps of one process")
        },
        "/proc/sys/vm/max_map_count",
    ),
    reported(
        Entry {
            why: "only programs with the older asynchronous I/O use it; the node has io_uring",
            lesson: "Brokers built on Seastar want 1048576 here.",
            ..Entry::of(
                "kernel.aio_max_nr",
                Group::Kernel,
                "requests of the older asynchronous I/O",
            )
        },
        "/proc/sys/fs/aio-max-nr",
    ),
    sysctl(
        Entry {
            prod: Severity::Warning,
            bench: Severity::Warning,
            why: "the whole machine opens no more files than this, whatever a process may",
            lesson: "Kernels size it by memory (or leave it without a bound): it is small only where \
                     an old sysctl.conf made it so.",
            ..Entry::of("kernel.file_max", Group::Kernel, "open files of the whole machine")
        },
        "/proc/sys/fs/file-max",
        Want::AtLeast(200_000),
    ),
    Sysctl {
        entry: Entry {
            source: "/proc/sys/kernel/perf_event_paranoid",
            why: "profiles of the node need the kernel's half of each stack",
            lesson: "For `perf record -g` by an ordinary user. Weakens what keeps users apart: set it \
                     for the measurement and roll it back.",
            risk: Some("every user of this machine may then profile the kernel"),
            ..Entry::of("kernel.perf_event_paranoid", Group::Kernel, "who may profile")
        },
        path: "/proc/sys/kernel/perf_event_paranoid",
        want: Some(Want::AtMost(1, 1)),
        on: Machines::Measured,
    },
    Sysctl {
        entry: Entry {
            source: "/proc/sys/kernel/yama/ptrace_scope",
            why: "attaching a profiler or a tracer to a running node needs it",
            lesson: "1 lets only parents trace their children; 0 lets a user trace all of its own \
                     processes. Absent on kernels without Yama, which is as 0.",
            risk: Some("a user's processes may then read each other's memory"),
            ..Entry::of("kernel.ptrace_scope", Group::Kernel, "who may trace (Yama)")
        },
        path: "/proc/sys/kernel/yama/ptrace_scope",
        want: Some(Want::AtMost(0, 0)),
        on: Machines::Measured,
    },
    Sysctl {
        entry: Entry {
            source: "/proc/sys/kernel/numa_balancing",
            prod: Severity::Warning,
            bench: Severity::Warning,
            why: "the kernel otherwise unmaps pages by turns to see who uses them: faults in shards \
                  whose memory is placed already",
            lesson: "Each shard is pinned and takes its memory from its own node. `numa_hint_faults` \
                     in /proc/vmstat counts what this costs.",
            ..Entry::of("cpu.numa_balancing", Group::Cpu, "moving memory between NUMA nodes")
        },
        path: "/proc/sys/kernel/numa_balancing",
        want: Some(Want::Word("0")),
        on: Machines::Numa,
    },
    sysctl(
        Entry {
            bench: Severity::Warning,
            why: "a hardware counter and its interrupt on every core, for a lock-up that a server \
                  notices anyway",
            lesson: "Costs a per mille, and the counter is missing to profilers. Keep it where you \
                     hunt lock-ups of the kernel.",
            ..Entry::of(
                "cpu.nmi_watchdog",
                Group::Cpu,
                "the kernel's lock-up detector (nmi_watchdog)",
            )
        },
        "/proc/sys/kernel/nmi_watchdog",
        Want::Word("0"),
    ),
    sysctl(
        Entry {
            bench: Severity::Warning,
            why: "timers of other cores may otherwise run on a shard's core",
            lesson: "Matters where cores are isolated or idle; shards that are busy are left alone \
                     anyway.",
            ..Entry::of("cpu.timer_migration", Group::Cpu, "timers that move between cores")
        },
        "/proc/sys/kernel/timer_migration",
        Want::Word("0"),
    ),
    sysctl(
        Entry {
            bench: Severity::Warning,
            why: "each second a kernel thread interrupts every core to add up statistics of memory",
            lesson: "10 seconds are enough for every dashboard; a few microseconds a second are gained, \
                     and one source of outliers.",
            ..Entry::of(
                "cpu.stat_interval",
                Group::Cpu,
                "seconds between sums of memory statistics",
            )
        },
        "/proc/sys/vm/stat_interval",
        Want::AtLeast(10),
    ),
    Sysctl {
        entry: Entry {
            source: "/proc/sys/vm/zone_reclaim_mode",
            prod: Severity::Warning,
            bench: Severity::Warning,
            why: "a node that is out of memory would clean up its own before it asks its neighbour's: \
                  pauses of milliseconds",
            lesson: "0 on all kernels since 3.16 unless somebody changed it.",
            ..Entry::of(
                "memory.zone_reclaim",
                Group::Memory,
                "reclaiming memory of the own NUMA node",
            )
        },
        path: "/proc/sys/vm/zone_reclaim_mode",
        want: Some(Want::Word("0")),
        on: Machines::Numa,
    },
    sysctl(
        Entry {
            why: "network packets are allocated where nothing can wait; with too little set aside they \
                  are dropped",
            lesson: "Direct I/O needs no page cache, but sockets need pages at once. 64 MiB are enough \
                     up to 10 Gbit/s. Do not set it above some percent of memory: the kernel then \
                     kills processes for nothing.",
            ..Entry::of(
                "memory.min_free",
                Group::Memory,
                "KiB kept free for allocations that cannot wait",
            )
        },
        "/proc/sys/vm/min_free_kbytes",
        Want::AtLeast(65_536),
    ),
    sysctl(
        Entry {
            prod: Severity::Warning,
            bench: Severity::Warning,
            why: "with 2 the kernel refuses the node's arenas, which are reserved whole and used bit by \
                  bit",
            lesson: "0 (a guess) and 1 (never refuse) are both good.",
            ..Entry::of("memory.overcommit", Group::Memory, "promising more memory than there is")
        },
        "/proc/sys/vm/overcommit_memory",
        Want::OneOf(&["0", "1"]),
    ),
    sysctl(
        Entry {
            why: "with too little between its marks the kernel begins to make room so late that whoever asks \
                  for a page has to help",
            lesson: "In ten-thousandths of memory; 10, the kernel's default, is 0.1 %. `allocstall_normal` in \
                     /proc/vmstat counts those who had to help: where it grows under load, 50 to 200 are \
                     tried. The node's own memory is taken once; its sockets ask all the time.",
            ..Entry::of(
                "memory.watermark_scale",
                Group::Memory,
                "how early room is made (watermark_scale_factor)",
            )
        },
        "/proc/sys/vm/watermark_scale_factor",
        Want::AtLeast(10),
    ),
    sysctl(
        Entry {
            why: "whoever writes past this share waits for the disk, which the journal then has to share",
            lesson: "Records do not go through the page cache: this is about what else runs here, logs of the \
                     system, copies, backups. Guides for Kafka raise it (60, 80) because Kafka's durability is \
                     the page cache's. 20 is the kernel's default; 0 means that dirty_bytes rules.",
            ..Entry::of(
                "memory.dirty_ratio",
                Group::Memory,
                "percent of memory that may wait for disks",
            )
        },
        "/proc/sys/vm/dirty_ratio",
        Want::AtMost(20, 20),
    ),
    sysctl(
        Entry {
            why: "what waits longer comes in a larger burst, between the journal's writes",
            lesson: "The kernel begins to write behind when so much waits, or after 30 s. The journal and \
                     segments are written past the page cache and never wait here. 10 is the kernel's \
                     default; 0 means that dirty_background_bytes rules.",
            ..Entry::of(
                "memory.dirty_background",
                Group::Memory,
                "percent of memory at which writing behind begins",
            )
        },
        "/proc/sys/vm/dirty_background_ratio",
        Want::AtMost(10, 10),
    ),
];

pub(crate) fn all() -> impl Iterator<Item = &'static Sysctl> {
    SYSCTLS.iter().chain(&network::SYSCTLS)
}

pub(crate) fn findings(machine: &Machine<'_>) -> Vec<Finding> {
    all().map(|sysctl| machine.finding(&sysctl.entry, sysctl.look(machine))).collect()
}

impl Sysctl {
    fn look(&self, machine: &Machine<'_>) -> Observation {
        use crate::profile::Profile;
        if self.on == Machines::Numa && machine.facts.cpus.nodes.len() < 2 {
            return Observation::unsupported("all memory is in one NUMA node");
        }
        let is_profiled = machine.profile == Profile::Bench;
        match self.want {
            Some(want) if self.on != Machines::Measured || is_profiled => {
                machine.setting(self.path, Form::Plain, want)
            }
            _ => machine.told(self.path),
        }
    }
}
