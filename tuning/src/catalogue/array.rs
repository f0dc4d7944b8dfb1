//! Entries about what lies between a file system and its disks: software RAID, with the file system's idea of it.

use crate::byte_count::ByteCount;
use crate::catalogue::entry::{Entry, Observation, Verdict};
use crate::catalogue::machine::{Machine, shortened};
use crate::check::Severity;
use crate::directory::DirectoryFacts;
use crate::file_system::FileSystemKind;
use crate::finding::{Finding, Group, Scope};
use crate::limits::ARRAY_CHUNK_BYTES_MIN;

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

static STRIPES: Entry = Entry {
    why: "a file system that does not know the array's chunks lets files begin in the middle of them, and one \
          write goes to two disks",
    lesson: "mkfs asks the array and remembers; an image that was copied or a chunk that was changed later \
             leaves it wrong. Mount options say it anew: sunit and swidth of XFS in sectors of 512 bytes, \
             stripe of ext4 in blocks of 4 KiB. Only what is allocated afterwards follows them.",
    source: "/sys/block/md*/md/chunk_size, raid_disks, /proc/self/mountinfo",
    of_host: false,
    ..Entry::of(
        "directory.stripes",
        Group::Directory,
        "chunks of the array that the file system knows",
    )
};

pub(crate) static ENTRIES: [&Entry; 2] = [&LAYERS, &STRIPES];

pub(crate) fn findings(machine: &Machine<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for directory in machine.directories {
        let arrays = directory.layers.iter().filter_map(|name| Array::read(machine, name));
        let arrays: Vec<Array> = arrays.collect();
        let scope = || Scope::Directory(directory.path.clone());
        findings.push(machine.scoped(&LAYERS, scope(), layers(directory, &arrays)));
        findings.push(machine.scoped(&STRIPES, scope(), stripes(directory, &arrays)));
    }
    findings
}

/// A software RAID.
struct Array {
    name: String,
    level: String,
    /// Of levels that cut what they hold into pieces.
    chunk: Option<ByteCount>,
    disks: Option<u64>,
    is_degraded: bool,
}

impl Array {
    fn read(machine: &Machine<'_>, name: &str) -> Option<Self> {
        let md = |file: &str| machine.host.text(format!("/sys/block/{name}/md/{file}"));
        let number = |file: &str| md(file)?.parse::<u64>().ok();
        Some(Self {
            name: name.to_owned(),
            level: md("level")?,
            chunk: number("chunk_size").filter(|&bytes| bytes > 0).map(ByteCount),
            disks: number("raid_disks"),
            is_degraded: md("degraded").is_some_and(|count| count != "0"),
        })
    }

    fn reads_before_it_writes(&self) -> bool {
        ["raid4", "raid5", "raid6"].contains(&self.level.as_str())
    }

    fn cuts_small(&self) -> bool {
        self.chunk.is_some_and(|chunk| chunk < ARRAY_CHUNK_BYTES_MIN)
    }

    /// How many disks hold data of their own, and neither parity nor copies.
    fn data_disks(&self) -> Option<u64> {
        let disks = self.disks?;
        match self.level.as_str() {
            "raid0" => Some(disks),
            "raid10" => Some(disks / 2),
            "raid4" | "raid5" => disks.checked_sub(1),
            "raid6" => disks.checked_sub(2),
            _ => None,
        }
    }

    fn shown(&self) -> String {
        match self.chunk {
            Some(chunk) => format!("{} ({}, chunks of {chunk})", self.name, self.level),
            None => format!("{} ({})", self.name, self.level),
        }
    }
}

fn layers(directory: &DirectoryFacts, arrays: &[Array]) -> Observation {
    if directory.disks.is_empty() {
        return Observation::unsupported("no disks can be seen below");
    }
    if directory.layers.is_empty() {
        return Observation::report("none");
    }
    let array = |name: &String| arrays.iter().find(|array| array.name == *name);
    let shown = |name: &String| array(name).map_or_else(|| name.clone(), Array::shown);
    let told = directory.layers.iter().map(shown).collect::<Vec<String>>().join(", ");
    let is_degraded = arrays.iter().any(|array| array.is_degraded);
    let mend = if is_degraded {
        Some("cat /proc/mdstat, then replace the disk that is missing")
    } else if arrays.iter().any(Array::reads_before_it_writes) {
        Some("put --data-dir on RAID 1 or 10, or on a disk of its own")
    } else if arrays.iter().any(Array::cuts_small) {
        Some("move the data away, and make the array anew: mdadm --create … --chunk=512")
    } else {
        None
    };
    let mark = if is_degraded { ", degraded" } else { "" };
    let seen = Observation::new(
        shortened(format!("{told}{mark}")),
        format!("no array degraded, no RAID 5 or 6, chunks of {ARRAY_CHUNK_BYTES_MIN} or more"),
        Verdict::of(mend.is_none()),
    );
    match mend {
        Some(mend) => seen.with_command(mend),
        None => seen,
    }
}

fn stripes(directory: &DirectoryFacts, arrays: &[Array]) -> Observation {
    // The uppermost is what the file system lies on.
    let Some((array, chunk)) = arrays.iter().find_map(|array| Some((array, array.chunk?))) else {
        return Observation::unsupported("no array with chunks lies below");
    };
    let (option, unit) = match directory.effective_kind() {
        FileSystemKind::Xfs => ("sunit", 512),
        FileSystemKind::Ext4 => ("stripe", 4096),
        _ => return Observation::unsupported("only ext4 and XFS are told of chunks"),
    };
    let given = directory
        .mount_options
        .iter()
        .rev()
        .find_map(|given| given.strip_prefix(option)?.strip_prefix('=')?.parse::<u64>().ok());
    let known = given.map(|count| ByteCount(count.saturating_mul(unit)));
    let known = known.filter(|known| known.get() > 0);
    let is_right = known.is_some_and(|known| known.get() % chunk.get() == 0);
    let told = known.map_or_else(|| "none".to_owned(), |known| known.to_string());
    let wanted = format!("{chunk}, the chunk of {}, or a multiple", array.name);
    let seen = Observation::new(told, wanted, Verdict::of(is_right));
    let Some(width) = array.data_disks().map(|disks| disks.saturating_mul(chunk.get())) else {
        return seen.with_command("mount it anew with the chunk and the width of the array");
    };
    seen.with_command(match option {
        "sunit" => {
            let (unit, width) = (chunk.get() / 512, width / 512);
            format!("mount it anew with sunit={unit},swidth={width} (in /etc/fstab)")
        }
        _ => format!("mount it anew with stripe={} (in /etc/fstab)", width / 4096),
    })
}

#[cfg(test)]
mod tests {
    use crate::catalogue::tests::{find, look};
    use crate::check::Status;
    use crate::profile::Profile;
    use crate::recorded_tree::{NUMA_SERVER, RecordedTree};

    /// The server's logical volume as if it was an array.
    fn array(level: &str, chunk_bytes: &str) -> RecordedTree {
        RecordedTree::unpack(NUMA_SERVER)
            .with("/sys/block/dm-3/md/level", level)
            .with("/sys/block/dm-3/md/chunk_size", chunk_bytes)
            .with("/sys/block/dm-3/md/raid_disks", "4")
            .with("/sys/block/dm-3/md/degraded", "0")
    }

    #[test]
    fn arrays_that_are_slow_for_a_journal_are_told() {
        for (level, chunk_bytes, status, mend) in [
            ("raid0", "524288", Status::Passed, None),
            ("raid1", "0", Status::Passed, None),
            ("raid5", "524288", Status::Failed, Some("put --data-dir on RAID 1 or 10")),
            ("raid10", "65536", Status::Failed, Some("move the data away")),
        ] {
            let findings = look(&array(level, chunk_bytes), "/data", Profile::Prod);
            let layers = find(&findings, "directory.layers:/data");
            assert_eq!(layers.status, status, "{level} {chunk_bytes}");
            let command = layers.command.as_deref().unwrap_or_default();
            assert!(command.starts_with(mend.unwrap_or_default()), "{command}");
        }
    }

    #[test]
    fn a_file_system_is_told_the_chunks_of_its_array() {
        let stripes = |tree: &RecordedTree| {
            find(&look(tree, "/data", Profile::Prod), "directory.stripes:/data").clone()
        };
        let unknown = stripes(&array("raid0", "524288"));
        assert_eq!((unknown.status, unknown.current.as_str()), (Status::Failed, "none"));
        let command = "mount it anew with sunit=1024,swidth=4096 (in /etc/fstab)";
        assert_eq!(unknown.command.as_deref(), Some(command));
        let known = array("raid0", "524288").with(
            "/proc/self/mountinfo",
            "30 22 253:3 / /data rw - xfs /dev/mapper/vg-data rw,sunit=1024,swidth=4096\n",
        );
        assert_eq!(stripes(&known).status, Status::Passed);
        let ext4 = array("raid6", "524288").with(
            "/proc/self/mountinfo",
            "30 22 253:3 / /data rw - ext4 /dev/mapper/vg-data rw,stripe=100\n",
        );
        let ext4 = stripes(&ext4);
        assert_eq!((ext4.status, ext4.current.as_str()), (Status::Failed, "400 KiB"));
        let command = "mount it anew with stripe=256 (in /etc/fstab)";
        assert_eq!(ext4.command.as_deref(), Some(command));
        assert!(!stripes(&array("raid1", "0")).supported);
        assert!(!stripes(&RecordedTree::unpack(NUMA_SERVER)).supported);
    }
}
