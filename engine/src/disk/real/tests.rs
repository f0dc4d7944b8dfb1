//! Facts of the real file system, on the disk that holds the build.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fd::OwnedFd;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use tempfile::TempDir;

use super::{DataAccess, DirectoryLock, LockError, RealFileSystem, probe};
use crate::disk::{FileSystem, FileSystemError};
use crate::limits::BLOCK_BYTES;

/// Below target/, not in /tmp, which may live in memory.
fn directory() -> TempDir {
    let parent = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tests");
    fs::create_dir_all(&parent).unwrap();
    tempfile::tempdir_in(parent).unwrap()
}

/// Direct where the disk can, so that the tests also run on what cannot.
fn open(directory: &TempDir) -> RealFileSystem {
    let direct = probe(directory.path()).unwrap().direct_io_bytes.is_some();
    let access = if direct { DataAccess::Direct } else { DataAccess::Buffered };
    RealFileSystem::open(directory.path(), access).unwrap()
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at / 7 + at % 251) as u8).collect()
}

/// One shard's `syncfs` was told of a write-back that failed, and the kernel then had nothing to say to the
/// others, who waited for the same blocks. What it notes as told, it notes at the open descriptor, as it does
/// the flags.
#[test]
fn a_directory_that_is_opened_again_shares_nothing_that_the_kernel_notes() {
    let directory = directory();
    let files = open(&directory);
    let (again, shared) = (files.reopened().unwrap(), files.root.try_clone().unwrap());
    let is_marked =
        |descriptor: &OwnedFd| fcntl_getfl(descriptor).unwrap().contains(OFlags::NONBLOCK);
    fcntl_setfl(&files.root, OFlags::NONBLOCK).unwrap();
    assert!(is_marked(&files.root) && is_marked(&shared) && !is_marked(&again.root));
    files.write_file(Path::new("small"), b"same").unwrap();
    assert_eq!(again.length(Path::new("small")), Ok(4));
}

#[test]
fn a_data_file_is_read_at_any_position_and_length() {
    let directory = directory();
    let files = open(&directory);
    let path = Path::new("0.log");
    let data = pattern(3 * BLOCK_BYTES);
    files.write(path, 0, &data).unwrap();
    files.set_length(path, 3 * BLOCK_BYTES as u64 - 100).unwrap();
    let end = data.len() - 100;
    for position in [0, 1, 511, 512, 4095, 4096, 4097, 8192, end - 1, end, end + 1, end + 9000] {
        for length in [0, 1, 512, 4096, 4097, 20_000] {
            let mut into = vec![0xEE; length];
            let read = files.read(path, position as u64, &mut into).unwrap();
            let expected =
                &data[position.min(end)..(position + length).min(end).max(position.min(end))];
            assert_eq!(&into[..read], expected, "{length} bytes at {position}");
            assert!(into[read..].iter().all(|byte| *byte == 0xEE));
        }
    }
}

#[test]
fn large_transfers_from_any_address_come_back_whole() {
    let directory = directory();
    let files = open(&directory);
    let data = pattern((3 << 20) + BLOCK_BYTES + 1);
    for skip in [0, 1] {
        let written = &data[skip..skip + (3 << 20) + BLOCK_BYTES];
        files.write(Path::new("0.journal"), 8192, written).unwrap();
        let mut back = vec![0; written.len() + 10];
        let read = files.read(Path::new("0.journal"), 8192, &mut back[5..]).unwrap();
        assert_eq!(read, written.len());
        assert!(&back[5..5 + read] == written);
    }
}

#[test]
#[should_panic(expected = "whole blocks")]
fn a_data_file_is_not_written_in_parts_of_blocks() {
    let directory = directory();
    let files = RealFileSystem::open(directory.path(), DataAccess::Direct).unwrap();
    let _ = files.write(Path::new("0.log"), 512, &[0; BLOCK_BYTES]);
}

#[test]
fn small_files_are_replaced_whole_and_exactly() {
    let directory = directory();
    let files = open(&directory);
    for path in ["meta.properties", "0.log"].map(Path::new) {
        for length in [5000, 3, 0, 4096] {
            files.write_file(path, &pattern(length)).unwrap();
            files.sync(path).unwrap();
            assert_eq!(files.length(path).unwrap(), length as u64);
            let mut back = vec![0; 6000];
            assert_eq!(files.read(path, 0, &mut back).unwrap(), length);
            assert_eq!(&back[..length], pattern(length));
        }
    }
}

#[test]
fn allocation_moves_the_size_and_keeps_the_data() {
    let directory = directory();
    let files = open(&directory);
    for (name, by_writing) in [("a.log", false), ("b.log", true), ("c.index", true)] {
        let path = Path::new(name);
        files.write(path, 0, &pattern(BLOCK_BYTES)).unwrap();
        files.set_length(path, 4000).unwrap();
        if by_writing {
            let file =
                fs::OpenOptions::new().write(true).open(directory.path().join(path)).unwrap();
            files.allocate_by_writing(&file.into(), path, 3 << 20).unwrap();
        } else {
            files.allocate(path, 4096, 3 << 20).unwrap();
        }
        assert_eq!(files.length(path).unwrap(), 3 << 20);
        let mut back = vec![1; 8192];
        files.read(path, 0, &mut back).unwrap();
        assert_eq!(&back[..4000], &pattern(4000));
        assert!(back[4000..].iter().all(|byte| *byte == 0), "{name}");
    }
}

#[test]
fn entries_are_sorted_and_tell_directories_from_files() {
    let directory = directory();
    let files = open(&directory);
    files.create_dir(Path::new("topic-0")).unwrap();
    files.create_dir(Path::new("topic-0")).unwrap();
    files.write_file(Path::new("topic-0/b"), b"12").unwrap();
    files.write_file(Path::new("topic-0/a"), b"").unwrap();
    files.rename(Path::new("topic-0/b"), Path::new("topic-0/c")).unwrap();
    files.sync_dir(Path::new("topic-0")).unwrap();
    files.sync_dir(Path::new("")).unwrap();
    files.sync_file_system().unwrap();
    assert!(files.free_bytes().unwrap() > 0);
    let names = |dir: &str| {
        let entries = files.entries(Path::new(dir)).unwrap();
        entries.into_iter().map(|e| (e.name, e.is_dir, e.length)).collect::<Vec<_>>()
    };
    assert_eq!(names(""), [(PathBuf::from("topic-0"), true, 0)]);
    assert_eq!(names("topic-0"), [("a".into(), false, 0), ("c".into(), false, 2)]);
}

#[test]
fn what_is_absent_is_said_to_be_and_may_be_removed() {
    let directory = directory();
    let files = open(&directory);
    let absent = Path::new("absent.log");
    files.remove_file(absent).unwrap();
    files.remove_dir(absent).unwrap();
    let not_found = Err(FileSystemError::NotFound);
    assert_eq!(files.length(absent).map(drop), not_found);
    assert_eq!(files.read(absent, 0, &mut [0; 8]).map(drop), not_found);
    assert_eq!(files.entries(absent).map(drop), not_found);
    assert_eq!(files.sync(absent), not_found);
    assert_eq!(files.open_data(absent).map(drop), not_found);
    let into_file = files.write_file(Path::new("f"), b"").and(files.create_dir(Path::new("f/d")));
    assert_eq!(into_file, Err(FileSystemError::Failed { errno: 20, call: "mkdir" }));
}

#[test]
fn a_second_node_is_told_who_holds_the_directory() {
    let directory = directory();
    let first = DirectoryLock::take(directory.path()).unwrap();
    let held = LockError::Held {
        root: directory.path().into(),
        pid: i32::try_from(std::process::id()).ok(),
    };
    assert_eq!(DirectoryLock::take(directory.path()).map(drop), Err(held));
    drop(first);
    DirectoryLock::take(directory.path()).unwrap();
}

#[test]
fn a_probe_creates_the_directory_and_leaves_nothing_in_it() {
    let directory = directory();
    let root = directory.path().join("a/b");
    let found = probe(&root).unwrap();
    assert_eq!(fs::read_dir(&root).unwrap().count(), 0);
    assert!(found.to_string().starts_with(&root.display().to_string()));
    fs::write(root.join("file"), b"").unwrap();
    assert!(probe(&root.join("file/sub")).is_err());
}
