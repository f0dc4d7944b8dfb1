//! Entries about the disks below the data directories: the leaves of RAID, LVM and encryption.

use crate::block_device::{BlockDevice, DeviceStack};
use crate::catalogue::adopted;
use crate::catalogue::entry::{Entry, Observation, Verdict};
use crate::catalogue::machine::{Machine, Want};
use crate::check::Severity;
use crate::directory::DirectoryFacts;
use crate::finding::{Finding, Group, Scope};
use crate::mounts::Mount;
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

static OF_SYSTEM: Entry = Entry {
    prod: Severity::Warning,
    bench: Severity::Warning,
    why: "logs and updates of the system flush the same disk, and a full root file system takes the node \
          along",
    lesson: "On a laptop or a small virtual machine there is no other disk: then this is how it is.",
    source: "/proc/self/mountinfo",
    of_host: false,
    ..Entry::of("directory.own_disk", Group::Directory, "a disk apart from the system's")
};

static ACCESS_TIME: Entry = Entry {
    why: "reading then writes: a new access time for each file once a day at the least",
    lesson: "relatime, the default, is nearly as good as noatime.",
    source: "/proc/self/mountinfo",
    of_host: false,
    ..Entry::of("directory.access_time", Group::Directory, "access times (mount option noatime)")
};

static LAYERS: Entry = Entry {
    prod: Severity::Warning,
    bench: Severity::Warning,
    why: "each layer cuts requests at its own sizes, and a degraded array is slow and one failure from \
          loss",
    lesson: "For software RAID 0 a chunk of 256 KiB or more keeps a group of the journal on one disk. \
             RAID 5 and 6 read before they write: not for a journal.",
    source: "/sys/block/md*/md/level, chunk_size, degraded",
    of_host: false,
    ..Entry::of("directory.layers", Group::Directory, "what lies between file system and disks")
};

pub(crate) static ENTRIES: [&Entry; 10] = [
    &NOMERGES,
    &RQ_AFFINITY,
    &WRITEBACK_THROTTLE,
    &ADD_RANDOM,
    &QUEUE,
    &BLOCKS,
    &IDENTITY,
    &OF_SYSTEM,
    &ACCESS_TIME,
    &LAYERS,
];

pub(crate) fn findings(machine: &Machine<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for directory in machine.directories {
        let scope = || Scope::Directory(directory.path.clone());
        findings.push(machine.scoped(&OF_SYSTEM, scope(), own_disk(machine, directory)));
        findings.push(machine.scoped(&ACCESS_TIME, scope(), access_time(directory)));
        findings.push(machine.scoped(&LAYERS, scope(), layers(machine, directory)));
    }
    for disk in disks(machine) {
        findings.extend(adopted::of_disk(machine, disk));
        findings.extend(of_disk(machine, disk));
    }
    findings
}

/// Each once, whatever number of directories is on it.
fn disks<'facts>(machine: &Machine<'facts>) -> Vec<&'facts BlockDevice> {
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

fn own_disk(machine: &Machine<'_>, directory: &DirectoryFacts) -> Observation {
    let mounts = Mount::all(machine.host);
    let root = Mount::holding(&mounts, std::path::Path::new("/"));
    let Some(root) = root.filter(|mount| mount.source.starts_with("/dev/")) else {
        return Observation::unsupported("the system's own disk cannot be seen");
    };
    let of_system = DeviceStack::of_mount(machine.host, root).disks;
    if of_system.is_empty() || directory.disks.is_empty() {
        return Observation::unsupported("the disks below cannot be seen");
    }
    let shared = directory.disks.iter().find(|disk| of_system.iter().any(|o| o.name == disk.name));
    let current = match shared {
        Some(disk) => format!("shares {} with /", disk.name),
        None => "apart".to_owned(),
    };
    Observation::new(current, "apart", Verdict::of(shared.is_none()))
        .with_command("put --data-dir on a disk of its own")
}

fn access_time(directory: &DirectoryFacts) -> Observation {
    let Some(point) = &directory.mount_point else {
        return Observation::unknown("the mount is not known");
    };
    let kind = ["noatime", "relatime"].into_iter().find(|option| directory.has_option(option));
    Observation::new(
        kind.unwrap_or("every access"),
        "noatime or relatime",
        Verdict::of(kind.is_some()),
    )
    .with_command(format!(
        "sudo mount -o remount,noatime '{}' (and in /etc/fstab)",
        point.display()
    ))
}

fn layers(machine: &Machine<'_>, directory: &DirectoryFacts) -> Observation {
    if directory.disks.is_empty() {
        return Observation::unsupported("no disks can be seen below");
    }
    if directory.layers.is_empty() {
        return Observation::report("none");
    }
    let mut is_degraded = false;
    let told = directory.layers.iter().map(|name| {
        let md = |file: &str| machine.host.text(format!("/sys/block/{name}/md/{file}"));
        let chunk = md("chunk_size").and_then(|bytes| bytes.parse().ok());
        let chunk = chunk.filter(|&bytes: &u64| bytes > 0).map(crate::byte_count::ByteCount);
        is_degraded |= md("degraded").is_some_and(|count| count != "0");
        match (md("level"), chunk) {
            (Some(level), Some(chunk)) => format!("{name} ({level}, chunks of {chunk})"),
            (Some(level), None) => format!("{name} ({level})"),
            _ => name.clone(),
        }
    });
    let told: Vec<String> = told.collect();
    let mark = if is_degraded { ", degraded" } else { "" };
    let current = format!("{}{mark}", told.join(", "));
    Observation::new(current, "no degraded array", Verdict::of(!is_degraded))
        .with_command("cat /proc/mdstat, then replace the disk that is missing")
}
