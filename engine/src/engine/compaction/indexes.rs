//! The index of a segment that was cleaned before tells where it lacks offsets: without it an offset that rotted
//! would be taken for one behind a gap, and made to last.

use bytes::Bytes;
use protocol::Offset;

use super::{GivenUp, Round};
use crate::disk::{DiskOp, Job, Step};
use crate::engine::Engine;
use crate::limits::INDEX_FILE_BYTES_MAX;
use crate::partition::index::{SegmentIndex, segment_path};

impl Engine {
    /// Whether the segment can only be read with an index that is not there yet.
    pub(super) fn lacks_index(&self, round: &mut Round, base: Offset) -> bool {
        let is_dense = self.partition(round.slot).is_none_or(|it| it.is_dense(base));
        round.index.take_if(|index| index.0 != base);
        !is_dense && round.index.is_none()
    }

    /// Reads the index files; where they make no sense, the segment is walked through.
    pub(super) fn load_index_for_cleaner(&mut self, round: &mut Round, base: Offset, walks: bool) {
        let Some(partition) = self.partition(round.slot) else { return };
        let directory = partition.directory.clone();
        let file = |extension| Step::ReadFile {
            path: segment_path(&directory.path, base, extension),
            length_max: INDEX_FILE_BYTES_MAX,
        };
        let steps = if walks {
            vec![Step::WalkIndex {
                directory: directory.path,
                base_offset: base.0,
                interval_bytes: partition.config.index_interval_bytes,
            }]
        } else {
            vec![file("index"), file("timeindex")]
        };
        round.walks_index = walks;
        self.issue_for_cleaner(round, DiskOp::Job(Job { dir: directory.dir, steps }));
    }

    pub(super) fn on_index_for_cleaner(
        &mut self,
        round: &mut Round,
        files: &[Option<Bytes>],
    ) -> Result<bool, GivenUp> {
        let Some(source) = round.sources.get(round.scan.source).copied() else { return Ok(true) };
        let index = match files {
            [Some(offsets), Some(times)] if round.walks_index => {
                SegmentIndex::of_walk(offsets, times, source.length)
            }
            [Some(offsets), Some(times)] => SegmentIndex::decode(offsets, times, source.length),
            _ => None,
        };
        match index {
            Some(index) => round.index = Some((source.base, index)),
            None if round.walks_index => return Err(GivenUp::Damaged),
            None => self.load_index_for_cleaner(round, source.base, true),
        }
        Ok(true)
    }
}
