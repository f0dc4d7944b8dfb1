//! Entries about the data directories: who else writes there, their mounts and file systems.

use std::path::Path;

use crate::block_device::DeviceStack;
use crate::byte_count::ByteCount;
use crate::catalogue::entry::{Entry, Observation, Verdict};
use crate::catalogue::machine::Machine;
use crate::check::Severity;
use crate::directory::DirectoryFacts;
use crate::file_system::FileSystemKind;
use crate::finding::{Finding, Group, Scope};
use crate::mounts::Mount;

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

static BALLAST: Entry = Entry {
    why: "a file that can be given up gives room at once where a disk that others write to has run full",
    lesson: "The node itself refuses appends while there are 64 MiB left, and goes on reading and deleting: on \
             a disk of its own it needs no ballast. Beside the system's logs and updates it does not decide when \
             the disk is full. Other brokers write such a file of 1 GiB by default; remove it when it is needed.",
    source: "the file ballast at the mount point",
    of_host: false,
    ..Entry::of("directory.ballast", Group::Directory, "a file to give up when the disk is full")
};

static FAST_COMMITS: Entry = Entry {
    why: "ext4 then commits what a sync needs in one block instead of the whole transaction",
    lesson: "A feature of the file system (`tune2fs -O fast_commit`, unmounted), off by default. The journal is \
             written over again in place and needs no commit; segments that grow need some. Young code, and \
             replayed only after a power cut: nothing is wanted of it here. Measure before you choose it.",
    source: "/proc/fs/ext4/DEVICE/fc_info",
    of_host: false,
    ..Entry::of("directory.fast_commits", Group::Directory, "ext4's fast commits")
};

pub(crate) static ENTRIES: [&Entry; 4] = [&OF_SYSTEM, &ACCESS_TIME, &BALLAST, &FAST_COMMITS];

pub(crate) fn findings(machine: &Machine<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for directory in machine.directories {
        let scope = || Scope::Directory(directory.path.clone());
        findings.push(machine.scoped(&OF_SYSTEM, scope(), own_disk(machine, directory)));
        findings.push(machine.scoped(&ACCESS_TIME, scope(), access_time(directory)));
        findings.push(machine.scoped(&BALLAST, scope(), ballast(machine, directory)));
        findings.push(machine.scoped(&FAST_COMMITS, scope(), fast_commits(machine, directory)));
    }
    findings
}

fn own_disk(machine: &Machine<'_>, directory: &DirectoryFacts) -> Observation {
    let of_system = disks_of_system(machine);
    if of_system.is_empty() {
        return Observation::unsupported("the system's own disk cannot be seen");
    }
    if directory.disks.is_empty() {
        return Observation::unsupported("the disks below cannot be seen");
    }
    let shared = disk_shared_with_system(machine, directory);
    let current = match &shared {
        Some(disk) => format!("shares {disk} with /"),
        None => "apart".to_owned(),
    };
    Observation::new(current, "apart", Verdict::of(shared.is_none()))
        .with_command("put --data-dir on a disk of its own")
}

/// Below `/`; empty where that is no disk, or none that can be seen.
fn disks_of_system(machine: &Machine<'_>) -> Vec<String> {
    let mounts = Mount::all(machine.host);
    let root = Mount::holding(&mounts, Path::new("/"));
    let Some(root) = root.filter(|mount| mount.source.starts_with("/dev/")) else {
        return Vec::new();
    };
    let disks = DeviceStack::of_mount(machine.host, root).disks.into_iter();
    disks.map(|disk| disk.name).collect()
}

fn disk_shared_with_system(machine: &Machine<'_>, directory: &DirectoryFacts) -> Option<String> {
    let of_system = disks_of_system(machine);
    let mut disks = directory.disks.iter().map(|disk| &disk.name);
    disks.find(|name| of_system.contains(name)).cloned()
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

fn ballast(machine: &Machine<'_>, directory: &DirectoryFacts) -> Observation {
    let Some(point) = &directory.mount_point else {
        return Observation::unknown("the mount is not known");
    };
    let file = point.join("ballast");
    let there = machine.host.place(&file).metadata().ok().filter(|there| there.is_file());
    let current = there.as_ref().map_or_else(
        || "none".to_owned(),
        |there| format!("{} in {}", ByteCount(there.len()), file.display()),
    );
    match disk_shared_with_system(machine, directory) {
        Some(disk) => Observation::new(
            current,
            format!("a file of 1 GiB: the system writes to {disk}, too"),
            Verdict::of(there.is_some()),
        )
        .with_command(format!("sudo fallocate -l 1GiB '{}'", file.display())),
        None => Observation::new(current, "none where nobody else writes", Verdict::Passed),
    }
}

fn fast_commits(machine: &Machine<'_>, directory: &DirectoryFacts) -> Observation {
    if directory.kind != FileSystemKind::Ext4 {
        return Observation::unsupported("ext4 alone has them");
    }
    let mounts = Mount::all(machine.host);
    let Some(mount) = Mount::holding(&mounts, &directory.path) else {
        return Observation::unknown("the mount is not known");
    };
    // Names of mapped devices are links to what the kernel calls them.
    let device = machine.host.resolve(&mount.source);
    let device = device.as_deref().unwrap_or(Path::new(&mount.source));
    let name = device.file_name().unwrap_or_default().to_string_lossy();
    let told = machine.host.text(format!("/proc/fs/ext4/{name}/fc_info")).unwrap_or_default();
    let commits = told.lines().find_map(|line| line.trim().strip_suffix(" commits"));
    match commits.and_then(|count| count.parse::<u64>().ok()) {
        Some(count @ 1..) => Observation::report(format!("on, {count} since the mount")),
        // None yet, or none ever.
        _ => {
            Observation::elsewhere("only the file system's superblock tells").with_command(format!(
                "sudo dumpe2fs -h '{}' 2>&1 | grep -o fast_commit   # nothing: off",
                mount.source
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::catalogue::tests::{find, look, virtual_machine};
    use crate::check::Status;
    use crate::profile::Profile;
    use crate::recorded_tree::{RecordedTree, TUNABLE_NUMA_SERVER, TUNABLE_VIRTUAL_MACHINE};

    #[test]
    fn a_ballast_is_wanted_where_the_system_writes_to_the_same_disk() {
        let findings = virtual_machine(Profile::Prod);
        let none = find(&findings, "directory.ballast:/");
        assert_eq!((none.status, none.current.as_str()), (Status::Failed, "none"));
        assert_eq!(none.command.as_deref(), Some("sudo fallocate -l 1GiB '/ballast'"));
        let tree =
            RecordedTree::unpack(TUNABLE_VIRTUAL_MACHINE).with("/ballast", &"-".repeat(2048));
        let findings = look(&tree, "/", Profile::Prod);
        let there = find(&findings, "directory.ballast:/");
        assert_eq!((there.status, there.current.as_str()), (Status::Passed, "2 KiB in /ballast"));
        let tree = RecordedTree::unpack(TUNABLE_NUMA_SERVER);
        let findings = look(&tree, "/data", Profile::Prod);
        assert_eq!(find(&findings, "directory.ballast:/data").status, Status::Passed);
    }

    #[test]
    fn fast_commits_are_seen_once_there_were_some() {
        let findings = virtual_machine(Profile::Prod);
        let none = find(&findings, "directory.fast_commits:/");
        assert!(!none.supported);
        assert!(none.command.as_deref().is_some_and(|c| c.contains("dumpe2fs -h '/dev/vda'")));
        let tree = RecordedTree::unpack(TUNABLE_VIRTUAL_MACHINE)
            .with("/proc/fs/ext4/vda/fc_info", "fc stats:\n17 commits\n0 ineligible\n");
        let findings = look(&tree, "/", Profile::Prod);
        assert_eq!(find(&findings, "directory.fast_commits:/").current, "on, 17 since the mount");
    }
}
