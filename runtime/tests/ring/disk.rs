//! Reading and writing files.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;

use bytes::Bytes;
use runtime::memory::Block;
use runtime::ring::{Completion, Descriptor, RingConfig, Token, WriteData, WriteRequest};
use tempfile::TempDir;

use crate::bench::Bench;

const PAGE: usize = 4096;

/// A directory under target/, or wherever an unprivileged user may write.
fn directory() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).or_else(|_| tempfile::tempdir()).unwrap()
}

fn open_direct(bench: &mut Bench, directory: &TempDir) -> Descriptor {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .custom_flags(libc::O_DIRECT)
        .open(directory.path().join("file"))
        .unwrap();
    bench.ring.adopt(file.into()).unwrap()
}

fn pages(bench: &Bench, count: usize, stamp: u8) -> Block {
    let mut block = bench.arena.allocate(count * PAGE).unwrap();
    block
        .iter_mut()
        .enumerate()
        .for_each(|(at, byte)| *byte = stamp.wrapping_add((at / PAGE) as u8));
    block
}

fn writes_and_reads(mut bench: Bench) {
    let directory = directory();
    let file = open_direct(&mut bench, &directory);
    // Depth 8, each durable: a block of our own, one slice, many slices.
    for number in 0..8_u64 {
        let block = pages(&bench, 16, number as u8);
        let data = match number % 3 {
            0 => WriteData::Block { block, len: 16 * PAGE },
            1 => WriteData::Parts(vec![block.freeze(16 * PAGE)]),
            _ => {
                let bytes = block.freeze(16 * PAGE);
                WriteData::Parts(
                    (0..16).map(|at| bytes.slice(at * PAGE..(at + 1) * PAGE)).collect(),
                )
            }
        };
        let position = number * 16 * PAGE as u64;
        let request = WriteRequest { position, data, durable: true };
        bench.ring.write(Token(number), file, request);
    }
    let mut blocks = 0;
    for _ in 0..8 {
        let Completion::Written { token, data, result } = bench.next() else { panic!() };
        assert_eq!(result, Ok(()), "{token:?}");
        blocks += usize::from(matches!(data, WriteData::Block { len, .. } if len == 16 * PAGE));
    }
    assert_eq!(blocks, 3, "blocks come back");
    assert_eq!(bench.arena.allocated(), 0);
    for number in 0..8_u64 {
        let block = bench.arena.allocate(16 * PAGE).unwrap();
        bench.ring.read(Token(number), file, number * 16 * PAGE as u64, block, 16 * PAGE);
    }
    for _ in 0..8 {
        let Completion::Read { token, block, result } = bench.next() else { panic!() };
        assert_eq!(result, Ok(16 * PAGE));
        assert!(block[..] == pages(&bench, 16, token.0 as u8)[..]);
    }
    bench.ring.close(Token(99), file);
    assert!(matches!(bench.next(), Completion::Closed { token: Token(99) }));
}

#[test]
fn durable_direct_writes_are_read_back() {
    let bench = Bench::new();
    assert!(!bench.ring.buffers_registered());
    writes_and_reads(bench);
}

#[test]
fn registered_memory_is_written_and_read_as_well() {
    // 2 MiB fit into 8 MiB of locked memory.
    let config = RingConfig { registered_bytes_max: 2 << 20, ..RingConfig::default() };
    let bench = Bench::with(&config);
    assert!(bench.ring.buffers_registered());
    assert!(bench.ring.descriptors_registered());
    writes_and_reads(bench);
}

#[test]
fn without_locked_memory_the_ring_works_unregistered() {
    // More than the arena or any unprivileged limit; root gets it registered.
    let config = RingConfig { registered_bytes_max: usize::MAX, ..RingConfig::default() };
    writes_and_reads(Bench::with(&config));
}

#[test]
fn a_write_of_more_parts_than_one_call_takes_is_continued() {
    let mut bench = Bench::new();
    let directory = directory();
    let file = open_direct(&mut bench, &directory);
    let page = pages(&bench, 1, 7).freeze(PAGE);
    let data = WriteData::Parts(vec![page; 2500]);
    bench.ring.write(Token(1), file, WriteRequest { position: 0, data, durable: false });
    let Completion::Written { result, .. } = bench.next() else { panic!() };
    assert_eq!(result, Ok(()));
    assert_eq!(bench.ring.counters().continued, 2);
    let len = std::fs::metadata(directory.path().join("file")).unwrap().len();
    assert_eq!(len, 2500 * PAGE as u64);
    let block = bench.arena.allocate(PAGE).unwrap();
    bench.ring.read(Token(2), file, 2499 * PAGE as u64, block, PAGE);
    let Completion::Read { block, result, .. } = bench.next() else { panic!() };
    assert_eq!(result, Ok(PAGE));
    assert!(block[..PAGE].iter().all(|byte| *byte == 7));
}

#[test]
fn a_read_ends_where_the_file_ends() {
    let mut bench = Bench::new();
    let directory = directory();
    let file = open_direct(&mut bench, &directory);
    std::fs::write(directory.path().join("file"), vec![3; 5000]).unwrap();
    let expect = [(0, 5000), (4096, 904), (8192, 0)];
    for (position, len) in expect {
        let block = bench.arena.allocate(4 * PAGE).unwrap();
        bench.ring.read(Token(0), file, position, block, 4 * PAGE);
        let Completion::Read { block, result, .. } = bench.next() else { panic!() };
        assert_eq!(result, Ok(len));
        assert!(block[..len].iter().all(|byte| *byte == 3));
    }
}

#[test]
fn errors_of_files_are_values_and_the_data_comes_back() {
    let mut bench = Bench::new();
    let directory = directory();
    std::fs::write(directory.path().join("read-only"), b"x").unwrap();
    let file = std::fs::File::open(directory.path().join("read-only")).unwrap();
    let file = bench.ring.adopt(file.into()).unwrap();
    let data = WriteData::Parts(vec![Bytes::from_static(b"abc")]);
    bench.ring.write(Token(1), file, WriteRequest { position: 0, data, durable: true });
    let Completion::Written { data, result, .. } = bench.next() else { panic!() };
    assert_eq!(result.map_err(runtime::OsError::raw), Err(libc::EBADF));
    let WriteData::Parts(parts) = data else { panic!() };
    assert_eq!(parts, [Bytes::from_static(b"abc")]);
}
