//! Sysctls about sockets and the queues below them.

use crate::catalogue::entry::Entry;
use crate::catalogue::machine::Want;
use crate::catalogue::sysctls::{Sysctl, reported, sysctl};
use crate::check::Severity;
use crate::finding::Group;

/// 16 MiB: 10 Gbit/s over 13 ms.
const SOCKET_BYTES: i64 = 16 << 20;

pub(crate) static SYSCTLS: [Sysctl; 13] = [
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
    sysctl(
        Entry {
            why: "a wait in a loop for packets costs a core and saves wake-ups",
            lesson: "Microseconds that select and poll turn round for; profiles for low latency set 50. The \
                     node's ring does not use it: nothing is gained for it, and other programs take cores \
                     from its shards.",
            ..Entry::of("network.busy_poll", Group::Network, "busy polling in select and poll")
        },
        "/proc/sys/net/core/busy_poll",
        Want::Word("0"),
    ),
    sysctl(
        Entry {
            why: "a wait in a loop for packets costs a core and saves wake-ups",
            lesson: "Microseconds that a blocking read turns round for. The node reads through its ring, which \
                     never blocks: only other programs would spin.",
            ..Entry::of("network.busy_read", Group::Network, "busy polling in blocking reads")
        },
        "/proc/sys/net/core/busy_read",
        Want::Word("0"),
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
