//! Recorded `/proc` and `/sys` trees of other machines, for tests: one text file a machine.
//!
//! ```text
//! # what machine this is
//! = /proc/self/cgroup          the lines up to the next sign are the file
//! 0::/
//! @ /sys/dev/block/254:0 -> ../../devices/vda        a link
//! ```
//!
//! `␀` stands for a zero byte, so that the files stay text.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::host_root::HostRoot;

pub(crate) const VIRTUAL_MACHINE: &str = include_str!("../testdata/two-core-virtual-machine.txt");
pub(crate) const DOCKER: &str = include_str!("../testdata/docker-container.txt");
pub(crate) const NUMA_SERVER: &str = include_str!("../testdata/numa-server.txt");

/// The same machines with all their settings: later files of a text replace earlier ones.
pub(crate) const TUNABLE_VIRTUAL_MACHINE: &str = concat!(
    include_str!("../testdata/two-core-virtual-machine.txt"),
    "\n",
    include_str!("../testdata/two-core-virtual-machine-settings.txt")
);
pub(crate) const TUNABLE_NUMA_SERVER: &str = concat!(
    include_str!("../testdata/numa-server.txt"),
    "\n",
    include_str!("../testdata/numa-server-settings.txt")
);

/// A tree on disk, gone with the value.
pub(crate) struct RecordedTree {
    folder: TempDir,
}

impl RecordedTree {
    pub(crate) fn unpack(text: &str) -> Self {
        let tree = Self { folder: tempfile::tempdir().expect("a folder") };
        let mut file: Option<(PathBuf, String)> = None;
        for line in text.lines() {
            if let Some(path) = line.strip_prefix("= ") {
                tree.write(file.replace((tree.place(path), String::new())));
            } else if let Some(link) = line.strip_prefix("@ ") {
                let (from, to) = link.split_once(" -> ").expect("a link leads somewhere");
                fs::create_dir_all(tree.place(from).parent().expect("below the root"))
                    .expect("a folder");
                symlink(to, tree.place(from)).expect("a link");
            } else if let Some((_, content)) = &mut file {
                content.push_str(&line.replace('␀', "\0"));
                content.push('\n');
            }
        }
        tree.write(file);
        tree
    }

    pub(crate) fn root(&self) -> HostRoot {
        HostRoot::at(self.folder.path())
    }

    /// Changes one file of the tree.
    pub(crate) fn with(self, path: &str, content: &str) -> Self {
        self.write(Some((self.place(path), content.to_owned())));
        self
    }

    /// All that is there: files with their content, links with where they lead, folders.
    pub(crate) fn snapshot(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.folder.path().to_path_buf()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).expect("a folder") {
                let entry = entry.expect("an entry");
                let kind = entry.file_type().expect("a kind");
                let content = if kind.is_dir() {
                    folders.push(entry.path());
                    Vec::new()
                } else if kind.is_symlink() {
                    fs::read_link(entry.path()).expect("a link").into_os_string().into_vec()
                } else {
                    fs::read(entry.path()).expect("a file")
                };
                found.insert(entry.path(), content);
            }
        }
        found
    }

    pub(crate) fn text(&self, path: &str) -> String {
        fs::read_to_string(self.place(path)).expect("a file of the tree")
    }

    pub(crate) fn place(&self, path: &str) -> PathBuf {
        self.folder.path().join(Path::new(path).strip_prefix("/").expect("an absolute path"))
    }

    fn write(&self, file: Option<(PathBuf, String)>) {
        let Some((path, content)) = file else { return };
        fs::create_dir_all(path.parent().expect("below the root")).expect("a folder");
        fs::write(path, content).expect("a file");
    }
}
