//! Entries that are one number below `/proc/sys` each.

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

/// 16 MiB: 10 Gbit/s over 13 ms.
const SOCKET_BYTES: i64 = 16 << 20;

pub(crate) static SYSCTLS: [Sysctl; 26] = [
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
    reported(
        Entry {
            why: "records do not go through the page cache: this is about what else runs here",
            lesson: "Guides for Kafka raise or lower it because Kafka's durability is the page cache's. \
                     Here it bounds logs of the system, copies, backups.",
            ..Entry::of(
                "memory.dirty_ratio",
                Group::Memory,
                "percent of memory that may wait for disks",
            )
        },
        "/proc/sys/vm/dirty_ratio",
    ),
    sysctl(
        Entry {
            why: "packets wait here for the core that takes them from the loopback, and from cards with \
                  packet steering",
            lesson: "The second column of /proc/net/softnet_stat counts drops. Cards with a queue for \
                     each core do not use it.",
            ..Entry::of("network.device_backlog", Group::Network, "packets that wait for a core")
        },
        "/proc/sys/net/core/netdev_max_backlog",
        Want::AtLeast(2048),
    ),
    sysctl(
        Entry {
            why: "the most that one connection receives ahead: bytes on the way at full speed",
            lesson: "Speed of one connection ≤ this / round trip. 16 MiB carry 10 Gbit/s over 13 ms. \
                     Within a rack less is enough; the kernel takes only what it needs.",
            ..Entry::of(
                "network.receive_buffer",
                Group::Network,
                "bytes of receive buffers (tcp_rmem)",
            )
        },
        "/proc/sys/net/ipv4/tcp_rmem",
        Want::LastAtLeast(SOCKET_BYTES),
    ),
    sysctl(
        Entry {
            why: "the most that one connection has on the way: consumers far away are bound by it",
            lesson: "Speed of one connection ≤ this / round trip. The kernel's default of 4 MiB is \
                     3 Gbit/s over 10 ms; within a rack it binds nobody.",
            ..Entry::of("network.send_buffer", Group::Network, "bytes of send buffers (tcp_wmem)")
        },
        "/proc/sys/net/ipv4/tcp_wmem",
        Want::LastAtLeast(SOCKET_BYTES),
    ),
    sysctl(
        Entry {
            prod: Severity::Warning,
            bench: Severity::Warning,
            why: "a producer that paused for a moment starts again with ten packets: bursts take \
                  several round trips",
            lesson: "Producers and consumers pause all the time. The price is a burst into a network \
                     that may have filled up meanwhile. All tuners for throughput agree on 0.",
            ..Entry::of("network.slow_start", Group::Network, "slow start after a pause")
        },
        "/proc/sys/net/ipv4/tcp_slow_start_after_idle",
        Want::Word("0"),
    ),
    sysctl(
        Entry {
            why: "without them the kernel misjudges round trips, and wrapped sequence numbers at \
                  10 Gbit/s",
            lesson: "Old guides switch them off for a saving that is not there any more.",
            ..Entry::of("network.timestamps", Group::Network, "TCP timestamps")
        },
        "/proc/sys/net/ipv4/tcp_timestamps",
        Want::OneOf(&["1", "2"]),
    ),
    sysctl(
        Entry {
            why: "without them a flood of connections keeps everyone out",
            lesson: "They come into play only when a queue is full.",
            ..Entry::of("network.syn_cookies", Group::Network, "SYN cookies")
        },
        "/proc/sys/net/ipv4/tcp_syncookies",
        Want::OneOf(&["1", "2"]),
    ),
    reported(
        Entry {
            why: "how much unsent data a socket takes before it says that it is full",
            lesson: "The node sends what it has in one piece and bounds it by itself: lower values only \
                     cost wake-ups.",
            ..Entry::of("network.notsent", Group::Network, "bytes not sent (tcp_notsent_lowat)")
        },
        "/proc/sys/net/ipv4/tcp_notsent_lowat",
    ),
    reported(
        Entry {
            why: "pages of all sockets together: low, pressure, most",
            lesson: "The kernel takes about a tenth of memory; beyond it connections crawl. \
                     `TCPMemoryPressures` in `nstat -az` counts that.",
            ..Entry::of("network.tcp_memory", Group::Network, "memory of all connections (tcp_mem)")
        },
        "/proc/sys/net/ipv4/tcp_mem",
    ),
    reported(
        Entry {
            why: "a wait in a loop for packets costs a core and saves wake-ups",
            lesson: "The node's ring does not use it; nothing is gained by setting it.",
            ..Entry::of("network.busy_poll", Group::Network, "busy polling")
        },
        "/proc/sys/net/core/busy_poll",
    ),
    reported(
        Entry {
            why: "with packet steering in software, packets go to the core that reads the socket",
            lesson: "Of no use without it (`network.steering`), nor on cards with a queue for each core. With \
                     it: 32768 here, and rps_flow_cnt = 32768 / queues for each queue.",
            ..Entry::of(
                "network.flow_steering",
                Group::Network,
                "connections that are steered (RFS)",
            )
        },
        "/proc/sys/net/core/rps_sock_flow_entries",
    ),
    reported(
        Entry {
            why: "ports of clients on this machine: load generators run out of them",
            lesson: "28,000 by default. A closed connection keeps its port for a minute.",
            ..Entry::of("network.port_range", Group::Network, "ports of outgoing connections")
        },
        "/proc/sys/net/ipv4/ip_local_port_range",
    ),
    reported(
        Entry {
            why: "worth knowing when numbers are compared",
            lesson: "cubic fills queues, bbr keeps them short; over a lossy long path bbr can be \
                     several times as fast. Within a rack they do not differ.",
            ..Entry::of("network.congestion", Group::Network, "congestion control")
        },
        "/proc/sys/net/ipv4/tcp_congestion_control",
    ),
    reported(
        Entry {
            why: "worth knowing when numbers are compared",
            lesson: "fq paces as bbr wants it; fq_codel and pfifo_fast are fine with cubic.",
            ..Entry::of("network.qdisc", Group::Network, "the queue of new interfaces")
        },
        "/proc/sys/net/core/default_qdisc",
    ),
];

pub(crate) fn findings(machine: &Machine<'_>) -> Vec<Finding> {
    SYSCTLS.iter().map(|sysctl| machine.finding(&sysctl.entry, sysctl.look(machine))).collect()
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
