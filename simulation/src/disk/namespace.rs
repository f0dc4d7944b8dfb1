//! Names in directories: what the program sees, what is on stable storage, and the changes in between.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Component, Path};

use super::inode::Moment;
use crate::random::Random;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct InodeId(pub(super) u64);

/// The root of the log directory: always there.
pub(super) const ROOT: InodeId = InodeId(0);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    File(InodeId),
    Dir(InodeId),
}

/// A directory and a name in it.
pub(super) type Key = (InodeId, OsString);

type Names = BTreeMap<Key, Node>;

/// One change of names; happens whole or not at all.
#[derive(Clone, Debug)]
enum Change {
    Add { key: Key, node: Node },
    Remove { key: Key },
    Rename { from: Key, to: Key, node: Node },
}

#[derive(Clone, Debug)]
struct Pending {
    change: Change,
    completed: Moment,
    /// Directories whose sync it still waits for. Empty: stable, and waits for earlier ones in the list.
    waits_for: BTreeSet<InodeId>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Namespace {
    visible: Names,
    stable: Names,
    /// In order; begins with one that is not stable.
    pending: Vec<Pending>,
}

impl Change {
    fn apply(&self, names: &mut Names) {
        match self {
            Self::Add { key, node } => {
                names.insert(key.clone(), *node);
            }
            Self::Remove { key } => {
                names.remove(key);
            }
            Self::Rename { from, to, node } => {
                names.remove(from);
                names.insert(to.clone(), *node);
            }
        }
    }

    fn directories(&self) -> BTreeSet<InodeId> {
        match self {
            Self::Add { key, .. } | Self::Remove { key } => BTreeSet::from([key.0]),
            Self::Rename { from, to, .. } => BTreeSet::from([from.0, to.0]),
        }
    }
}

impl Namespace {
    /// The directory that `path` is in and its name there. `None`: no such directory.
    pub(super) fn key(&self, path: &Path) -> Option<Key> {
        let name = path.file_name().expect("a path of a file or a directory below the root");
        let Node::Dir(parent) = self.find(path.parent()?)? else { return None };
        Some((parent, name.to_owned()))
    }

    pub(super) fn find(&self, path: &Path) -> Option<Node> {
        path.components().try_fold(Node::Dir(ROOT), |node, component| {
            let Component::Normal(name) = component else {
                panic!("paths are relative to the root and plain: {}", path.display())
            };
            let Node::Dir(parent) = node else { return None };
            self.visible.get(&(parent, name.to_owned())).copied()
        })
    }

    pub(super) fn entries(&self, dir: InodeId) -> impl Iterator<Item = (&OsString, Node)> {
        let from = (dir, OsString::new());
        self.visible
            .range(from..)
            .take_while(move |((parent, _), _)| *parent == dir)
            .map(|((_, name), node)| (name, *node))
    }

    pub(super) fn add(&mut self, key: Key, node: Node, now: Moment) {
        self.change(Change::Add { key, node }, now);
    }

    pub(super) fn remove(&mut self, key: Key, now: Moment) {
        self.change(Change::Remove { key }, now);
    }

    pub(super) fn rename(&mut self, from: Key, to: Key, now: Moment) {
        let node = self.visible[&from];
        self.change(Change::Rename { from, to, node }, now);
    }

    fn change(&mut self, change: Change, now: Moment) {
        change.apply(&mut self.visible);
        let waits_for = change.directories();
        self.pending.push(Pending { change, completed: now, waits_for });
    }

    /// All changes of names in `dir` that completed up to `covered` are stable; one between two
    /// directories once both were synced.
    pub(super) fn sync(&mut self, dir: InodeId, covered: Moment) {
        for pending in &mut self.pending {
            if pending.completed <= covered {
                pending.waits_for.remove(&dir);
            }
        }
        self.settle();
    }

    pub(super) fn sync_all(&mut self, covered: Moment) {
        for pending in &mut self.pending {
            if pending.completed <= covered {
                pending.waits_for.clear();
            }
        }
        self.settle();
    }

    fn settle(&mut self) {
        let stable = self.pending.iter().take_while(|pending| pending.waits_for.is_empty()).count();
        for pending in self.pending.drain(..stable) {
            pending.change.apply(&mut self.stable);
        }
    }

    /// Each change that is not stable is kept or lost by itself.
    pub(super) fn power_cut(&mut self, random: &mut Random) {
        for pending in std::mem::take(&mut self.pending) {
            if pending.waits_for.is_empty() || random.coin() {
                pending.change.apply(&mut self.stable);
            }
        }
        self.visible = self.stable.clone();
    }

    /// Files that some name, seen or stable or yet to be, still leads to.
    pub(super) fn files(&self) -> BTreeSet<InodeId> {
        let pending = self.pending.iter().filter_map(|pending| match &pending.change {
            Change::Add { node, .. } | Change::Rename { node, .. } => Some(*node),
            Change::Remove { .. } => None,
        });
        let named = self.visible.values().chain(self.stable.values()).copied();
        named
            .chain(pending)
            .filter_map(|node| match node {
                Node::File(id) => Some(id),
                Node::Dir(_) => None,
            })
            .collect()
    }

    pub(super) fn visible_files(&self) -> impl Iterator<Item = InodeId> {
        self.visible.values().filter_map(|node| match node {
            Node::File(id) => Some(*id),
            Node::Dir(_) => None,
        })
    }
}
