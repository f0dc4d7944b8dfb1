//! Every bound of the engine, with the arithmetic behind it.

/// Direct I/O granularity: addresses, positions and lengths of data-file writes are multiples of it.
/// 4 KiB is the physical block of practically every drive and never smaller than its logical block.
pub const BLOCK_BYTES: usize = 4096;

/// Largest journal group on disk: what one write may hold. 1 MiB writes at depth 4 reach the device's
/// full durable speed (3.3 GB/s where 4 KiB ones take 102 µs), larger ones only add latency.
pub const JOURNAL_GROUP_BYTES_MAX: usize = 1 << 20;

/// Entries of one group: bounds the table to 352 KiB, so that bodies keep two thirds of a group.
pub const JOURNAL_GROUP_ENTRIES_MAX: usize = 4096;

/// Groups written and not acknowledged: at 1 MiB each this is the depth at which durable direct writes
/// level off; recovery must order no more than these.
pub const JOURNAL_GROUPS_IN_FLIGHT_MAX: usize = 8;

/// A further group is begun beside one in flight only when this much waits: a 64 KiB durable write
/// costs the same as 4 KiB, so smaller groups would only add writes.
pub const JOURNAL_GROUP_BYTES_EAGER: usize = 128 << 10;
/// … where the configuration says nothing else: from a small batch of records to half of the largest group.
pub const JOURNAL_GROUP_BYTES_EAGER_MIN: usize = 16 << 10;
pub const JOURNAL_GROUP_BYTES_EAGER_MAX: usize = 512 << 10;

/// Journal files of a shard.
pub const JOURNAL_FILES: usize = 4;

/// Size of a data shard's journal file.
pub const JOURNAL_FILE_BYTES: u64 = 64 << 20;

/// Size of a dedicated shard's journal file (controller, coordinator).
pub const JOURNAL_FILE_BYTES_DEDICATED: u64 = 16 << 20;

/// The file an incarnation begins in, prewritten before the node listens: small, so that starting is
/// quick (4 MiB take a few milliseconds), and large enough for most openings.
pub const JOURNAL_FIRST_FILE_BYTES: u64 = 4 << 20;
/// So long after a start began the other files are prewritten, if they are not needed before.
pub const JOURNAL_PREPARED_AFTER_MS: u64 = 200;

/// A shard that has been idle this long writes one empty group, so that the acknowledged end on disk
/// catches up with the last group.
pub const JOURNAL_IDLE_MS: u64 = 100;

/// A run of one partition at least this long goes straight to its segment, and the journal gets a
/// pointer: bulk traffic is not written twice.
pub const BYPASS_RUN_BYTES_MIN: u64 = 256 << 10;

/// Appends of a partition are gathered into runs up to this long (a single larger batch is a run).
pub const RUN_BYTES_MAX: u64 = 1 << 20;

/// Runs on their way to segments, for each shard.
pub const BYPASS_RUNS_IN_FLIGHT_MAX: usize = 8;

/// Write-behind starts when this much of a partition is durable in the journal and not in its segment.
pub const WRITE_BEHIND_BYTES_MIN: u64 = 64 << 10;
/// … or, with partitions few enough for each to have so much in one journal file, up to this much: fewer and larger
/// writes, short enough for journal groups not to wait behind them.
pub const WRITE_BEHIND_BYTES_MIN_MOST: u64 = 256 << 10;
/// One write-behind operation is at most this long.
pub const WRITE_BEHIND_BYTES_MAX: u64 = 1 << 20;
/// Write-behind operations in flight, for each shard.
pub const WRITE_BEHIND_IN_FLIGHT_MAX: usize = 8;
/// Journal writes after which a shard looks at how long they took: at 100 µs each, 25 ms of load.
pub const PACING_WINDOW_WRITES: usize = 256;
/// How often the caps of other classes are halved at most: an eighth is left.
pub const PACING_HALVINGS_MAX: u32 = 3;
/// Operations of other classes after which a journal that wrote nothing meanwhile is silent, and nothing is kept
/// free for it: a gigabyte of reads, a second or less, so that writers of a few records a second count.
pub const PACING_SILENCE_OPERATIONS: u32 = 1024;

/// Segment files grow by at least this much: 5,000 partitions of 64 KiB are 320 MiB.
pub const SEGMENT_STEP_BYTES_MIN: u64 = 64 << 10;
/// … doubling up to this: one extension a second at 32 MiB/s.
pub const SEGMENT_STEP_BYTES_MAX: u64 = 32 << 20;

/// Classes of tail chunks; a partition moves up when it fills chunks quickly. 5,000 idle partitions
/// hold at most one 4 KiB chunk each: 20 MiB.
pub const CHUNK_BYTES: [usize; 3] = [4 << 10, 64 << 10, 1 << 20];
/// A chunk that filled within this time moves its partition to the next class.
pub const CHUNK_FAST_FILL_MS: u64 = 200;

/// Distance of entries in the sparse offset index when the topic does not say otherwise.
pub const INDEX_INTERVAL_BYTES: u32 = 4096;

/// Bytes of one catch-up read: at 1 MiB sequential direct reads reach the device's full speed.
pub const READ_WINDOW_BYTES: usize = 1 << 20;
/// Bytes that one read gives at most, its first batch apart: four windows, what one response may pin.
pub const READ_BYTES_MAX: usize = 4 << 20;
/// First read of a consumer whose place is not known precisely: enough for an index interval and a batch.
pub const READ_WINDOW_BYTES_MIN: usize = 64 << 10;
/// Disk reads of consumers in progress, for each shard; more wait in order.
pub const READS_IN_FLIGHT_MAX: usize = 64;
/// Parts of a batch list one read gives: bounds the send vector of a response.
pub const READ_PARTS_MAX: usize = 256;

/// Windows kept ahead at most, for each shard: 32 of 2 MiB.
pub const AHEAD_MAX: usize = 32;

/// Memory of loaded index files of finished segments, for each shard.
pub const INDEX_CACHE_BYTES_MAX: usize = 16 << 20;
/// Indexes of finished segments kept: all of them are looked at when one more comes.
pub const INDEX_CACHE_ENTRIES_MAX: usize = 1_024;
/// Largest index file read: a 2 GiB segment with an entry each 128 bytes.
pub const INDEX_FILE_BYTES_MAX: u64 = 256 << 20;

/// Batches of a producer that are remembered to recognise a duplicate: clients keep at most five in flight.
pub const PRODUCER_BATCHES_MAX: usize = 5;
/// Producers remembered for each partition; the one that was silent longest goes first.
pub const PRODUCERS_PER_PARTITION_MAX: usize = 65_536;

/// Producers remembered by all partitions of a shard: at some 260 bytes each 34 MB, and 24 MB of state
/// file. Looked at once a second; the longest silent ones are forgotten first.
pub const PRODUCERS_PER_SHARD_MAX: usize = 128 << 10;

/// What the records of one batch may become when a topic's rules need to look at them. Nothing of it is
/// kept, so it bounds time: gzip makes some 0.8 GB of a second, this much in 80 ms.
pub const DECOMPRESSED_BYTES_MAX: usize = 64 << 20;

/// Appends of a partition waiting for room (a new segment, an extension, memory).
pub const APPENDS_WAITING_MAX: usize = 1 << 16;

/// A checkpoint run begins at the latest when this much went to segments directly since the last one:
/// recovery verifies these runs, at 1 GB/s and more it is a quarter of a second.
pub const CHECKPOINT_BYPASS_BYTES: u64 = 256 << 20;
/// … and when the oldest unflushed byte is this old.
pub const CHECKPOINT_INTERVAL_MS: u64 = 10_000;
/// Files synced one by one by a checkpoint, a recovery or an orderly end; above it one sync of the file system
/// is cheaper: on a busy disk each of 5,000 took 5 ms.
pub const FILE_SYNCS_MAX: usize = 16;

/// A start compares the last blocks of logs in a log directory with the journal if there are no more entries in
/// it: 1,000 reads of a block are some 100 ms. In larger ones a damaged block is written with the next append.
pub const LAST_BLOCKS_COMPARED_MAX: usize = 1_000;

/// Partitions that a checkpoint run looks at for each batch of inputs: 64 look-ups are some 10 µs, all
/// 8,192 would be a millisecond each time.
pub const CHECKPOINT_TARGETS_A_BATCH: usize = 64;

/// What is due by the clock (producers to forget, index files to load, segments to finish) is looked at
/// this often.
pub const RETENTION_INTERVAL_MS: u64 = 1_000;
/// Retention looks for segments that are due at the latest this long after the start, as Kafka does: a
/// client that writes records with old timestamps can read them until then.
pub const RETENTION_FIRST_MS: u64 = 30_000;

/// Index files that retention has read with each tick: more would hold up the helper thread, 8,192
/// partitions are through in four minutes.
pub const INDEX_LOADS_A_TICK: usize = 32;

/// Partitions of one shard that are asked for: each can need a 4 KiB fragment logged again for each journal file, and half
/// a 64 MiB file must suffice for all of them.
pub const PARTITIONS_PER_SHARD_MAX: usize = 8_192;

/// Partitions of one shard that a start may give it, with fewer shards than before: their last blocks fill two
/// of its four journal files, beside one that is full and one that is being written.
pub const PARTITIONS_SERVED_PER_SHARD_MAX: usize = 32_768;

/// Damaged places of segments that a shard remembers, to name each once: at some 200 bytes 25 KiB. Reads of
/// further ones fail and are counted all the same.
pub const DAMAGES_KNOWN_MAX: usize = 128;

/// The largest batch is this part of a shard's memory: half of it is for log tails, and other partitions go on.
pub const BATCH_MEMORY_DIVISOR: usize = 4;

/// What the tails of a shard hold before reads show that more is of use: 80 ms at 400 MB/s.
pub const TAIL_BYTES_FIRST: usize = 32 << 20;

/// What each read adds to it that all of their share would have spared the disk.
pub const TAIL_BYTES_STEP: usize = 8 << 20;

/// Batches of a partition whose places are known by heart, at 24 bytes each: as many as a consumer at the tail may be
/// behind, mostly.
pub const NEWEST_BATCHES_MAX: usize = 8;

/// What was written within this time is in memory, whatever tails are to hold, as far as their share allows.
pub const TAIL_KEPT_MS: u64 = 50;

/// Partitions in turn for giving up memory of which the one with the oldest bytes does.
pub const TAILS_COMPARED: usize = 8;

/// Partitions that are looked at in vain for memory to give up, before it is used all the same.
pub const TRIMMED_PARTITIONS_MAX: usize = 16;

/// Free space that is left to metadata, deletions and checkpoints: appends are refused below it.
pub const FREE_BYTES_RESERVED: u64 = 64 << 20;

/// Data files that a shard keeps open, one for each partition that it is asked for, if the process may have so many.
/// Opening one costs a trip to the helper thread, some 20 µs.
pub const OPEN_FILES_MAX: usize = PARTITIONS_PER_SHARD_MAX;

/// An opening that finds no descriptor is tried again this often …
pub const OPEN_RETRY_MS: u64 = 20;
/// … and so many times, five minutes in all: then the log directory fails.
pub const OPEN_RETRIES_MAX: u32 = 15_000;

/// Reads of consumers that are in the kernel at once, for each shard; more wait in order. 8 × 1 MiB is
/// the depth at which sequential direct reads level off.
pub const CATCH_UP_READS_IN_KERNEL_MAX: usize = 8;
/// … and while the journal writes: a write waits for what was in the disk's queue before it, and its flush once more.
pub const CATCH_UP_READS_BESIDE_JOURNAL_MAX: usize = 1;

/// Operations of the background class that are in the kernel at once, for each shard: the cleaner has one.
pub const BACKGROUND_IN_KERNEL_MAX: usize = 1;

/// Jobs and openings that the helper threads of a shard have been handed, each; more wait before it.
pub const HELPER_QUEUE_SLOTS: usize = 64;

/// Calls of a node that hold a kernel thread for long (fsync, fallocate, unlink) at once: with more, a
/// burst of new topics would take the device from the journals.
pub const SLOW_CALLS_IN_FLIGHT_MAX: u32 = 4;

/// Memory of the map of keys with which a shard cleans a log, one at a time: at 24 bytes a slot, a power of two
/// of them, three quarters taken, 393,000 keys. What is left is cleaned with the next map.
pub const CLEANER_MAP_BYTES_MAX: usize = 16 << 20;
/// What the cleaner reads or writes at once, and looks at before the shard does anything else: 256 KiB of
/// records are some 0.3 ms, compressed ones up to 1 ms. A larger batch is read whole.
pub const CLEANER_WINDOW_BYTES: usize = 256 << 10;
/// The largest uncompressed records of a batch that the cleaner holds; a batch with more stays as it is.
pub const CLEANER_DECOMPRESSED_BYTES_MAX: usize = 16 << 20;
/// Bytes of a cleaned segment at most: Kafka's indexes hold 31-bit positions.
pub const CLEANED_SEGMENT_BYTES_MAX: u64 = (1 << 31) - 1;

const _: () = assert!(PRODUCERS_PER_PARTITION_MAX <= PRODUCERS_PER_SHARD_MAX);
const _: () =
    assert!(PARTITIONS_PER_SHARD_MAX as u64 * BLOCK_BYTES as u64 <= JOURNAL_FILE_BYTES / 2);
const _: () =
    assert!(PARTITIONS_SERVED_PER_SHARD_MAX as u64 * BLOCK_BYTES as u64 <= 2 * JOURNAL_FILE_BYTES);
const _: () = assert!(BYPASS_RUN_BYTES_MIN * 2 < JOURNAL_GROUP_BYTES_MAX as u64);
const _: () = assert!(JOURNAL_GROUP_BYTES_MAX as u64 * 2 <= JOURNAL_FIRST_FILE_BYTES);
