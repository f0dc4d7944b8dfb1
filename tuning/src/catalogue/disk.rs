//! Entries about the disks below the data directories: the leaves of RAID, LVM and encryption.

use crate::block_device::BlockDevice;
use crate::byte_count::ByteCount;
use crate::catalogue::adopted;
use crate::catalogue::entry::{Entry, Observation, Verdict};
use crate::catalogue::machine::{Machine, Want};
use crate::check::Severity;
use crate::finding::{Finding, Group, Scope};
use crate::setting::Form;

static NOMERGES: Entry = Entry {
    prod: Severity::Warning,
    bench: Severity::Warning,
    why: "the kernel looks for a neighbour of each request to merge it with; the node's are as large as \
          they get",
    lesson: "2 does not look at all. Costs a microsecond of processor time a request, less with `none` \
             as scheduler. A few other programs on the same disk may have gained from merging.",
    source: "/sys/block/DISK/queue/nomerges",
    ..Entry::of("disk.nomerges", Group::Disk, "merging of requests (2: none)")
};

static RQ_AFFINITY: Entry = Entry {
    why: "a completion that is worked on by the core that asked for it finds that core's caches warm",
    lesson: "2 insists on the very core, 1 on any that shares a cache. NVMe disks with a queue for each \
             core interrupt the right core anyway.",
    source: "/sys/block/DISK/queue/rq_affinity",
    ..Entry::of(
        "disk.rq_affinity",
        Group::Disk,
        "which core works on completions (2: the asking one)",
    )
};

static WRITEBACK_THROTTLE: Entry = Entry {
    why: "the kernel holds writes back when reads get slow; the journal's are the last to be held back",
    lesson: "Written for buffered writers, and direct writes that are not marked as stable count as such \
             too. The node paces its own background writes. 0 switches it off.",
    source: "/sys/block/DISK/queue/wbt_lat_usec",
    ..Entry::of(
        "disk.writeback_throttle",
        Group::Disk,
        "microseconds at which writes are held back",
    )
};

static ADD_RANDOM: Entry = Entry {
    why: "each completion would feed the kernel's random numbers: some cycles for nothing",
    lesson: "0 on all flash disks by default; some virtual disks say that they spin.",
    source: "/sys/block/DISK/queue/add_random",
    ..Entry::of("disk.add_random", Group::Disk, "random numbers from completions")
};

static QUEUE: Entry = Entry {
    why: "worth knowing when numbers are compared",
    lesson: "How many requests wait in the kernel, the largest one, and whether completions can be \
             polled for (a kernel parameter of the NVMe driver; the node does not).",
    source: "/sys/block/DISK/queue/nr_requests, max_sectors_kb, io_poll",
    ..Entry::of("disk.queue", Group::Disk, "the disk's queue")
};

static BLOCKS: Entry = Entry {
    prod: Severity::Warning,
    bench: Severity::Warning,
    why: "the journal is written in blocks of 4 KiB: a disk with larger ones reads before it writes",
    lesson: "Disks may say less than they have: some flash works in 8 or 16 KiB inside. A measurement \
             of stable writes by size shows it.",
    source: "/sys/block/DISK/queue/logical_block_size, physical_block_size",
    ..Entry::of("disk.blocks", Group::Disk, "the disk's blocks")
};

static IDENTITY: Entry = Entry {
    why: "worth knowing when numbers are compared",
    lesson: "Model, size, firmware, temperature and NUMA node, as far as the kernel tells. Flash that is \
             hot writes slower.",
    source: "/sys/block/DISK/device/model, firmware_rev, hwmon*/temp1_input",
    ..Entry::of("disk.identity", Group::Disk, "what disk it is")
};

static READ_AHEAD: Entry = Entry {
    why: "worth knowing when other programs on the same disk are measured",
    lesson: "The node reads past the page cache and reads ahead by itself, for consumers that are behind. For a \
             broker that reads through the page cache 4096 and more are advised: that is not this one.",
    source: "/sys/block/DISK/queue/read_ahead_kb",
    ..Entry::of("disk.read_ahead", Group::Disk, "what the kernel reads ahead")
};

pub(crate) static ENTRIES: [&Entry; 8] = [
    &NOMERGES,
    &RQ_AFFINITY,
    &WRITEBACK_THROTTLE,
    &ADD_RANDOM,
    &QUEUE,
    &BLOCKS,
    &IDENTITY,
    &READ_AHEAD,
];

pub(crate) fn findings(machine: &Machine<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for disk in disks(machine) {
        findings.extend(adopted::of_disk(machine, disk));
        findings.extend(of_disk(machine, disk));
    }
    findings
}

/// Each once, whatever number of directories is on it.
pub(crate) fn disks<'facts>(machine: &Machine<'facts>) -> Vec<&'facts BlockDevice> {
    let mut disks: Vec<&BlockDevice> =
        machine.directories.iter().flat_map(|directory| &directory.disks).collect();
    disks.sort_by(|a, b| a.name.cmp(&b.name));
    disks.dedup_by(|a, b| a.name == b.name);
    disks
}

fn of_disk(machine: &Machine<'_>, disk: &BlockDevice) -> Vec<Finding> {
    let name = &disk.name;
    let queue = |file: &str| format!("/sys/block/{name}/queue/{file}");
    let plain = |file: &str, want| machine.setting(&queue(file), Form::Plain, want);
    let seen = [
        (&NOMERGES, plain("nomerges", Want::Word("2"))),
        (&RQ_AFFINITY, plain("rq_affinity", Want::Word("2"))),
        (&WRITEBACK_THROTTLE, plain("wbt_lat_usec", Want::Word("0"))),
        (&ADD_RANDOM, plain("add_random", Want::Word("0"))),
        (&QUEUE, queue_of(disk)),
        (&BLOCKS, blocks(disk)),
        (&IDENTITY, identity(machine, disk)),
        (&READ_AHEAD, read_ahead(machine, disk)),
    ];
    let scope = || Scope::Disk(name.clone());
    seen.map(|(entry, seen)| machine.scoped(entry, scope(), seen)).into()
}

fn queue_of(disk: &BlockDevice) -> Observation {
    let Some(requests) = disk.queue_requests else {
        return Observation::unknown("the kernel tells nothing of it");
    };
    let largest = disk.write_bytes_max.map(|bytes| format!(" of {bytes} at the most"));
    let poll = if disk.poll == Some(true) { ", polled" } else { "" };
    Observation::report(format!("{requests} requests{}{poll}", largest.unwrap_or_default()))
}

fn blocks(disk: &BlockDevice) -> Observation {
    let (Some(logical), Some(physical)) = (disk.logical_block, disk.physical_block) else {
        return Observation::unknown("the kernel tells nothing of it");
    };
    let fits = physical.get() <= 4096;
    Observation::new(
        format!("{logical}, {physical} inside"),
        "4 KiB or less inside",
        Verdict::of(fits),
    )
    .with_command("choose 4 KiB when the disk is formatted (nvme format --lbaf), or another disk")
}

fn identity(machine: &Machine<'_>, disk: &BlockDevice) -> Observation {
    let device = format!("/sys/block/{}/device", disk.name);
    let text = |file: &str| machine.host.text(format!("{device}/{file}")).filter(|t| !t.is_empty());
    let mut parts = vec![disk.model.clone().unwrap_or_else(|| "no model".to_owned())];
    parts.extend(disk.size.map(|size| size.to_string()));
    parts.extend(text("firmware_rev").map(|firmware| format!("firmware {firmware}")));
    let sensors = machine.host.names(&device).into_iter().filter(|name| name.starts_with("hwmon"));
    let millidegrees = sensors
        .filter_map(|sensor| machine.host.value::<i64>(format!("{device}/{sensor}/temp1_input")));
    parts.extend(millidegrees.max().map(|millidegrees| format!("{} °C", millidegrees / 1000)));
    let node = text("numa_node").or_else(|| text("device/numa_node"));
    parts.extend(node.filter(|node| node != "-1").map(|node| format!("NUMA node {node}")));
    if disk.rotational == Some(true) {
        parts.push("says that it spins".to_owned());
    }
    Observation::report(parts.join(", "))
}

fn read_ahead(machine: &Machine<'_>, disk: &BlockDevice) -> Observation {
    let kib = machine.host.value(format!("/sys/block/{}/queue/read_ahead_kb", disk.name));
    match kib.map(ByteCount::kib) {
        Some(size) => Observation::new(size, "any: direct reads do not use it", Verdict::Passed),
        None => Observation::unknown("the kernel tells nothing of it"),
    }
}
