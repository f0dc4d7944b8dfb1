//! Data directories on recorded machines.

use std::path::Path;

use crate::block_device::WriteCache;
use crate::byte_count::ByteCount;
use crate::directory::{DirectoryFacts, DirectoryStat};
use crate::file_system::FileSystemKind;
use crate::host_root::HostRoot;
use crate::mounts::DeviceNumber;
use crate::recorded_tree::{DOCKER, NUMA_SERVER, RecordedTree, VIRTUAL_MACHINE};

fn facts(tree: &str, path: &str, magic: u64, device: (u32, u32)) -> DirectoryFacts {
    let stat = DirectoryStat {
        device: DeviceNumber { major: device.0, minor: device.1 },
        magic,
        free: ByteCount::gib(50),
        total: ByteCount::gib(100),
    };
    DirectoryFacts::from_stat(&RecordedTree::unpack(tree).root(), path.into(), stat)
}

fn disk_names(facts: &DirectoryFacts) -> Vec<&str> {
    facts.disks.iter().map(|disk| disk.name.as_str()).collect()
}

#[test]
fn ext4_on_a_virtio_disk_is_read_whole() {
    let facts = facts(VIRTUAL_MACHINE, "/var/lib/corelane", 0xef53, (254, 0));
    assert_eq!((facts.kind, facts.effective_kind()), (FileSystemKind::Ext4, FileSystemKind::Ext4));
    assert_eq!(facts.mount_point.as_deref(), Some(Path::new("/")));
    assert!(facts.has_option("discard") && !facts.has_option("lazytime"));
    let [disk] = &facts.disks[..] else { panic!("one disk, not {:?}", facts.disks) };
    assert_eq!((disk.name.as_str(), disk.scheduler.as_deref()), ("vda", Some("none")));
    assert_eq!((disk.write_cache, disk.fua), (Some(WriteCache::WriteBack), Some(false)));
    assert_eq!((disk.rotational, disk.queue_requests), (Some(false), Some(256)));
    assert_eq!(disk.size, Some(ByteCount::gib(256)));
    assert!(disk.needs_flush());
}

#[test]
fn a_partition_is_read_as_its_disk() {
    let facts = facts(DOCKER, "/data/corelane", 0x5846_5342, (259, 2));
    assert_eq!((facts.kind, disk_names(&facts)), (FileSystemKind::Xfs, vec!["nvme0n1"]));
    let disk = &facts.disks[0];
    assert_eq!(disk.scheduler.as_deref(), Some("mq-deadline"));
    assert_eq!(disk.model.as_deref(), Some("SAMSUNG MZQL2960HCJR-00A07"));
    assert!(!disk.needs_flush());
}

#[test]
fn an_overlay_inside_a_container_hides_its_upper_layer() {
    let facts = facts(DOCKER, "/var/lib/corelane", 0x794c_7630, (0, 52));
    assert_eq!(facts.kind, FileSystemKind::Overlayfs);
    assert_eq!((facts.upper_kind, facts.disks.len()), (None, 0));
}

#[test]
fn an_overlay_whose_upper_layer_is_seen_is_as_that_layer() {
    let facts = facts(NUMA_SERVER, "/layers/data", 0x794c_7630, (0, 45));
    assert_eq!(facts.kind, FileSystemKind::Overlayfs);
    assert_eq!(facts.effective_kind(), FileSystemKind::Xfs);
    assert!(facts.has_option("volatile"));
    assert_eq!(disk_names(&facts), ["nvme0n1", "nvme1n1"]);
}

#[test]
fn a_logical_volume_is_read_as_all_its_disks() {
    let facts = facts(NUMA_SERVER, "/data/corelane", 0x5846_5342, (253, 3));
    assert_eq!(disk_names(&facts), ["nvme0n1", "nvme1n1"]);
    assert!(facts.has_option("lazytime"));
}

#[test]
fn a_file_system_with_its_own_device_number_is_found_by_its_source() {
    let facts = facts(NUMA_SERVER, "/copy here/x", 0x9123_683e, (0, 44));
    assert_eq!((facts.kind, disk_names(&facts)), (FileSystemKind::Btrfs, vec!["nvme1n1"]));
}

#[test]
fn an_unknown_magic_number_falls_back_to_the_mount() {
    let facts = facts(NUMA_SERVER, "/data", 0x1234, (253, 3));
    assert_eq!(facts.kind, FileSystemKind::Xfs);
}

#[test]
fn a_directory_that_does_not_exist_yet_is_read_as_where_it_would_be() {
    let folder = tempfile::tempdir().expect("a folder");
    let wanted = folder.path().join("not/there/yet");
    let facts = DirectoryFacts::read(&HostRoot::live(), &wanted).expect("facts");
    assert_eq!(facts.path, folder.path().canonicalize().expect("a path"));
    assert!(facts.total.get() > 0);
    assert_ne!(facts.kind, FileSystemKind::Unknown);
}

#[test]
fn a_file_in_place_of_a_directory_is_named() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let error = DirectoryFacts::read(&HostRoot::live(), &file.path().join("data"));
    let message = error.expect_err("no directory").to_string();
    assert!(message.starts_with("cannot examine /"), "{message}");
}
