//! Performs a shard's disk effects in production: reads and writes on the ring, jobs and the opening of
//! files on the shard's helper threads.
//!
//! ```text
//!   Write, Read ─► file open? ─no─► helper: open ─► adopted by the ring ─┐
//!                      └──yes──► its class has room? ─► ring ─► completion ─► DiskEvent
//!   Job ─────────► helper, one after the other ────────────────────────────► DiskEvent
//! ```
//!
//! The helper thread works in the order of submission: so jobs on one directory follow each other, and a file
//! is opened after the job that creates it. Files are prewritten by a second one. Nothing here waits.
//!
//! * `classes`: which operations are in the kernel and which wait, by class.
//! * `pacing`: how much room the other classes get beside the journal.
//! * `files`: which file is open, under which descriptor, and since when it is idle.
//! * `threads`: the helpers, for what blocks.

mod classes;
mod files;
mod pacing;
#[cfg(test)]
mod tests;
mod threads;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use runtime::OsError;
use runtime::clock::Monotonic;
use runtime::mailbox::Bell;
use runtime::memory::Block;
use runtime::ring::{Completion, Ring, Token, WriteData, WriteRequest};
use rustix::fd::OwnedFd;
use rustix::io::Errno;

use self::classes::Classes;
use self::files::{FileKey, Files, Readiness};
use self::threads::{HelperResult, HelperTask, Helpers};
use super::file_system::FileSystemError;
use super::operation::{DirId, DiskClass, DiskEffect, DiskEvent, DiskOp, DiskOutput, OpId};
use super::planted::PlantedFault;
use super::real::RealFileSystem;

/// How many low bits of a token are the driver's; the caller's tag stands above.
const TOKEN_BITS: u32 = 56;

/// The disks of one shard.
#[derive(Debug)]
pub struct DiskDriver {
    dirs: HashMap<DirId, Arc<RealFileSystem>>,
    files: Files,
    classes: Classes<Transfer>,
    /// In the ring, by token.
    in_ring: HashMap<Token, InRing>,
    helpers: Helpers,
    tag: u8,
    next_token: u64,
}

/// Why a shard has no disks.
#[derive(Debug)]
pub enum DriverError {
    Directory {
        dir: DirId,
        error: FileSystemError,
    },
    /// The system gives no thread.
    Helper(io::Error),
}

/// A read or write of an open file.
#[derive(Debug)]
struct Transfer {
    op: OpId,
    file: FileKey,
    class: DiskClass,
    position: u64,
    kind: TransferKind,
}

#[derive(Debug)]
enum TransferKind {
    Write { data: Vec<Bytes>, durable: bool },
    Read { block: Block, length: usize },
}

#[derive(Debug)]
enum InRing {
    Transfer { op: OpId, file: FileKey, class: DiskClass, since: Monotonic },
    Close,
}

impl DiskDriver {
    /// `tag` stands in the highest byte of its tokens: [`DiskDriver::owns`] tells them from others'.
    /// `open_files_max` of the ring's descriptors are its own: sockets leave them alone. The directories are opened again: each shard is told of failed syncs by itself.
    pub fn start<'a>(
        name: &str,
        dirs: impl IntoIterator<Item = (DirId, &'a RealFileSystem)>,
        tag: u8,
        shard_bell: &Arc<Bell>,
        open_files_max: usize,
    ) -> Result<Self, DriverError> {
        let reopened = dirs.into_iter().map(|(dir, files)| match files.reopened() {
            Ok(files) => Ok((dir, Arc::new(files))),
            Err(error) => Err(DriverError::Directory { dir, error }),
        });
        Ok(Self {
            dirs: reopened.collect::<Result<_, _>>()?,
            files: Files::new(open_files_max),
            classes: Classes::new(),
            in_ring: HashMap::new(),
            helpers: Helpers::start(name, shard_bell).map_err(DriverError::Helper)?,
            tag,
            next_token: 0,
        })
    }

    /// Whether a completion of the ring belongs here.
    pub fn owns(&self, token: Token) -> bool {
        token.0 >> TOKEN_BITS == u64::from(self.tag)
    }

    /// Whether the helpers have nothing to say; the shard may sleep.
    pub fn is_idle(&self) -> bool {
        self.helpers.are_idle()
    }

    /// Operations that have not completed.
    pub fn in_flight(&self) -> usize {
        let jobs = self.helpers.outstanding();
        self.in_ring.len() + self.classes.waiting() + self.files.waiting() + jobs
    }

    /// Operations of a class in the kernel, and those that wait for it; for metrics.
    pub fn depth(&self, class: DiskClass) -> (usize, usize) {
        self.classes.depth(class)
    }

    /// How often the caps of classes are halved now, because the journal's writes take long; for metrics.
    pub fn halvings(&self) -> u32 {
        self.classes.halvings()
    }

    /// Starts an operation, or queues it where its class, the ring or a helper is full.
    pub fn submit(&mut self, ring: &mut Ring, effect: DiskEffect) {
        let op = effect.op;
        match effect.request {
            DiskOp::Bind { file, dir, path } => {
                assert!(self.dirs.contains_key(&dir), "{dir:?} is a log directory of the node");
                self.files.bind(file, dir, path);
            }
            DiskOp::Unbind { file } => {
                self.files.unbind(file);
                self.close_files(ring);
            }
            DiskOp::Write { file, position, data, durable, class } => {
                let file = self.files.key(file);
                let kind = TransferKind::Write { data, durable };
                self.begin(ring, Transfer { op, file, class, position, kind });
            }
            DiskOp::Read { file, position, block, length, class } => {
                let file = self.files.key(file);
                let kind = TransferKind::Read { block, length };
                self.begin(ring, Transfer { op, file, class, position, kind });
            }
            DiskOp::Job(job) => {
                let dir = Arc::clone(&self.dirs[&job.dir]);
                self.helpers.submit(HelperTask::Job { op, dir, job });
            }
        }
    }

    /// Takes a completion of the ring that it [owns](DiskDriver::owns).
    pub fn complete(&mut self, ring: &mut Ring, completion: Completion, out: &mut Vec<DiskEvent>) {
        let (token, result) = match completion {
            Completion::Written { token, data: _, result } => (
                token,
                result.map(|()| DiskOutput::Written).map_err(|error| failed("write", error)),
            ),
            Completion::Read { token, block, result } => {
                let read = result.map(|length| DiskOutput::Read { block, length });
                (token, read.map_err(|error| failed("read", error)))
            }
            Completion::Closed { token } => {
                let closed = self.in_ring.remove(&token);
                assert!(matches!(closed, Some(InRing::Close)), "closed what was being closed");
                self.files.closed();
                self.open_files();
                return;
            }
            other => panic!("the driver asks for no {other:?}"),
        };
        let Some(InRing::Transfer { op, file, class, since }) = self.in_ring.remove(&token) else {
            panic!("a completion of an operation in the ring")
        };
        out.push(DiskEvent { op, result });
        self.classes.finished(class, Monotonic::read().0.saturating_sub(since.0));
        self.files.finished(file);
        self.feed_ring(ring);
        self.close_files(ring);
        self.open_files();
    }

    /// Takes what the helpers have done. Called in each turn of the shard's loop: it also submits what
    /// found the ring full.
    pub fn poll(&mut self, ring: &mut Ring, out: &mut Vec<DiskEvent>) {
        let mut results = Vec::new();
        self.helpers.drain(&mut results);
        for result in results {
            match result {
                HelperResult::Done { event } => out.push(event),
                HelperResult::Opened { file, result } => self.opened(ring, file, result, out),
            }
        }
        self.feed_ring(ring);
        self.close_files(ring);
        self.open_files();
    }

    fn begin(&mut self, ring: &mut Ring, transfer: Transfer) {
        let (file, class) = (transfer.file, transfer.class);
        match self.files.begin(file, transfer) {
            Readiness::Open(transfer) => {
                self.classes.queue(class, transfer);
                self.feed_ring(ring);
            }
            Readiness::Waits => {
                self.close_files(ring);
                self.open_files();
            }
        }
    }

    /// Hands transfers of open files to the ring, as far as classes and ring have room.
    fn feed_ring(&mut self, ring: &mut Ring) {
        while ring.free_slots() > 0 {
            let Some(transfer) = self.classes.next() else { return };
            let Transfer { op, file, class, position, kind } = transfer;
            let descriptor = self.files.descriptor(file);
            let token = self.token();
            let since = Monotonic::read();
            self.in_ring.insert(token, InRing::Transfer { op, file, class, since });
            match kind {
                TransferKind::Write { data, durable } => {
                    let data = WriteData::Parts(data);
                    let durable = durable && !PlantedFault::NoDsync.is_planted();
                    ring.write(token, descriptor, WriteRequest { position, data, durable });
                }
                TransferKind::Read { block, length } => {
                    ring.read(token, descriptor, position, block, length);
                }
            }
        }
    }

    /// Asks for the opening of files that operations wait for, as far as open files are allowed.
    fn open_files(&mut self) {
        while let Some((file, dir, path)) = self.files.next_to_open() {
            let dir = Arc::clone(&self.dirs[&dir]);
            self.helpers.submit(HelperTask::Open { file, dir, path });
        }
    }

    /// Closes unbound files, and idle ones where others wait to be opened.
    fn close_files(&mut self, ring: &mut Ring) {
        while let Some(descriptor) = self.files.next_to_close() {
            let token = self.token();
            self.in_ring.insert(token, InRing::Close);
            ring.close(token, descriptor);
        }
    }

    fn opened(
        &mut self,
        ring: &mut Ring,
        file: FileKey,
        result: Result<OwnedFd, FileSystemError>,
        out: &mut Vec<DiskEvent>,
    ) {
        let adopted = result.and_then(|fd| ring.adopt(fd).map_err(|error| failed("open", error)));
        match adopted {
            Ok(descriptor) => {
                for transfer in self.files.opened(file, descriptor) {
                    self.classes.queue(transfer.class, transfer);
                }
            }
            Err(error) => {
                for transfer in self.files.open_failed(file) {
                    out.push(DiskEvent { op: transfer.op, result: Err(error.clone()) });
                }
            }
        }
    }

    fn token(&mut self) -> Token {
        self.next_token += 1;
        assert!(self.next_token >> TOKEN_BITS == 0, "2^56 operations take centuries");
        Token(u64::from(self.tag) << TOKEN_BITS | self.next_token)
    }
}

fn failed(call: &'static str, error: OsError) -> FileSystemError {
    match Errno::from_raw_os_error(error.raw()) {
        Errno::NOSPC | Errno::DQUOT => FileSystemError::NoSpace,
        errno => FileSystemError::Failed { errno: errno.raw_os_error(), call },
    }
}
