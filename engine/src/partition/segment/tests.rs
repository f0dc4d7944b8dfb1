//! Growth, write-behind and direct ranges of a segment.

use std::ops::Range;

use proptest::prelude::*;
use protocol::Offset;

use super::{Segment, SegmentState};
use crate::limits::{BLOCK_BYTES, SEGMENT_STEP_BYTES_MAX, SEGMENT_STEP_BYTES_MIN};
use crate::partition::index::SegmentIndex;

const BLOCK: u64 = BLOCK_BYTES as u64;

fn floor(position: u64) -> u64 {
    position - position % BLOCK
}

#[test]
fn steps_double_up_to_the_largest() {
    let mut segment = Segment::new(Offset(0));
    let mut sizes = Vec::new();
    for _ in 0..12 {
        segment.allocated = segment.grown(segment.allocated + 1);
        sizes.push(segment.allocated);
    }
    let steps: Vec<u64> = sizes.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(sizes[0], SEGMENT_STEP_BYTES_MIN);
    assert_eq!(steps[..3], [2, 4, 8].map(|factor| factor * SEGMENT_STEP_BYTES_MIN));
    assert!(steps[9..].iter().all(|step| *step == SEGMENT_STEP_BYTES_MAX));
    segment.reset_step();
    assert_eq!(segment.grown(segment.allocated + 1) - segment.allocated, SEGMENT_STEP_BYTES_MIN);
}

#[test]
fn a_recovered_segment_goes_on_behind_its_whole_blocks() {
    let segment = Segment::active(Offset(7), 10_000, 10_000, SegmentIndex::default());
    assert_eq!((segment.flushed, segment.durable, segment.allocated), (8_192, 8_192, 8_192));
    assert!(segment.is_nearly_full());
    let segment = Segment::finished(Offset(7), 10_000);
    assert_eq!((segment.readable_from_disk(), segment.is_finished()), (10_000, true));
}

#[test]
fn a_complete_file_is_finished_for_nothing_and_only_at_its_length() {
    let mut segment = Segment::active(Offset(0), 5_000, 5_000, SegmentIndex::default());
    segment.complete_at = Some(5_000);
    segment.length = 6_000;
    assert!(!segment.finish_if_complete());
    segment.length = 5_000;
    assert!(segment.finish_if_complete());
    assert_eq!((segment.state, segment.durable), (SegmentState::Finished, 5_000));
}

#[derive(Clone, Debug)]
enum Step {
    Append(u64),
    /// The newest appended bytes go straight to the file.
    Direct(u64),
    /// Everything but direct runs in flight is acknowledged.
    Acknowledge,
    EndDirect(prop::sample::Index),
    WriteBehind(u64),
    EndWriteBehind,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (1u64..30_000).prop_map(Step::Append),
        (262_144u64..400_000).prop_map(Step::Direct),
        Just(Step::Acknowledge),
        any::<prop::sample::Index>().prop_map(Step::EndDirect),
        (1u64..300).prop_map(|blocks| Step::WriteBehind(blocks * BLOCK)),
        Just(Step::EndWriteBehind),
    ];
    proptest::collection::vec(step, 1..80)
}

proptest! {
    #[test]
    fn every_block_is_written_once_and_counts_when_it_is(steps in steps()) {
        let mut segment = Segment::new(Offset(0));
        segment.state = SegmentState::Active;
        let mut written: Vec<bool> = Vec::new();
        let mut in_direct: Vec<(Range<u64>, u64)> = Vec::new();
        let mut behind: Option<Range<u64>> = None;
        let mut acknowledged = 0;
        for step in steps {
            match step {
                Step::Append(bytes) => segment.length += bytes,
                Step::Direct(bytes) => {
                    let from = segment.length;
                    segment.length += bytes;
                    let blocks = floor(from)..floor(segment.length);
                    prop_assert!(segment.flushed <= blocks.start);
                    segment.begin_direct(blocks.clone());
                    in_direct.push((blocks, from));
                }
                Step::Acknowledge => {
                    acknowledged = in_direct.iter().map(|run| run.1).min().unwrap_or(segment.length);
                }
                Step::EndDirect(index) if !in_direct.is_empty() => {
                    let (blocks, _) = in_direct.remove(index.index(in_direct.len()));
                    mark(&mut written, &blocks);
                    segment.end_direct(&blocks);
                }
                Step::WriteBehind(bytes_max) => {
                    if let Some(range) = segment.write_behind_range(acknowledged, bytes_max) {
                        prop_assert!(range.end - range.start <= bytes_max);
                        prop_assert!(range.end <= acknowledged, "only what the journal has");
                        prop_assert!(in_direct.iter().all(|run| run.0.start >= range.end));
                        segment.begin_write_behind(&range);
                        behind = Some(range);
                    }
                }
                Step::EndWriteBehind => {
                    if let Some(range) = behind.take() {
                        mark(&mut written, &range);
                        segment.end_write_behind();
                    }
                }
                Step::EndDirect(_) => {}
            }
            let blocks = usize::try_from(segment.flushed / BLOCK).unwrap();
            prop_assert!(written.len() >= blocks && written[..blocks].iter().all(|done| *done));
            prop_assert!(segment.flushed <= segment.length && segment.flushed.is_multiple_of(BLOCK));
        }
    }
}

/// Marks blocks as written; none is written twice.
fn mark(written: &mut Vec<bool>, range: &Range<u64>) {
    for block in range.start / BLOCK..range.end / BLOCK {
        let at = usize::try_from(block).unwrap();
        if written.len() <= at {
            written.resize(at + 1, false);
        }
        assert!(!std::mem::replace(&mut written[at], true), "block {block} is written once");
    }
}
