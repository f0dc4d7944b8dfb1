//! The seam to files: what the engine asks of a disk, and how it is told of the result.
//!
//! The core names files by [`FileId`]s that it binds to paths; hot reads and writes go to the ring,
//! everything compound (create, extend, sync, rename, unlink) is a [`Job`]: a list of steps that a
//! helper thread executes over a [`FileSystem`]. The simulation executes the very same steps over its
//! own file system, so every crash point between two steps is reachable there.

pub mod driver;
pub mod file_system;
pub mod job;
pub mod operation;
pub mod planted;
pub mod real;

pub use file_system::{DirectoryEntry, FileSystem, FileSystemError};
pub use job::execute;
pub use operation::{
    DirId, DiskClass, DiskEffect, DiskError, DiskEvent, DiskOp, DiskOutput, FileId, Job, OpId, Step,
};
