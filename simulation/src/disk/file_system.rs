//! The engine's file system in memory, with everything that a real one may do at a power cut.
//!
//! Shared by all shards of a node (one thread runs them all). A blocking call is submitted and
//! completes at once; the executor splits writes into both halves.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use broker::engine::disk::{DirectoryEntry, FileSystem, FileSystemError};

use super::fault::{Faults, Planted, Verdict};
use super::inode::{Change, ChangeId, Inode, Moment};
use super::namespace::{InodeId, Namespace, Node, ROOT};
use super::trace::Trace;
use crate::random::Random;

const EIO: i32 = 5;

/// Room is taken in blocks of this size.
const BLOCK_BYTES: u64 = 4096;

/// Data files are written in whole blocks only.
const DATA_FILES: [&str; 2] = ["log", "journal"];

#[derive(Debug)]
pub(crate) struct VirtualFileSystem {
    state: RefCell<State>,
}

#[derive(Debug)]
struct State {
    names: Namespace,
    files: BTreeMap<InodeId, Inode>,
    /// The next inode, change and moment.
    next: u64,
    capacity: u64,
    faults: Faults,
    random: Random,
    trace: Trace,
    /// A sync covers what completed up to here instead of up to now (it was submitted then).
    covered: Option<Moment>,
}

/// A write in flight.
#[derive(Clone, Copy, Debug)]
pub(super) struct WriteTicket {
    file: InodeId,
    change: ChangeId,
}

/// A read in flight.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadTicket(InodeId);

impl VirtualFileSystem {
    pub(crate) fn new(seed: u64, capacity: u64) -> Self {
        Self {
            state: RefCell::new(State {
                names: Namespace::default(),
                files: BTreeMap::new(),
                next: 1,
                capacity,
                faults: Faults::default(),
                random: Random::new(seed),
                trace: Trace::new(),
                covered: None,
            }),
        }
    }

    /// The power goes: what was not stable is kept, lost or torn. Faults end with it.
    pub(crate) fn power_cut(&self, random: &mut Random) {
        let mut state = self.state.borrow_mut();
        state.names.power_cut(random);
        for file in state.files.values_mut() {
            file.power_cut(random);
        }
        state.drop_unnamed();
        state.faults.clear();
        let now = state.next;
        state.trace.call("power cut", Path::new(""), now, random.clone().next_u64());
    }

    /// Prints every call from now on.
    pub(crate) fn be_loud(&self) {
        self.state.borrow_mut().trace.be_loud();
    }

    pub(crate) fn plant(&self, planted: Planted) {
        self.state.borrow_mut().faults.planted = planted;
    }

    pub(crate) fn set_capacity(&self, bytes: u64) {
        self.state.borrow_mut().capacity = bytes;
    }

    /// After `after` more operations one fails with EIO.
    pub(crate) fn fail_after(&self, after: u64) {
        self.state.borrow_mut().faults.fail_after(after);
    }

    /// Every operation on this file, or below this directory, fails with EIO.
    pub(crate) fn fail_file(&self, path: &Path) {
        self.state.borrow_mut().faults.fail_file(path);
    }

    /// After `after` more operations nothing happens any more: every call is told that it stopped.
    pub(crate) fn stop_after(&self, after: u64) {
        self.state.borrow_mut().faults.stop_after(after);
    }

    /// Whether the stop has come: nothing more happens.
    pub(crate) fn has_stopped(&self) -> bool {
        self.state.borrow().faults.has_stopped()
    }

    /// Room taken by files.
    pub(crate) fn used(&self) -> u64 {
        self.state.borrow().used()
    }

    /// All files with their lengths, in order.
    pub(crate) fn all_files(&self) -> Vec<(PathBuf, u64)> {
        let state = self.state.borrow();
        let mut found = Vec::new();
        let mut dirs = vec![(ROOT, PathBuf::new())];
        while let Some((dir, path)) = dirs.pop() {
            for (name, node) in state.names.entries(dir) {
                let path = path.join(name);
                match node {
                    Node::Dir(id) => dirs.push((id, path)),
                    Node::File(id) => found.push((path, state.files[&id].visible().length())),
                }
            }
        }
        found.sort();
        found
    }

    /// Ends all injected faults, the stop included; planted faults stay.
    pub(crate) fn clear_faults(&self) {
        self.state.borrow_mut().faults.clear();
    }

    pub(crate) fn flip_bit(&self, path: &Path, position: u64, bit: u8) {
        let mut state = self.state.borrow_mut();
        state.trace.call("flip", path, position, u64::from(bit));
        let id = state.file(path).expect("only a file that is there can rot");
        state.inode(id).flip(position, bit);
    }

    pub(crate) fn trace_hash(&self) -> u64 {
        self.state.borrow().trace.hash()
    }

    /// What a sync that is submitted now will cover.
    pub(super) fn now(&self) -> Moment {
        Moment(self.state.borrow().next)
    }

    /// Runs `steps` so that its syncs cover only what had completed at `submitted`.
    pub(super) fn covering<R>(&self, submitted: Moment, steps: impl FnOnce(&Self) -> R) -> R {
        self.state.borrow_mut().covered = Some(submitted);
        let result = steps(self);
        self.state.borrow_mut().covered = None;
        result
    }

    /// A direct write is on its way: from now on a power cut may keep it.
    pub(super) fn begin_write(
        &self,
        path: &Path,
        position: u64,
        data: Vec<u8>,
    ) -> Result<WriteTicket, FileSystemError> {
        let mut state = self.state.borrow_mut();
        state.trace.call("begin write", path, position, data.len() as u64);
        state.trace.bytes(&data);
        let begun = state.begin("write", path);
        stopped(&begun)?;
        let file = state.file(path)?;
        state.take_room(file, position + data.len() as u64)?;
        let change = state.start(file, Change::Write { position, data });
        if let Err(error) = begun {
            state.fail(file, change);
            return Err(error);
        }
        state.inode(file).opened += 1;
        Ok(WriteTicket { file, change })
    }

    /// A read is on its way.
    pub(super) fn begin_read(&self, path: &Path) -> Result<ReadTicket, FileSystemError> {
        let mut state = self.state.borrow_mut();
        state.trace.call("begin read", path, 0, 0);
        state.begin("read", path)?;
        let file = state.file(path)?;
        state.inode(file).opened += 1;
        Ok(ReadTicket(file))
    }

    /// The read completes: it sees the writes that completed before.
    pub(super) fn finish_read(&self, ticket: ReadTicket, position: u64, into: &mut [u8]) -> usize {
        let mut state = self.state.borrow_mut();
        let inode = state.inode(ticket.0);
        inode.opened -= 1;
        let read = inode.visible().read(position, into);
        state.trace.call("finish read", Path::new(""), ticket.0.0, position);
        state.trace.bytes(&into[..read]);
        read
    }

    /// The write has completed; as durable, it is stable.
    pub(super) fn finish_write(&self, ticket: WriteTicket, durable: bool) {
        let mut state = self.state.borrow_mut();
        state.trace.call("finish write", Path::new(""), ticket.file.0, u64::from(durable));
        let stable = durable && !state.faults.planted.durable_writes_are_plain;
        let now = state.tick();
        let inode = state.inode(ticket.file);
        inode.opened -= 1;
        inode.complete(ticket.change, now);
        if stable {
            inode.make_stable(ticket.change);
        }
    }
}

impl State {
    fn tick(&mut self) -> Moment {
        self.next += 1;
        Moment(self.next)
    }

    /// Counts an operation and says how it ends before it begins.
    fn begin(&mut self, call: &'static str, path: &Path) -> Result<(), FileSystemError> {
        match self.faults.judge(path) {
            Verdict::GoOn => Ok(()),
            Verdict::Fail => Err(FileSystemError::Failed { errno: EIO, call }),
            Verdict::Stop => Err(FileSystemError::Stopped),
        }
    }

    fn covered(&mut self) -> Moment {
        let now = self.tick();
        self.covered.unwrap_or(now)
    }

    fn file(&self, path: &Path) -> Result<InodeId, FileSystemError> {
        match self.names.find(path) {
            Some(Node::File(id)) => Ok(id),
            Some(Node::Dir(_)) => Err(FileSystemError::Failed { errno: 21, call: "open" }),
            None => Err(FileSystemError::NotFound),
        }
    }

    fn dir(&self, path: &Path) -> Result<InodeId, FileSystemError> {
        match self.names.find(path) {
            Some(Node::Dir(id)) => Ok(id),
            Some(Node::File(_)) => Err(FileSystemError::Failed { errno: 20, call: "open" }),
            None => Err(FileSystemError::NotFound),
        }
    }

    fn file_or_new(&mut self, path: &Path) -> Result<InodeId, FileSystemError> {
        match self.file(path) {
            Err(FileSystemError::NotFound) => {}
            found => return found,
        }
        let key = self.names.key(path).ok_or(FileSystemError::NotFound)?;
        let now = self.tick();
        let id = InodeId(now.0);
        self.files.insert(id, Inode::default());
        self.names.add(key, Node::File(id), now);
        Ok(id)
    }

    fn inode(&mut self, id: InodeId) -> &mut Inode {
        self.files.get_mut(&id).expect("a name or an open file leads to an inode")
    }

    fn start(&mut self, file: InodeId, change: Change) -> ChangeId {
        let id = ChangeId(self.tick().0);
        self.inode(file).begin(id, change);
        id
    }

    fn fail(&mut self, file: InodeId, change: ChangeId) {
        let mut random = self.random.fork();
        self.inode(file).fail(change, &mut random);
    }

    /// A change that completes at once, unless it is to fail.
    fn change(
        &mut self,
        file: InodeId,
        change: Change,
        begun: Result<(), FileSystemError>,
    ) -> Result<(), FileSystemError> {
        let id = self.start(file, change);
        if let Err(error) = begun {
            self.fail(file, id);
            return Err(error);
        }
        let now = self.tick();
        self.inode(file).complete(id, now);
        Ok(())
    }

    fn used(&self) -> u64 {
        let named: BTreeSet<InodeId> = self.names.visible_files().collect();
        named.iter().map(|id| self.files[id].allocated).sum()
    }

    fn take_room(&mut self, file: InodeId, to: u64) -> Result<(), FileSystemError> {
        let to = to.next_multiple_of(BLOCK_BYTES);
        let own = self.files[&file].allocated;
        if to <= own {
            return Ok(());
        }
        if self.used() + (to - own) > self.capacity {
            return Err(FileSystemError::NoSpace);
        }
        self.inode(file).allocated = to;
        Ok(())
    }

    fn set_length(
        &mut self,
        file: InodeId,
        length: u64,
        begun: Result<(), FileSystemError>,
    ) -> Result<(), FileSystemError> {
        self.change(file, Change::SetLength(length), begun)?;
        let inode = self.inode(file);
        inode.allocated = inode.allocated.min(length.next_multiple_of(BLOCK_BYTES));
        Ok(())
    }

    /// Files that no name leads to, and that no operation holds open, are gone.
    fn drop_unnamed(&mut self) {
        let named = self.names.files();
        self.files.retain(|id, inode| named.contains(id) || inode.opened > 0);
    }
}

impl FileSystem for VirtualFileSystem {
    fn entries(&self, dir: &Path) -> Result<Vec<DirectoryEntry>, FileSystemError> {
        let mut state = self.state.borrow_mut();
        state.trace.call("entries", dir, 0, 0);
        state.begin("readdir", dir)?;
        let id = state.dir(dir)?;
        let mut entries: Vec<DirectoryEntry> = state
            .names
            .entries(id)
            .map(|(name, node)| DirectoryEntry {
                name: PathBuf::from(name),
                is_dir: matches!(node, Node::Dir(_)),
                length: match node {
                    Node::File(id) => state.files[&id].visible().length(),
                    Node::Dir(_) => 0,
                },
            })
            .collect();
        entries.sort();
        Ok(entries)
    }

    fn create_dir(&self, dir: &Path) -> Result<(), FileSystemError> {
        let mut state = self.state.borrow_mut();
        state.trace.call("create dir", dir, 0, 0);
        state.begin("mkdir", dir)?;
        if dir.as_os_str().is_empty() || state.names.find(dir).is_some() {
            return Ok(());
        }
        let key = state.names.key(dir).ok_or(FileSystemError::NotFound)?;
        let now = state.tick();
        state.names.add(key, Node::Dir(InodeId(now.0)), now);
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> Result<(), FileSystemError> {
        let mut state = self.state.borrow_mut();
        state.trace.call("sync dir", dir, 0, 0);
        state.begin("fsync of a directory", dir)?;
        let id = state.dir(dir)?;
        let covered = state.covered();
        if !state.faults.planted.directory_syncs_do_nothing {
            state.names.sync(id, covered);
            state.drop_unnamed();
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), FileSystemError> {
        let mut state = self.state.borrow_mut();
        state.trace.call("rename", from, 0, 0);
        state.trace.call("to", to, 0, 0);
        state.begin("rename", from)?;
        let node = state.names.find(from).ok_or(FileSystemError::NotFound)?;
        match (node, state.names.find(to)) {
            (Node::File(_), Some(Node::Dir(_))) => {
                return Err(FileSystemError::Failed { errno: 21, call: "rename" });
            }
            (Node::Dir(_), Some(Node::Dir(id))) if state.names.entries(id).next().is_some() => {
                return Err(FileSystemError::Failed { errno: 39, call: "rename" });
            }
            (Node::Dir(_), Some(Node::File(_))) => {
                return Err(FileSystemError::Failed { errno: 20, call: "rename" });
            }
            _ => {}
        }
        let from = state.names.key(from).ok_or(FileSystemError::NotFound)?;
        let to = state.names.key(to).ok_or(FileSystemError::NotFound)?;
        if from != to {
            let now = state.tick();
            state.names.rename(from, to, now);
        }
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> Result<(), FileSystemError> {
        let mut state = self.state.borrow_mut();
        state.trace.call("remove file", path, 0, 0);
        state.begin("unlink", path)?;
        match state.file(path) {
            Ok(_) => {}
            Err(FileSystemError::NotFound) => return Ok(()),
            Err(error) => return Err(error),
        }
        let key = state.names.key(path).ok_or(FileSystemError::NotFound)?;
        let now = state.tick();
        state.names.remove(key, now);
        Ok(())
    }

    fn remove_dir(&self, dir: &Path) -> Result<(), FileSystemError> {
        let mut state = self.state.borrow_mut();
        state.trace.call("remove dir", dir, 0, 0);
        state.begin("rmdir", dir)?;
        let id = match state.dir(dir) {
            Ok(id) => id,
            Err(FileSystemError::NotFound) => return Ok(()),
            Err(error) => return Err(error),
        };
        if id == ROOT || state.names.entries(id).next().is_some() {
            return Err(FileSystemError::Failed { errno: 39, call: "rmdir" });
        }
        let key = state.names.key(dir).ok_or(FileSystemError::NotFound)?;
        let now = state.tick();
        state.names.remove(key, now);
        Ok(())
    }

    fn length(&self, path: &Path) -> Result<u64, FileSystemError> {
        let mut state = self.state.borrow_mut();
        state.trace.call("length", path, 0, 0);
        state.begin("stat", path)?;
        let id = state.file(path)?;
        Ok(state.inode(id).visible().length())
    }

    fn read(&self, path: &Path, position: u64, into: &mut [u8]) -> Result<usize, FileSystemError> {
        let mut state = self.state.borrow_mut();
        state.trace.call("read", path, position, into.len() as u64);
        state.begin("read", path)?;
        let id = state.file(path)?;
        let read = state.inode(id).visible().read(position, into);
        state.trace.bytes(&into[..read]);
        Ok(read)
    }

    fn write(&self, path: &Path, position: u64, data: &[u8]) -> Result<(), FileSystemError> {
        if is_data_file(path) {
            assert!(position.is_multiple_of(BLOCK_BYTES), "data files are written in whole blocks");
            assert!(
                (data.len() as u64).is_multiple_of(BLOCK_BYTES),
                "data files are written in whole blocks"
            );
        }
        let mut state = self.state.borrow_mut();
        state.trace.call("write", path, position, data.len() as u64);
        state.trace.bytes(data);
        let begun = state.begin("write", path);
        stopped(&begun)?;
        let id = state.file_or_new(path)?;
        state.take_room(id, position + data.len() as u64)?;
        state.change(id, Change::Write { position, data: data.to_vec() }, begun)
    }

    fn write_file(&self, path: &Path, data: &[u8]) -> Result<(), FileSystemError> {
        let mut state = self.state.borrow_mut();
        state.trace.call("write file", path, 0, data.len() as u64);
        state.trace.bytes(data);
        let begun = state.begin("write", path);
        stopped(&begun)?;
        let id = state.file_or_new(path)?;
        state.set_length(id, 0, begun.clone())?;
        state.take_room(id, data.len() as u64)?;
        state.change(id, Change::Write { position: 0, data: data.to_vec() }, begun)
    }

    fn allocate(&self, path: &Path, from: u64, to: u64) -> Result<(), FileSystemError> {
        let mut state = self.state.borrow_mut();
        state.trace.call("allocate", path, from, to);
        state.begin("fallocate", path)?;
        let id = state.file_or_new(path)?;
        if to <= from {
            return Ok(());
        }
        state.take_room(id, to)?;
        let length = state.inode(id).visible().length();
        if to > length { state.change(id, Change::SetLength(to), Ok(())) } else { Ok(()) }
    }

    fn set_length(&self, path: &Path, length: u64) -> Result<(), FileSystemError> {
        let mut state = self.state.borrow_mut();
        state.trace.call("set length", path, length, 0);
        let begun = state.begin("ftruncate", path);
        stopped(&begun)?;
        let id = state.file(path)?;
        state.set_length(id, length, begun)
    }

    fn sync(&self, path: &Path) -> Result<(), FileSystemError> {
        let mut state = self.state.borrow_mut();
        state.trace.call("sync", path, 0, 0);
        let begun = state.begin("fsync", path);
        stopped(&begun)?;
        let id = state.file(path)?;
        let covered = state.covered();
        if begun.is_err() {
            state.inode(id).fail_sync(covered);
        } else if !state.faults.planted.syncs_do_nothing {
            state.inode(id).sync(covered);
        }
        begun
    }

    fn sync_file_system(&self) -> Result<(), FileSystemError> {
        let mut state = self.state.borrow_mut();
        state.trace.call("sync file system", Path::new(""), 0, 0);
        let begun = state.begin("syncfs", Path::new(""));
        stopped(&begun)?;
        let covered = state.covered();
        let fail = begun.is_err();
        if state.faults.planted.file_system_syncs_do_nothing {
            return begun;
        }
        for inode in state.files.values_mut() {
            if fail { inode.fail_sync(covered) } else { inode.sync(covered) }
        }
        if !fail {
            state.names.sync_all(covered);
            state.drop_unnamed();
        }
        begun
    }

    fn free_bytes(&self) -> Result<u64, FileSystemError> {
        let mut state = self.state.borrow_mut();
        state.begin("statvfs", Path::new(""))?;
        Ok(state.capacity.saturating_sub(state.used()))
    }
}

fn is_data_file(path: &Path) -> bool {
    path.extension().is_some_and(|extension| DATA_FILES.iter().any(|data| extension == *data))
}

/// A stopped process does not even do half of it.
fn stopped(begun: &Result<(), FileSystemError>) -> Result<(), FileSystemError> {
    if *begun == Err(FileSystemError::Stopped) { Err(FileSystemError::Stopped) } else { Ok(()) }
}
