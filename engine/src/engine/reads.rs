//! Reads: from the memory tail where it reaches, from the segments otherwise, with read-ahead.
//!
//! A read is a small walk: find the segment and a batch boundary at or before the target (its index),
//! look at a window of bytes from there, go on with the next window until the target is in it. What is read
//! before anybody asks is in `ahead`.

mod ahead;

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use protocol::Offset;

use self::ahead::Ahead;
use super::completion::Pending;
use super::damage::DamageKind;
use super::{Engine, Slot};
use crate::PartitionId;
use crate::batch::BatchView;
use crate::disk::{DiskClass, DiskOp, DiskOutput, FileSystemError};
use crate::limits::{
    BLOCK_BYTES, READ_BYTES_MAX, READ_WINDOW_BYTES, READ_WINDOW_BYTES_MIN, READS_IN_FLIGHT_MAX,
};
use crate::partition::index::SegmentIndex;
use crate::partition::position::LogPosition;
use crate::partition::window::{Found, Known, Search, Target, Window, search};
use crate::partition::{Partition, PartitionState};
use crate::request::{EngineEvent, ReadError, ReadRequest, ReadTarget, Records, Token};

/// One read on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Read {
    request: ReadRequest,
    pub(super) slot: Slot,
    origin: Origin,
    /// Base of the segment that is looked at, and which of its files.
    pub(super) segment: Offset,
    pub(super) generation: u64,
    /// Where in it: a batch boundary; `None` until the index was asked.
    from: Option<u64>,
    /// What is known of the batch there.
    known: Option<Known>,
    /// The next window holds at least this much.
    bytes_min: usize,
    /// The file ended before the log does.
    is_short: bool,
}

/// Who hears of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Broker,
    /// The scan that rebuilds what is known of producers.
    Rebuild,
}

/// A disk read in flight: for a read, or ahead of one.
#[derive(Debug)]
pub(super) struct ReadOperation {
    slot: Slot,
    segment: Offset,
    generation: u64,
    start: u64,
    /// What the file holds of it at least.
    expected: usize,
    purpose: Purpose,
}

#[derive(Debug)]
enum Purpose {
    Serve(Read),
    Ahead,
}

/// Reads that wait, and what was read ahead.
#[derive(Debug, Default)]
pub(super) struct Reads {
    queue: VecDeque<Read>,
    in_flight: usize,
    ahead: BTreeMap<Slot, Ahead>,
    /// Where the last read from disk of a partition ended.
    last_end: BTreeMap<Slot, (Offset, u64)>,
}

impl Engine {
    /// Reads record batches; the answer comes as an event, at once if memory has them.
    pub fn read(&mut self, request: ReadRequest) {
        self.read_for(request, Origin::Broker);
    }

    /// Reads for the scan that rebuilds what is known of producers.
    pub(super) fn read_for_rebuild(&mut self, partition: PartitionId, from: Offset) {
        let target = ReadTarget::Offset(from);
        let bytes_max = READ_WINDOW_BYTES;
        self.read_for(
            ReadRequest { token: Token(0), partition, target, bytes_max },
            Origin::Rebuild,
        );
    }

    fn read_for(&mut self, mut request: ReadRequest, origin: Origin) {
        // More than a window is not read at once, whatever is asked for.
        request.bytes_max = request.bytes_max.min(READ_BYTES_MAX);
        match self.admit_read(request, origin) {
            Ok(Some(read)) => self.step(read),
            Ok(None) => self.answer_read(origin, &request, Ok(Records::empty(request.target))),
            Err(error) => self.answer_read(origin, &request, Err(error)),
        }
    }

    /// `None`: nothing to read now.
    fn admit_read(&self, request: ReadRequest, origin: Origin) -> Result<Option<Read>, ReadError> {
        let slot = self.slot(request.partition).ok_or(ReadError::NotOwner)?;
        let partition = self.partition(slot).ok_or(ReadError::NotOwner)?;
        match partition.state {
            PartitionState::Closing => return Err(ReadError::NotOwner),
            PartitionState::Offline => return Err(ReadError::Unavailable),
            PartitionState::Open | PartitionState::Suspect => {}
        }
        let (log_start, log_end) = (partition.log_start, partition.end.offset);
        let at = match request.target {
            ReadTarget::Offset(offset) if offset < log_start || offset > log_end => {
                return Err(ReadError::OutOfRange { log_start, log_end });
            }
            ReadTarget::Offset(offset) => offset,
            ReadTarget::Timestamp { from, .. } => log_start.max(from),
        };
        if at >= partition.high_watermark().offset {
            return Ok(None);
        }
        let Some(segment) = partition.segment_of(at) else { return Ok(None) };
        Ok(Some(Read {
            request,
            slot,
            origin,
            segment: segment.base,
            generation: segment.generation,
            from: None,
            known: None,
            bytes_min: 0,
            is_short: false,
        }))
    }

    /// Bytes that a fetch from `offset` would find now, not looking further than `bytes_max`; up to an entry of
    /// the index more than there are.
    pub fn readable_bytes(&self, id: PartitionId, offset: Offset, bytes_max: u64) -> u64 {
        let Some(partition) = self.get(id) else { return 0 };
        if offset >= partition.high_watermark().offset {
            return 0;
        }
        let mut bytes = 0;
        for segment in partition.segments.iter().rev() {
            let visible = partition.visible_in(segment);
            if segment.base <= offset {
                let index = segment.index.as_ref();
                let from = index.map_or(0, |index| index.position_before(segment.base, offset));
                return (bytes + visible.saturating_sub(from)).max(1);
            }
            bytes += visible;
            if bytes >= bytes_max {
                break;
            }
        }
        bytes.max(1)
    }

    /// Bytes that consumers may read behind a place where they could read up to before.
    pub fn visible_bytes_from(&self, id: PartitionId, from: LogPosition) -> u64 {
        let Some(partition) = self.get(id) else { return 0 };
        let newer = partition.segments.iter().rev();
        let bytes = newer.take_while(|segment| segment.base >= from.segment).map(|segment| {
            let before = if segment.base == from.segment { from.position } else { 0 };
            partition.visible_in(segment).saturating_sub(before)
        });
        bytes.sum()
    }

    fn answer_read(
        &mut self,
        origin: Origin,
        request: &ReadRequest,
        result: Result<Records, ReadError>,
    ) {
        match origin {
            Origin::Broker => {
                self.events.push_back(EngineEvent::ReadDone { token: request.token, result });
            }
            Origin::Rebuild => self.on_rebuild_read(request.partition, result),
        }
    }

    /// Goes on with a read as far as memory allows.
    pub(super) fn step(&mut self, mut read: Read) {
        loop {
            match self.look(&mut read) {
                Look::Answer(result) => {
                    return self.answer_read(read.origin, &read.request, result);
                }
                Look::Again => {}
                Look::Anew => return self.read_for(read.request, read.origin),
                Look::Elsewhere => return,
            }
        }
    }

    fn look(&mut self, read: &mut Read) -> Look {
        let Some(partition) = self.partition(read.slot) else {
            return Look::Answer(Err(ReadError::NotOwner));
        };
        if partition.id != read.request.partition || partition.state == PartitionState::Closing {
            return Look::Answer(Err(ReadError::NotOwner));
        }
        if partition.state == PartitionState::Offline {
            return Look::Answer(Err(ReadError::Unavailable));
        }
        let segment = partition.segment(read.segment);
        let Some(segment) = segment.filter(|found| found.generation == read.generation) else {
            // Retention took the segment meanwhile, or compaction.
            return Look::Anew;
        };
        if segment.is_replaced {
            self.reads.queue.push_back(*read);
            return Look::Elsewhere;
        }
        let Some(index) = &segment.index else {
            self.load_index(*read);
            return Look::Elsewhere;
        };
        let from = match (read.from, read.request.target) {
            (Some(from), _) => from,
            (None, ReadTarget::Offset(offset)) => {
                let before = index.position_before(segment.base, offset);
                partition.newest_in_memory(read.segment, offset, before).unwrap_or(before)
            }
            (None, ReadTarget::Timestamp { at_least, from }) => {
                let by_time = index.position_before_time(segment.base, at_least);
                let start = partition.log_start.max(from).max(segment.base);
                by_time.max(index.position_before(segment.base, start))
            }
        };
        if read.from.is_none() {
            read.known = known_at(partition, index, read.segment, from);
        }
        read.from = Some(from);
        let bound = partition.visible_in(segment);
        if from >= bound {
            return next_segment(partition, read);
        }
        if let Some(window) = memory_window(partition, read, from, bound) {
            self.metrics.tail_reads += 1;
            return self.search_window(read, &window, Source::Tail);
        }
        self.look_at_disk(read, from)
    }

    fn look_at_disk(&mut self, read: &mut Read, from: u64) -> Look {
        if let Some(ahead) = self.reads.ahead.get_mut(&read.slot)
            && (ahead.segment, ahead.generation) == (read.segment, read.generation)
            && ahead.start <= from
            && from + (read.bytes_min as u64).max(1) <= ahead.end
        {
            let Some(window) = ahead.window.take() else {
                ahead.waiting.push(*read);
                return Look::Elsewhere;
            };
            self.reads.ahead.remove(&read.slot);
            let window = self.with_tail(read, window);
            return self.search_window(read, &window, Source::Disk);
        }
        if self.reads.in_flight >= READS_IN_FLIGHT_MAX || !self.issue_read(*read, from) {
            self.reads.queue.push_back(*read);
        }
        Look::Elsewhere
    }

    /// What is sought in a window of the read's segment; `None` where that is gone.
    fn sought(&self, read: &Read, source: Source) -> Option<Search> {
        let partition = self.partition(read.slot)?;
        let segment = partition.segment(read.segment)?;
        let target = match read.request.target {
            ReadTarget::Offset(offset) => Target::Offset(offset),
            ReadTarget::Timestamp { at_least, from } => {
                Target::Timestamp { at_least, from: partition.log_start.max(from) }
            }
        };
        let from = read.from.expect("the index was asked");
        Some(Search {
            base: read.segment,
            from,
            known: read.known,
            is_dense: partition.is_dense(read.segment),
            end: partition.end_of(read.segment),
            target,
            bound: partition.visible_in(segment),
            bytes_max: read.request.bytes_max,
            verify: source == Source::Disk || partition.is_unchecked(read.segment, from),
            index_interval_bytes: partition.config.index_interval_bytes,
        })
    }

    fn search_window(&mut self, read: &mut Read, window: &Window, source: Source) -> Look {
        let from_disk = source == Source::Disk;
        let Some(wanted) = self.sought(read, source) else { return Look::Anew };
        let partition = self.partition_mut(read.slot).expect("it was just looked at");
        let segment = partition.segment_mut(read.segment).expect("it was just looked at");
        if segment.index.is_none() && !wanted.is_dense {
            // It tells which offsets may be missing: it is loaded again.
            return Look::Again;
        }
        // An index that was dropped meanwhile is not begun anew: it would seem to be all there is.
        let mut unused = SegmentIndex::default();
        match search(window, &wanted, segment.index.as_mut().unwrap_or(&mut unused)) {
            Found::Batches { ref range, first, .. }
                if self.is_beyond_a_gap(read, first)
                    || (from_disk && !self.stands_in_its_epochs(read, window, range)) =>
            {
                self.damaged(read, range.start, DamageKind::NotTheBatch)
            }
            Found::Batches { range, first, next } => {
                let records = Records {
                    parts: window.slices(range.clone()),
                    bytes: usize::try_from(range.end - range.start).unwrap_or(usize::MAX),
                    first,
                    next,
                };
                self.count_read(from_disk, records.bytes);
                if from_disk {
                    self.read_ahead(read, range.start, range.end);
                }
                Look::Answer(Ok(records))
            }
            Found::GoOn { from, bytes, known } => {
                // A window of a file that is shorter than the log; one that is merely too small grows
                // with the next look. And a batch that memory could never hold is none.
                if from_disk && (read.is_short || bytes > self.arena.capacity() / 2) {
                    return self.damaged(read, from, DamageKind::NotTheBatch);
                }
                read.from = Some(from);
                read.known = known;
                read.bytes_min = bytes;
                Look::Again
            }
            Found::Nothing => match self.partition(read.slot) {
                Some(partition) => next_segment(partition, read),
                None => Look::Answer(Err(ReadError::NotOwner)),
            },
            Found::Corrupt { position } => self.damaged(read, position, DamageKind::NotTheBatch),
        }
    }

    /// The read ends here: the bytes at `position` are not what was written.
    fn damaged(&mut self, read: &Read, position: u64, kind: DamageKind) -> Look {
        let offset = match read.request.target {
            ReadTarget::Offset(offset) => offset,
            ReadTarget::Timestamp { from, .. } => from.max(read.segment),
        };
        self.note_damage(read.request.partition, (read.segment, position), offset, kind);
        Look::Answer(Err(ReadError::Unavailable))
    }

    /// Offsets are dense but for what compaction takes: elsewhere a batch behind the offset asked for means
    /// that a segment is missing, and nobody may take what follows for what comes next.
    fn is_beyond_a_gap(&self, read: &Read, first: Offset) -> bool {
        let cleaned = self.partition(read.slot).map(|partition| partition.cleaner.cleaned);
        match read.request.target {
            ReadTarget::Offset(offset) => first > offset && Some(first) > cleaned,
            ReadTarget::Timestamp { .. } => false,
        }
    }

    /// The epochs in the batches' headers are outside their CRCs: they must be those of the history.
    fn stands_in_its_epochs(&self, read: &Read, window: &Window, range: &Range<u64>) -> bool {
        let Some(partition) = self.partition(read.slot) else { return true };
        let mut position = range.start;
        while let Some(header) = window.header_at(position).filter(|_| position < range.end) {
            let stated = partition.epochs.epoch_at(header.base_offset);
            if stated.is_some_and(|stated| stated != header.partition_leader_epoch) {
                return false;
            }
            position += header.total_bytes() as u64;
        }
        true
    }

    fn count_read(&mut self, from_disk: bool, bytes: usize) {
        if from_disk {
            self.metrics.disk_read_bytes += bytes as u64;
        } else {
            self.metrics.tail_read_bytes += bytes as u64;
        }
    }

    /// Reads the window at `from` for `read`; false if there is no memory for it now.
    fn issue_read(&mut self, read: Read, from: u64) -> bool {
        let bytes = window_bytes(&read).max(read.bytes_min + BLOCK_BYTES);
        let Read { slot, segment, .. } = read;
        if self.issue_window(slot, segment, from, bytes, Purpose::Serve(read)).is_none() {
            return false;
        }
        if read.origin == Origin::Broker {
            self.note_missed(slot, segment, from);
        }
        true
    }

    /// Gives the end of the window that is being read.
    fn issue_window(
        &mut self,
        slot: Slot,
        base: Offset,
        from: u64,
        bytes: usize,
        purpose: Purpose,
    ) -> Option<u64> {
        let block_bytes = BLOCK_BYTES as u64;
        let segment = self.partition(slot)?.segment(base)?;
        let generation = segment.generation;
        let start = from - from % block_bytes;
        let end = (from + bytes as u64).min(segment.readable_from_disk());
        if end <= start {
            return None;
        }
        let expected = usize::try_from(end - start).ok()?;
        let end = end.next_multiple_of(block_bytes);
        let length = usize::try_from(end - start).ok()?;
        let block = self.arena.allocate(length)?;
        let file = self.segment_file(slot, base)?;
        self.partition_mut(slot)?.operations += 1;
        self.reads.in_flight += 1;
        self.metrics.disk_reads += 1;
        let request =
            DiskOp::Read { file, position: start, block, length, class: DiskClass::CatchUp };
        let segment = base;
        let operation = ReadOperation { slot, segment, generation, start, expected, purpose };
        self.issue(request, Pending::Read(operation));
        Some(end)
    }

    /// A disk read completed.
    pub(super) fn on_read(
        &mut self,
        operation: ReadOperation,
        result: Result<DiskOutput, FileSystemError>,
    ) {
        self.reads.in_flight -= 1;
        let ReadOperation { slot, segment, generation, start, expected, purpose } = operation;
        let is_short = matches!(&result, Ok(DiskOutput::Read { length, .. }) if *length < expected);
        let window = match result {
            Ok(DiskOutput::Read { block, length }) => {
                Some(Window::new(start, vec![block.freeze(length)]))
            }
            _ => None,
        };
        match purpose {
            Purpose::Serve(read) => self.go_on(Read { is_short, ..read }, window),
            Purpose::Ahead => self.on_ahead(slot, (segment, generation), start, window),
        }
        self.end_operation(slot);
    }

    fn go_on(&mut self, mut read: Read, window: Option<Window>) {
        let is_there = self.partition(read.slot).is_some_and(|partition| {
            let segment = partition.segment(read.segment);
            partition.state != PartitionState::Offline
                && segment.is_some_and(|it| it.generation == read.generation && !it.is_replaced)
        });
        if !is_there {
            // Retention took the file, or compaction, or the partition or its directory went.
            return self.step(read);
        }
        let Some(window) = window else {
            let from = read.from.unwrap_or_default();
            self.damaged(&read, from, DamageKind::Unreadable);
            return self.answer_read(read.origin, &read.request, Err(ReadError::Unavailable));
        };
        let window = self.with_tail(&read, window);
        match self.search_window(&mut read, &window, Source::Disk) {
            Look::Answer(result) => self.answer_read(read.origin, &read.request, result),
            Look::Again => self.step(read),
            Look::Anew => self.read_for(read.request, read.origin),
            Look::Elsewhere => {}
        }
    }

    /// The window, cut to what the file holds, and continued with what is only in memory yet.
    fn with_tail(&self, read: &Read, window: Window) -> Window {
        let Some(partition) = self.partition(read.slot) else { return window };
        let Some(segment) = partition.segment(read.segment) else { return window };
        let on_disk = segment.readable_from_disk();
        if window.end() < on_disk {
            return window;
        }
        let mut parts = window.slices(window.start()..on_disk.max(window.start()));
        let bound = partition.visible_in(segment);
        let wanted = read.request.bytes_max.max(read.bytes_min) + READ_WINDOW_BYTES_MIN;
        let end = bound.min(on_disk + wanted as u64);
        if on_disk < end {
            partition.tail.slices(read.segment, on_disk..end, &mut parts);
        }
        Window::new(window.start(), parts)
    }

    /// Reads that waited for memory or for a place among those in flight.
    pub(super) fn drive_reads(&mut self) {
        for _ in 0..self.reads.queue.len() {
            let Some(read) = self.reads.queue.pop_front() else { break };
            self.step(read);
        }
        if self.reads.queue.len() > READS_IN_FLIGHT_MAX || self.reads_are_stuck() {
            // Windows read ahead are a luxury while reads wait for memory.
            self.drop_read_ahead();
        }
    }

    /// Reads wait for memory, and no completion will try them again.
    pub(super) fn reads_are_stuck(&self) -> bool {
        !self.reads.queue.is_empty() && self.reads.in_flight == 0
    }
}

/// What is read at once for a read: what it asks for and a batch or an index interval before it, and no
/// more than fits, from the middle of a block, into a block of two windows.
fn window_bytes(read: &Read) -> usize {
    (read.request.bytes_max + READ_WINDOW_BYTES_MIN).min(2 * READ_WINDOW_BYTES - 2 * BLOCK_BYTES)
}

/// Where a read goes on.
enum Look {
    Answer(Result<Records, ReadError>),
    Again,
    /// From the request on: the segment it looked at is not that any more.
    Anew,
    /// It waits for a disk operation or in a queue.
    Elsewhere,
}

/// The read goes on in the following segment, if consumers may read that far.
fn next_segment(partition: &Partition, read: &mut Read) -> Look {
    let after = partition.segments.partition_point(|segment| segment.base <= read.segment);
    // Compaction may leave nothing of a segment.
    let mut newer = partition.segments.range(after..);
    match newer.find(|segment| partition.visible_in(segment) > 0) {
        Some(next) => {
            read.segment = next.base;
            read.generation = next.generation;
            read.from = None;
            read.bytes_min = 0;
            read.is_short = false;
            Look::Again
        }
        None => Look::Answer(Ok(Records::empty(read.request.target))),
    }
}

/// Where the bytes of a window are from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Tail,
    Disk,
}

/// What is known of the batch at `from` before it is read.
fn known_at(
    partition: &Partition,
    index: &SegmentIndex,
    segment: Offset,
    from: u64,
) -> Option<Known> {
    if from == 0 {
        let index = (!partition.is_dense(segment)).then_some(index);
        return Some(Known::at(segment, from, segment, index));
    }
    index.last_offset_at(segment, from).map(Known::Last)
}

/// The window at `from` if the memory tail reaches back that far.
fn memory_window(partition: &Partition, read: &Read, from: u64, bound: u64) -> Option<Window> {
    if partition.tail.start(read.segment)? > from {
        return None;
    }
    let wanted = read.request.bytes_max.max(read.bytes_min) + READ_WINDOW_BYTES_MIN;
    let end = bound.min(from + wanted as u64);
    let mut parts = Vec::new();
    partition.tail.slices(read.segment, from..end, &mut parts);
    Some(Window::new(from, parts))
}
