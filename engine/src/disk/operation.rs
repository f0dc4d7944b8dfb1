//! Disk operations and their completions, as values.

use std::path::PathBuf;

use bytes::Bytes;
use runtime::memory::Block;

use super::file_system::FileSystemError;

/// One operation of one engine; unique for the life of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OpId(pub u64);

/// A data file that the engine reads or writes through the ring; bound to a path by [`DiskOp::Bind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(pub u32);

/// A log directory of the node (one `--data-dir`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DirId(pub u16);

/// What a ring operation is for; each class has its own cap on operations in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DiskClass {
    /// Journal groups: acknowledgements wait for them. Uncapped.
    Journal,
    /// Large runs straight to their segment: acknowledgements wait for them too.
    Bypass,
    /// Segments written behind the journal.
    WriteBehind,
    /// Reads of consumers that are behind the memory tail.
    CatchUp,
    /// What nobody waits for: log compaction.
    Background,
}

/// What the engine asks for.
#[derive(Debug)]
pub enum DiskOp {
    /// From now on `file` is `path` below `dir`'s root. Has no completion.
    Bind { file: FileId, dir: DirId, path: PathBuf },
    /// `file` is not used any more; operations in flight still complete. Has no completion.
    Unbind { file: FileId },
    /// Direct write of `data` at `position`; every slice's address and length, and `position`, are
    /// multiples of 4 KiB. `durable` asks for RWF_DSYNC: complete means on stable storage.
    Write { file: FileId, position: u64, data: Vec<Bytes>, durable: bool, class: DiskClass },
    /// Direct read of `length` bytes (a multiple of 4 KiB, at most the block's capacity) at
    /// `position`. Fewer bytes come back at the end of the file.
    Read { file: FileId, position: u64, block: Block, length: usize, class: DiskClass },
    /// A compound operation of the file system.
    Job(Job),
}

/// Steps executed in order on one log directory; the first that fails ends the job.
#[derive(Debug)]
pub struct Job {
    pub dir: DirId,
    pub steps: Vec<Step>,
}

impl Job {
    /// Whether it takes long, and nothing else needs its file before it is done: such jobs follow each other, beside
    /// the others.
    #[must_use]
    pub fn prewrites(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Prewrite { .. }))
    }
}

/// One step of a job; paths are relative to the log directory's root.
#[derive(Clone, Debug)]
pub enum Step {
    /// Creates a directory; existing is fine.
    CreateDir(PathBuf),
    /// Makes entries created, renamed or removed in this directory durable.
    SyncDir(PathBuf),
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    /// Removes a file; absent is fine.
    RemoveFile(PathBuf),
    /// Removes a directory and the files in it; absent is fine.
    RemoveDir(PathBuf),
    /// Makes sure `path` exists with blocks allocated and size set from `from` to `to`.
    Allocate {
        path: PathBuf,
        from: u64,
        to: u64,
    },
    /// Writes zeros over the whole of `path` from 0 to `length`, so that later writes find written blocks.
    Prewrite {
        path: PathBuf,
        length: u64,
    },
    /// Direct write at a 4 KiB boundary of a multiple of 4 KiB.
    Write {
        path: PathBuf,
        position: u64,
        data: Bytes,
    },
    /// Creates or replaces a small file with exactly these bytes (not durable before a `Sync`).
    WriteFile {
        path: PathBuf,
        data: Bytes,
    },
    SetLength {
        path: PathBuf,
        length: u64,
    },
    /// Data and size of one file to stable storage.
    Sync(PathBuf),
    /// Everything written so far on the file system of this log directory to stable storage.
    SyncFileSystem,
    /// Reads a whole small file into the job's output; absent gives `None`.
    ReadFile {
        path: PathBuf,
        length_max: u64,
    },
    /// Ends the job with `NoSpace` unless this many bytes are free: what is left belongs to metadata,
    /// deletions and checkpoints.
    RequireFree(u64),
    /// Free bytes of the file system into the job's output.
    FreeBytes,
    /// Walks through a finished segment; the bytes of its `.index` and its `.timeindex` come into the job's
    /// output, none where a damaged batch is in the way.
    WalkIndex {
        directory: PathBuf,
        base_offset: i64,
        interval_bytes: u32,
    },
    /// Builds the offset and time index of a finished segment from its bytes.
    BuildIndex {
        directory: PathBuf,
        base_offset: i64,
        interval_bytes: u32,
    },
}

/// An operation on its way to the disk.
#[derive(Debug)]
pub struct DiskEffect {
    pub op: OpId,
    pub request: DiskOp,
}

/// What a completed operation brought.
#[derive(Debug)]
pub enum DiskOutput {
    Written,
    /// The block of the request and how many of its bytes were read.
    Read {
        block: Block,
        length: usize,
    },
    Done(JobOutput),
}

/// What the reading steps of a job brought.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct JobOutput {
    /// One entry for each `ReadFile` step and two for each `WalkIndex` step, in order.
    pub files: Vec<Option<Bytes>>,
    pub free_bytes: Option<u64>,
}

/// Why an operation failed.
pub type DiskError = FileSystemError;

/// The completion of one operation.
#[derive(Debug)]
pub struct DiskEvent {
    pub op: OpId,
    pub result: Result<DiskOutput, DiskError>,
}
