//! Entries about what a drive says of itself: its cache, the writes that it prefers, its wear; and where its
//! partitions begin.

use crate::block_device::{BlockDevice, WriteCache};
use crate::byte_count::ByteCount;
use crate::catalogue::disk::disks;
use crate::catalogue::entry::{Entry, Observation, Verdict};
use crate::catalogue::machine::{Machine, shortened};
use crate::check::Severity;
use crate::finding::{Finding, Group, Scope};

static VOLATILE_CACHE: Entry = Entry {
    prod: Severity::Warning,
    bench: Severity::Warning,
    why: "a kernel that was told \"write through\" of a disk with a volatile cache never flushes it, and a power \
          cut takes acknowledged records",
    lesson: "`disk.write_cache` is what the kernel believes, and some tuners overwrite that to be faster. This is \
             the disk's own word. Drives with power-loss protection say that they have no volatile cache (NVMe: \
             bit 0 of VWC is 0). Only reported: `tune` writes neither.",
    source: "/sys/block/DISK/cache_type, device/scsi_disk/*/cache_type; NVMe: the drive, asked by nvme",
    ..Entry::of("disk.volatile_cache", Group::Disk, "the disk's own word on its cache")
};

static PREFERRED_WRITES: Entry = Entry {
    why: "smaller writes than these make the disk, or the array in it, read before it writes",
    lesson: "What the disk says may be less than what it does: some flash works in 16 KiB and says 512 bytes. \
             `tune calibrate` measures durable writes by size: where 16 KiB take no longer than 4 KiB, the disk \
             works in the larger. The node joins what waits into larger groups from there on.",
    source: "/sys/block/DISK/queue/minimum_io_size, optimal_io_size",
    ..Entry::of("disk.preferred_writes", Group::Disk, "the size of writes that the disk prefers")
};

static ALIGNMENT: Entry = Entry {
    prod: Severity::Warning,
    bench: Severity::Warning,
    why: "in a partition that begins in the middle of a block each write touches one block more, and the disk \
          reads before it writes",
    lesson: "Partitions made in this decade begin at 1 MiB. Those of old images begin at sector 63.",
    source: "/sys/block/DISK/DISK*/start, alignment_offset",
    ..Entry::of("disk.alignment", Group::Disk, "where the disk's partitions begin")
};

static WEAR: Entry = Entry {
    why: "flash near its end gets slower first and read-only then, and a journal writes all the time",
    lesson: "In percent of what the maker promises; beyond 100 % drives go on for a while. Look at spare blocks \
             and critical warnings as well. Disks of clouds are somebody else's care.",
    source: "the drive's log, asked by nvme or smartctl; /sys/block/DISK/device/life_time",
    ..Entry::of("disk.wear", Group::Disk, "how worn the disk is")
};

pub(crate) static ENTRIES: [&Entry; 4] = [&VOLATILE_CACHE, &PREFERRED_WRITES, &ALIGNMENT, &WEAR];

pub(crate) fn findings(machine: &Machine<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for disk in disks(machine) {
        let seen = [
            (&VOLATILE_CACHE, volatile_cache(machine, disk)),
            (&PREFERRED_WRITES, preferred_writes(machine, disk)),
            (&ALIGNMENT, alignment(machine, disk)),
            (&WEAR, wear(machine, disk)),
        ];
        let scope = || Scope::Disk(disk.name.clone());
        findings.extend(seen.map(|(entry, seen)| machine.scoped(entry, scope(), seen)));
    }
    findings
}

/// How a drive is spoken to, by its name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bus {
    Nvme,
    /// SATA and SAS, too.
    Scsi,
    Mmc,
    /// A hypervisor's, or another that has nothing to wear out.
    Other,
}

impl Bus {
    fn of(disk: &BlockDevice) -> Self {
        let known = [("nvme", Self::Nvme), ("sd", Self::Scsi), ("mmcblk", Self::Mmc)];
        let found = known.into_iter().find(|(begin, _)| disk.name.starts_with(begin));
        found.map_or(Self::Other, |(_, bus)| bus)
    }
}

fn volatile_cache(machine: &Machine<'_>, disk: &BlockDevice) -> Observation {
    let folder = format!("/sys/block/{}", disk.name);
    let scsi = machine.host.names(format!("{folder}/device/scsi_disk")).into_iter().next();
    let of_scsi = scsi.map(|name| format!("{folder}/device/scsi_disk/{name}/cache_type"));
    let of_virtio = format!("{folder}/cache_type");
    let own_word = of_scsi.and_then(|path| machine.host.text(path));
    let own_word = own_word.or_else(|| machine.host.text(of_virtio));
    let is_flushed = disk.write_cache == Some(WriteCache::WriteBack);
    match (own_word, Bus::of(disk)) {
        (Some(word), _) => {
            let is_believed_safe = disk.write_cache == Some(WriteCache::WriteThrough);
            let is_safe = !is_believed_safe || !word.starts_with("write back");
            let mark = if is_safe { "" } else { ", and the kernel does not flush it" };
            Observation::new(
                format!("{word}{mark}"),
                "what the kernel believes, or none",
                Verdict::of(is_safe),
            )
            .with_command(format!("echo 'write back' | sudo tee {folder}/queue/write_cache"))
        }
        // The driver has it from the drive, and nobody makes up a cache that has to be flushed.
        (None, Bus::Nvme) if is_flushed => {
            Observation::new("volatile, and flushed", "none, or flushed", Verdict::Passed)
        }
        (None, Bus::Nvme) => Observation::elsewhere("only the drive tells")
            .wanting("no volatile cache")
            .with_command(format!(
                "sudo nvme id-ctrl /dev/{} | grep -w vwc   # even: none",
                disk.name
            )),
        (None, Bus::Scsi | Bus::Mmc | Bus::Other) => {
            Observation::unsupported("the kernel tells only what it believes")
        }
    }
}

/// What the journal is written in.
const JOURNAL_BLOCK: ByteCount = ByteCount::kib(4);

fn preferred_writes(machine: &Machine<'_>, disk: &BlockDevice) -> Observation {
    let size = |file: &str| {
        let bytes = machine.host.value(format!("/sys/block/{}/queue/{file}", disk.name));
        bytes.filter(|&bytes: &u64| bytes > 0).map(ByteCount)
    };
    let Some(least) = size("minimum_io_size") else {
        return Observation::unknown("the kernel tells nothing of it");
    };
    let best = size("optimal_io_size").map(|best| format!(", best {best}")).unwrap_or_default();
    let is_on_disk = |disks: &[BlockDevice]| disks.iter().any(|other| other.name == disk.name);
    let directory = machine.directories.iter().find(|directory| is_on_disk(&directory.disks));
    let directory = directory.map(|directory| format!(" --dir '{}'", directory.path.display()));
    Observation::new(
        format!("{least} at least{best}"),
        format!("{JOURNAL_BLOCK} or less at least"),
        Verdict::of(least <= JOURNAL_BLOCK),
    )
    .with_command(format!(
        "corelane tune calibrate --dry-run{}   # durable writes by size",
        directory.unwrap_or_default()
    ))
}

/// The kernel counts places on a disk in these, whatever the disk's blocks are.
const SECTOR_BYTES: u64 = 512;

fn alignment(machine: &Machine<'_>, disk: &BlockDevice) -> Observation {
    let folder = format!("/sys/block/{}", disk.name);
    let names = machine.host.names(&folder).into_iter();
    let is_partition = |name: &String| machine.host.exists(format!("{folder}/{name}/partition"));
    let partitions: Vec<String> = names.filter(is_partition).collect();
    if partitions.is_empty() {
        return Observation::new("no partitions", "whole blocks", Verdict::Passed);
    }
    let block = disk.physical_block.unwrap_or(JOURNAL_BLOCK).max(JOURNAL_BLOCK);
    let mut crooked = Vec::new();
    for name in &partitions {
        let number = |file: &str| machine.host.value::<u64>(format!("{folder}/{name}/{file}"));
        let Some(start) = number("start") else {
            return Observation::unknown(format!("{name} does not tell where it begins"));
        };
        let is_shifted = number("alignment_offset").is_some_and(|offset| offset != 0);
        if is_shifted || start.saturating_mul(SECTOR_BYTES) % block.get() != 0 {
            crooked.push(format!("{name} begins at sector {start}"));
        }
    }
    let current = match crooked.is_empty() {
        true => "all at whole blocks".to_owned(),
        false => shortened(crooked.join(", ")),
    };
    Observation::new(current, format!("multiples of {block}"), Verdict::of(crooked.is_empty()))
        .with_command("move the data away, and partition the disk anew from 1 MiB on")
}

fn wear(machine: &Machine<'_>, disk: &BlockDevice) -> Observation {
    let name = &disk.name;
    let asked = |command: String| {
        Observation::elsewhere("only the drive's log tells")
            .wanting("less than 80 % used")
            .with_command(command)
    };
    match Bus::of(disk) {
        Bus::Nvme => asked(format!(
            "sudo nvme smart-log /dev/{name} | grep -E 'critical_warning|available_spare|percentage_used'"
        )),
        Bus::Scsi => {
            asked(format!("sudo smartctl -A /dev/{name} | grep -i -E 'wear|percent|life'"))
        }
        Bus::Mmc => match machine.host.text(format!("/sys/block/{name}/device/life_time")) {
            // Tenths of what the maker promises, of two kinds of cells.
            Some(tenths) => Observation::report(format!("{tenths} tenths")),
            None => Observation::unknown("the kernel tells nothing of it"),
        },
        Bus::Other => Observation::unsupported("a disk without a log of its own"),
    }
}

#[cfg(test)]
mod tests {
    use crate::catalogue::tests::{find, look, server, virtual_machine};
    use crate::check::Status;
    use crate::finding::Finding;
    use crate::profile::Profile;
    use crate::recorded_tree::{RecordedTree, TUNABLE_NUMA_SERVER, TUNABLE_VIRTUAL_MACHINE};

    /// As some tuners leave it, to be faster.
    #[test]
    fn a_kernel_that_was_told_not_to_flush_a_volatile_cache_is_told_on() {
        let findings = virtual_machine(Profile::Prod);
        assert_eq!(find(&findings, "disk.volatile_cache:vda").status, Status::Passed);
        let tree = RecordedTree::unpack(TUNABLE_VIRTUAL_MACHINE)
            .with("/sys/block/vda/queue/write_cache", "write through\n");
        let findings = look(&tree, "/", Profile::Prod);
        let lied_to = find(&findings, "disk.volatile_cache:vda");
        assert!(lied_to.is_warning() && lied_to.actions.is_empty());
        assert_eq!(lied_to.current, "write back, and the kernel does not flush it");
        let scsi = tree
            .with("/sys/block/vda/cache_type", "")
            .with("/sys/block/vda/device/scsi_disk/0:0:0:0/cache_type", "write through\n");
        let findings = look(&scsi, "/", Profile::Prod);
        assert_eq!(find(&findings, "disk.volatile_cache:vda").current, "write through");
    }

    #[test]
    fn what_only_the_drive_tells_has_the_command_that_asks_it() {
        let findings = server(Profile::Prod);
        let command = |id: &str| {
            let finding: &Finding = find(&findings, id);
            assert_eq!((finding.status, finding.supported), (Status::Unknown, false), "{id}");
            finding.command.clone().expect("a command")
        };
        assert!(command("disk.volatile_cache:nvme0n1").contains("id-ctrl /dev/nvme0n1"));
        assert!(command("disk.wear:nvme1n1").contains("smart-log /dev/nvme1n1"));
        assert_eq!(find(&findings, "disk.volatile_cache:nvme1n1").status, Status::Passed);
        assert_eq!(find(&virtual_machine(Profile::Prod), "disk.wear:vda").command, None);
    }

    #[test]
    fn disks_that_prefer_larger_writes_are_to_be_measured() {
        let findings = server(Profile::Prod);
        let large = find(&findings, "disk.preferred_writes:nvme1n1");
        assert_eq!(large.status, Status::Failed);
        assert_eq!(large.current, "16 KiB at least, best 128 KiB");
        let command = "corelane tune calibrate --dry-run --dir '/data'   # durable writes by size";
        assert_eq!(large.command.as_deref(), Some(command));
        let usual = find(&findings, "disk.preferred_writes:nvme0n1");
        assert_eq!((usual.status, usual.current.as_str()), (Status::Passed, "4 KiB at least"));
        assert_eq!(find(&findings, "disk.read_ahead:nvme0n1").current, "128 KiB");
    }

    #[test]
    fn a_partition_that_begins_within_a_block_is_a_warning() {
        let findings = server(Profile::Prod);
        assert_eq!(find(&findings, "disk.alignment:nvme1n1").status, Status::Passed);
        assert_eq!(find(&findings, "disk.alignment:nvme0n1").current, "no partitions");
        let partition = "/sys/block/nvme1n1/nvme1n1p1";
        for (file, content) in [("start", "63"), ("alignment_offset", "512"), ("start", "?")] {
            let tree = RecordedTree::unpack(TUNABLE_NUMA_SERVER)
                .with(&format!("{partition}/{file}"), content);
            let findings = look(&tree, "/data", Profile::Prod);
            let found = find(&findings, "disk.alignment:nvme1n1");
            let expected = if content == "?" { Status::Unknown } else { Status::Failed };
            assert_eq!(found.status, expected, "{file} {content}");
        }
    }
}
