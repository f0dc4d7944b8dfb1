//! Probes on the disk below the build folder: what they leave, what they refuse, what they say.

use std::path::Path;
use std::time::Duration;

use rustix::io::ReadWriteFlags;

use super::aligned_bytes::AlignedBytes;
use super::probe_file::ProbeFile;
use super::{
    Bandwidth, Direction, DiskProbeError, DiskProbes, DurableCall, FileState, Samples, Shape,
    believable, file_bytes, knee,
};
use crate::byte_count::ByteCount;
use crate::directory::DirectoryFacts;
use crate::file_system::FileSystemKind;
use crate::host_root::HostRoot;
use crate::limits::{PROBE_FILE_BYTES_MIN, PROBE_WRITE_BYTES};

const SHORT: Duration = Duration::from_millis(20);

/// On the disk that the build is on: tests of direct I/O need one.
pub(crate) fn folder() -> tempfile::TempDir {
    let build_folder = std::env::current_exe().expect("a path");
    tempfile::tempdir_in(build_folder.parent().expect("a folder")).expect("a directory")
}

/// `None` where the build folder is on something without direct I/O or without room: nothing can be measured there.
pub(crate) fn prepared(folder: &Path) -> Option<DiskProbes> {
    match DiskProbes::prepare_up_to(&HostRoot::live(), folder, PROBE_FILE_BYTES_MIN) {
        Ok(probes) => Some(probes),
        Err(
            DiskProbeError::InMemory { .. }
            | DiskProbeError::NoRoom { .. }
            | DiskProbeError::NotDirect { .. },
        ) => None,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn every_probe_gives_samples_and_no_file_is_ever_seen() {
    let folder = folder();
    let Some(probes) = prepared(folder.path()) else { return };
    let files = || std::fs::read_dir(folder.path()).expect("a folder").count();
    // While it is measured nothing has a name, so there is nothing that an interruption could leave.
    assert_eq!(files(), 0);
    for state in FileState::ALL {
        for call in DurableCall::ALL {
            let writes = probes.durable(4096, state, call, SHORT).expect("measured");
            assert!(writes.latency.count > 0 && writes.latency.max_nanoseconds > 0, "{writes:?}");
        }
    }
    let at_once = probes.durable_at_once(4, DurableCall::Dsync, SHORT).expect("measured");
    assert!(at_once.latency.count >= 4);
    for direction in [Direction::Read, Direction::Write, Direction::DurableWrite] {
        let shape = Shape { block_bytes: 64 << 10, depth: 2 };
        let bandwidth = probes.sequential(direction, shape, SHORT).expect("measured");
        assert!(bandwidth.requests > 0 && bandwidth.bytes_per_second > 0.0);
    }
    assert!(probes.plain(4096, SHORT).expect("measured").count > 0);
    for state in FileState::ALL {
        for direction in [Direction::Write, Direction::DurableWrite] {
            let shape = Shape { block_bytes: 1 << 20, depth: 4 };
            let found = probes.sequential_in(state, direction, shape, SHORT).expect("measured");
            assert!(found.requests > 0 && found.state == state, "{found:?}");
        }
    }
    assert_eq!(files(), 0);
}

/// tmpfs cannot forget what is in blocks that it keeps.
#[test]
fn room_is_set_aside_again_on_file_systems_that_cannot_forget() {
    // Without direct I/O in memory (before Linux 6.6), or without /dev/shm, there is nothing to try it on.
    for directory in [folder().path(), Path::new("/dev/shm")] {
        let Ok(file) = ProbeFile::create(directory) else { continue };
        let block = AlignedBytes::new(PROBE_WRITE_BYTES);
        let mut found = AlignedBytes::new(PROBE_WRITE_BYTES);
        for _ in 0..2 {
            file.set_aside(2 * PROBE_WRITE_BYTES as u64).expect("room");
            for position in [0, PROBE_WRITE_BYTES as u64] {
                file.read(found.get_mut(), position).expect("room that reads as zeros");
                assert!(found.get().iter().all(|&byte| byte == 0));
                file.write(block.get(), position, ReadWriteFlags::empty()).expect("room");
            }
        }
    }
}

fn facts(kind: FileSystemKind, free: ByteCount) -> DirectoryFacts {
    let here = DirectoryFacts::read(&HostRoot::live(), Path::new("/")).expect("facts");
    DirectoryFacts { kind, upper_kind: None, free, ..here }
}

#[test]
fn memory_and_full_disks_are_refused_with_what_to_do() {
    let refused = |kind, free| {
        file_bytes(&facts(kind, free)).expect_err("nothing to be measured").to_string()
    };
    assert!(
        refused(FileSystemKind::Tmpfs, ByteCount::gib(9)).contains("on tmpfs, which is memory")
    );
    assert!(refused(FileSystemKind::Ext4, ByteCount::mib(100)).contains("make room"));
    let bytes = file_bytes(&facts(FileSystemKind::Xfs, ByteCount::gib(1))).expect("room");
    assert!(bytes <= ByteCount::mib(256).get(), "a part of what is free");
}

#[test]
fn the_knee_is_the_least_under_way_within_five_percent_of_the_best() {
    let measured = |block_kib: usize, depth, bytes_per_second| Bandwidth {
        direction: Direction::Write,
        state: FileState::Prewritten,
        shape: Shape { block_bytes: block_kib << 10, depth },
        bytes_per_second,
        requests: 1,
    };
    let all = [
        measured(1024, 16, 1000.0),
        measured(1024, 4, 960.0),
        measured(256, 4, 940.0),
        measured(256, 16, 955.0),
    ];
    let found = knee(&all).expect("a knee");
    assert_eq!(found.shape, Shape { block_bytes: 1 << 20, depth: 4 });
    assert_eq!(knee(&[]), None);
}

#[test]
fn a_flush_faster_than_any_device_is_not_believed() {
    let median = |p50| Samples { p50_nanoseconds: p50, count: 100, ..Samples::default() };
    assert!(!believable(&median(Some(3_000))));
    assert!(believable(&median(Some(12_000))));
    assert!(believable(&median(None)), "too few samples to say");
}
