//! The data files of a shard: which are open, and who waits for which.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::mem;
use std::path::PathBuf;

use runtime::ring::Descriptor;

use super::Transfer;
use crate::disk::operation::{DirId, FileId};

/// One binding of a file; outlives its [`FileId`] while operations are in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FileKey(u64);

/// Invariants: `open` counts the files that are opening, open or closing, and never exceeds the
/// limit; `idle` holds exactly the open files without operations.
#[derive(Debug)]
pub(super) struct Files {
    keys: HashMap<FileId, FileKey>,
    files: HashMap<FileKey, File>,
    /// Closed files that operations wait for, in order.
    to_open: VecDeque<FileKey>,
    /// Files without a binding, idle: to be closed.
    to_close: Vec<Descriptor>,
    /// Open files without operations by the time of their last one.
    idle: BTreeMap<u64, FileKey>,
    open: usize,
    /// Of these, how many are closing.
    closing: usize,
    open_max: usize,
    /// Counts bindings and uses.
    clock: u64,
    waiting: usize,
}

#[derive(Debug)]
struct File {
    dir: DirId,
    path: PathBuf,
    state: State,
    bound: bool,
}

#[derive(Debug)]
enum State {
    Closed,
    /// Waits in `to_open`, or for the helper.
    Opening(Vec<Transfer>),
    Open {
        descriptor: Descriptor,
        operations: usize,
        last_used: u64,
    },
}

/// Whether an operation can go to the ring.
#[derive(Debug)]
pub(super) enum Readiness {
    Open(Transfer),
    /// It waits for the opening of its file.
    Waits,
}

impl Files {
    pub(super) fn new(open_max: usize) -> Self {
        Self {
            keys: HashMap::new(),
            files: HashMap::new(),
            to_open: VecDeque::new(),
            to_close: Vec::new(),
            idle: BTreeMap::new(),
            open: 0,
            closing: 0,
            open_max,
            clock: 0,
            waiting: 0,
        }
    }

    /// Operations that wait for the opening of their file.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    #[cfg(test)]
    pub(super) fn open(&self) -> usize {
        self.open
    }

    pub(super) fn bind(&mut self, id: FileId, dir: DirId, path: PathBuf) {
        self.clock += 1;
        let key = FileKey(self.clock);
        let before = self.keys.insert(id, key);
        assert!(before.is_none(), "{id:?} is bound once");
        self.files.insert(key, File { dir, path, state: State::Closed, bound: true });
    }

    pub(super) fn unbind(&mut self, id: FileId) {
        let key = self.keys.remove(&id).expect("only what is bound is unbound");
        self.file(key).bound = false;
        self.forget_if_unused(key);
    }

    pub(super) fn key(&self, id: FileId) -> FileKey {
        *self.keys.get(&id).expect("operations name files that are bound")
    }

    pub(super) fn descriptor(&self, key: FileKey) -> Descriptor {
        match self.files[&key].state {
            State::Open { descriptor, .. } => descriptor,
            _ => panic!("an operation keeps its file open"),
        }
    }

    /// One more operation on the file.
    pub(super) fn begin(&mut self, key: FileKey, transfer: Transfer) -> Readiness {
        let file = self.files.get_mut(&key).expect("a bound file");
        match &mut file.state {
            State::Open { operations, last_used, .. } => {
                if *operations == 0 {
                    self.idle.remove(last_used);
                }
                *operations += 1;
                return Readiness::Open(transfer);
            }
            State::Opening(waiting) => waiting.push(transfer),
            State::Closed => {
                file.state = State::Opening(vec![transfer]);
                self.to_open.push_back(key);
            }
        }
        self.waiting += 1;
        Readiness::Waits
    }

    /// An operation on an open file has completed.
    pub(super) fn finished(&mut self, key: FileKey) {
        self.clock += 1;
        let now = self.clock;
        let State::Open { operations, last_used, .. } = &mut self.file(key).state else {
            panic!("an operation keeps its file open")
        };
        assert!(*operations > 0, "what finishes was in flight");
        *operations -= 1;
        if *operations == 0 {
            *last_used = now;
            self.idle.insert(now, key);
            self.forget_if_unused(key);
        }
    }

    /// The next file to open, if one more may be.
    pub(super) fn next_to_open(&mut self) -> Option<(FileKey, DirId, PathBuf)> {
        if self.open >= self.open_max {
            return None;
        }
        let key = self.to_open.pop_front()?;
        self.open += 1;
        let file = self.file(key);
        Some((key, file.dir, file.path.clone()))
    }

    /// The next file to close: unbound, or idle longest while others wait to be opened.
    pub(super) fn next_to_close(&mut self) -> Option<Descriptor> {
        let descriptor = self.to_close.pop().or_else(|| self.evict())?;
        self.closing += 1;
        Some(descriptor)
    }

    fn evict(&mut self) -> Option<Descriptor> {
        let room = self.open_max - self.open + self.closing;
        if self.to_open.len() <= room {
            return None;
        }
        let (_, key) = self.idle.pop_first()?;
        match mem::replace(&mut self.file(key).state, State::Closed) {
            State::Open { descriptor, operations: 0, .. } => Some(descriptor),
            other => panic!("idle files are open: {other:?}"),
        }
    }

    /// A descriptor is closed.
    pub(super) fn closed(&mut self) {
        assert!(self.open > 0 && self.closing > 0, "what is closed was open");
        self.open -= 1;
        self.closing -= 1;
    }

    /// The file is open; gives the operations that waited for it.
    pub(super) fn opened(&mut self, key: FileKey, descriptor: Descriptor) -> Vec<Transfer> {
        let waiting = self.take_waiting(key);
        let operations = waiting.len();
        assert!(operations > 0, "a file is opened for an operation");
        self.file(key).state = State::Open { descriptor, operations, last_used: 0 };
        waiting
    }

    /// The file could not be opened; gives the operations that fail with it. The next one tries again.
    pub(super) fn open_failed(&mut self, key: FileKey) -> Vec<Transfer> {
        self.open -= 1;
        let waiting = self.take_waiting(key);
        self.forget_if_unused(key);
        waiting
    }

    fn take_waiting(&mut self, key: FileKey) -> Vec<Transfer> {
        match mem::replace(&mut self.file(key).state, State::Closed) {
            State::Opening(waiting) => {
                self.waiting -= waiting.len();
                waiting
            }
            other => panic!("only a file that is opening opens: {other:?}"),
        }
    }

    fn file(&mut self, key: FileKey) -> &mut File {
        self.files.get_mut(&key).expect("a file lives until it is unbound and unused")
    }

    fn forget_if_unused(&mut self, key: FileKey) {
        let file = self.file(key);
        if file.bound {
            return;
        }
        match file.state {
            State::Open { descriptor, operations: 0, last_used } => {
                self.idle.remove(&last_used);
                self.to_close.push(descriptor);
                self.files.remove(&key);
            }
            State::Closed => {
                self.files.remove(&key);
            }
            State::Open { .. } | State::Opening(_) => {}
        }
    }
}
