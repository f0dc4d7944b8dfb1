//! Facts of arenas, blocks and chunks.

use std::thread;

use proptest::prelude::{Strategy, any, prop_oneof};
use proptest::{prop_assert, prop_assert_eq, proptest};

use super::{Arena, Block, Chunk};

const KIB: usize = 1024;

#[test]
fn a_block_is_a_power_of_two_of_pages_and_aligned_to_its_size() {
    let arena = Arena::new(8 << 20).unwrap();
    for (len, capacity) in [(0, 4), (1, 4), (4096, 4), (4097, 8), (100 * KIB, 128), (2 << 20, 2048)]
    {
        let block = arena.allocate(len).unwrap();
        assert_eq!(block.capacity(), capacity * KIB);
        assert_eq!(block.len(), block.capacity());
        assert_eq!(block.as_ptr() as usize % block.capacity(), 0);
    }
    assert_eq!(arena.allocated(), 0);
}

#[test]
fn an_arena_refuses_what_its_budget_does_not_hold() {
    let arena = Arena::new(64 * KIB).unwrap();
    assert!(arena.allocate(128 * KIB).is_none());
    assert!(arena.allocate(usize::MAX).is_none());
    let half = arena.allocate(32 * KIB).unwrap();
    assert!(arena.allocate(64 * KIB).is_none());
    let other = arena.allocate(20 * KIB).unwrap();
    assert_eq!(arena.allocated(), arena.capacity());
    assert!(arena.allocate(1).is_none());
    drop((half, other));
    assert!(arena.allocate(64 * KIB).is_some());
}

#[test]
fn an_arena_of_any_number_of_pages_is_used_up_to_the_last() {
    for pages in [1, 2, 3, 7, 100, 513] {
        let arena = Arena::new(pages * 4096).unwrap();
        let blocks: Vec<Block> = std::iter::from_fn(|| arena.allocate(1)).collect();
        assert_eq!(blocks.len(), pages);
        drop(blocks);
        assert_eq!(arena.allocated(), 0);
    }
    assert!(Arena::new(0).is_err());
}

#[test]
fn slices_and_blocks_outlive_their_arena() {
    let arena = Arena::new(64 * KIB).unwrap();
    let mut block = arena.allocate(1).unwrap();
    let other = arena.allocate(1).unwrap();
    block[..5].copy_from_slice(b"hello");
    let bytes = block.freeze(5);
    let tail = bytes.slice(1..);
    drop((arena, bytes));
    thread::spawn(move || {
        assert_eq!(&tail[..], b"ello");
        assert_eq!(other[0], 0);
    })
    .join()
    .unwrap();
}

#[test]
fn memory_returns_with_the_last_slice() {
    let arena = Arena::new(64 * KIB).unwrap();
    let bytes = arena.allocate(8 * KIB).unwrap().freeze(100);
    let slice = bytes.slice(10..20);
    drop(bytes);
    assert_eq!(arena.allocated(), 8 * KIB);
    drop(slice);
    assert_eq!(arena.allocated(), 0);
}

#[test]
fn blocks_dropped_by_many_threads_all_come_back() {
    let arena = Arena::new(4 << 20).unwrap();
    for _ in 0..50 {
        let blocks: Vec<Block> = std::iter::from_fn(|| arena.allocate(4096)).collect();
        assert_eq!(blocks.len(), 1024);
        let mut shares: Vec<Vec<Block>> = (0..4).map(|_| Vec::new()).collect();
        for (index, mut block) in blocks.into_iter().enumerate() {
            block[0] = 1;
            shares[index % 4].push(block);
        }
        let threads: Vec<_> =
            shares.into_iter().map(|share| thread::spawn(move || drop(share))).collect();
        // The owner reclaims while they return.
        let taken = arena.allocate(4096);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        drop(taken);
        assert_eq!(arena.allocated(), 0);
        assert!(arena.allocate(4 << 20).is_some(), "coalesced to one block");
    }
}

#[test]
fn published_bytes_are_shared_while_the_rest_is_written() {
    let arena = Arena::new(64 * KIB).unwrap();
    let mut chunk = Chunk::new(arena.allocate(8 * KIB).unwrap());
    assert_eq!((chunk.capacity(), chunk.published()), (8 * KIB, 0));
    chunk.unpublished_mut(0..3).copy_from_slice(b"abc");
    chunk.publish(3);
    let first = chunk.slice(0..3);
    chunk.unpublished_mut(3..6).copy_from_slice(b"def");
    assert_eq!(&first[..], b"abc");
    chunk.publish(6);
    assert_eq!(&chunk.slice(1..5)[..], b"bcde");
    assert_eq!(&chunk.slice(2..2)[..], b"");
    assert_eq!(chunk.slice(0..3).as_ptr(), first.as_ptr(), "no copy");
    drop(chunk);
    assert_eq!(arena.allocated(), 8 * KIB);
    drop(first);
    assert_eq!(arena.allocated(), 0);
}

#[test]
fn a_chunk_is_written_while_another_thread_reads_what_was_published() {
    let arena = Arena::new(1 << 20).unwrap();
    let mut chunk = Chunk::new(arena.allocate(1 << 20).unwrap());
    let (sender, receiver) = std::sync::mpsc::channel();
    let reader = thread::spawn(move || {
        for (index, bytes) in receiver.iter().enumerate() {
            let bytes: bytes::Bytes = bytes;
            assert!(bytes.iter().all(|byte| usize::from(*byte) == index % 251));
        }
    });
    for index in 0..1024 {
        let range = index * KIB..(index + 1) * KIB;
        chunk.unpublished_mut(range.clone()).fill((index % 251) as u8);
        chunk.publish(range.end);
        sender.send(chunk.slice(range)).unwrap();
    }
    drop(sender);
    reader.join().unwrap();
}

#[test]
#[should_panic(expected = "published bytes never change")]
fn published_bytes_cannot_be_written() {
    let arena = Arena::new(64 * KIB).unwrap();
    let mut chunk = Chunk::new(arena.allocate(1).unwrap());
    chunk.publish(10);
    chunk.unpublished_mut(9..11);
}

#[test]
#[should_panic(expected = "range.end <= self.published")]
fn unpublished_bytes_cannot_be_shared() {
    let arena = Arena::new(64 * KIB).unwrap();
    let mut chunk = Chunk::new(arena.allocate(1).unwrap());
    chunk.publish(10);
    chunk.slice(9..11);
}

/// A step of the model: what the arena must do is told by a list of live blocks and their stamps.
#[derive(Debug, Clone)]
enum Step {
    Allocate(usize),
    Drop(usize),
    DropElsewhere(usize),
    Freeze(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_usize..200 * KIB).prop_map(Step::Allocate),
        2 => any::<usize>().prop_map(Step::Drop),
        1 => any::<usize>().prop_map(Step::DropElsewhere),
        1 => any::<usize>().prop_map(Step::Freeze),
    ]
}

proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
    #[test]
    fn blocks_never_overlap_and_all_memory_coalesces(
        pages in 1_usize..600,
        steps in proptest::collection::vec(step(), 1..120),
    ) {
        let arena = Arena::new(pages * 4096).unwrap();
        let mut blocks: Vec<(u8, Block)> = Vec::new();
        let mut frozen: Vec<(u8, usize, bytes::Bytes)> = Vec::new();
        for (index, step) in steps.into_iter().enumerate() {
            let stamp = index as u8;
            match step {
                Step::Allocate(len) => {
                    let free = arena.capacity() - arena.allocated();
                    if let Some(mut block) = arena.allocate(len) {
                        prop_assert!(block.capacity() >= len && block.capacity() <= free);
                        block.fill(stamp);
                        blocks.push((stamp, block));
                    }
                }
                Step::Drop(at) if !blocks.is_empty() => {
                    blocks.swap_remove(at % blocks.len());
                }
                Step::DropElsewhere(at) if !blocks.is_empty() => {
                    let block = blocks.swap_remove(at % blocks.len());
                    thread::spawn(move || drop(block)).join().unwrap();
                }
                Step::Freeze(at) if !blocks.is_empty() => {
                    let (stamp, block) = blocks.swap_remove(at % blocks.len());
                    let capacity = block.capacity();
                    frozen.push((stamp, capacity, block.freeze(at % (capacity + 1))));
                }
                _ => {}
            }
            let live = blocks.iter().map(|(_, block)| block.capacity()).sum::<usize>()
                + frozen.iter().map(|(_, capacity, _)| capacity).sum::<usize>();
            prop_assert_eq!(arena.allocated(), live);
        }
        // Each block still holds its own stamp: nobody else wrote into it.
        prop_assert!(blocks.iter().all(|(stamp, block)| block.iter().all(|byte| byte == stamp)));
        prop_assert!(frozen.iter().all(|(stamp, _, b)| b.iter().all(|byte| byte == stamp)));
        drop((blocks, frozen));
        prop_assert_eq!(arena.allocated(), 0);
        let largest = 1_usize << pages.ilog2();
        prop_assert!(arena.allocate(largest * 4096).is_some());
    }
}
