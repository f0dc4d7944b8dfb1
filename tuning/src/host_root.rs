//! The folder below which `/proc` and `/sys` are read: `/` on a machine, a recorded tree in a test.
//!
//! A file that is missing, unreadable or malformed is a fact that is not known (`None`), never an
//! error: containers hide any of these files.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::byte_count::ByteCount;
use crate::limits::HOST_FILE_BYTES_MAX;

/// Where the host's files begin.
#[derive(Clone, Debug)]
pub struct HostRoot {
    path: PathBuf,
}

impl HostRoot {
    /// The machine that we run on.
    pub fn live() -> Self {
        Self::at("/")
    }

    /// A recorded tree: `path/proc`, `path/sys`.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The place of an absolute path of the host.
    pub fn place(&self, absolute: impl AsRef<Path>) -> PathBuf {
        let absolute = absolute.as_ref();
        self.path.join(absolute.strip_prefix("/").unwrap_or(absolute))
    }

    pub(crate) fn exists(&self, absolute: impl AsRef<Path>) -> bool {
        self.place(absolute).exists()
    }

    /// Whether this is the machine that we run on, and no recorded tree.
    pub fn is_live(&self) -> bool {
        self.path == Path::new("/")
    }

    /// The file's text without trailing white space; bytes that are no UTF-8 are replaced.
    pub(crate) fn text(&self, absolute: impl AsRef<Path>) -> Option<String> {
        self.reading(absolute).ok()
    }

    /// The same, with why it cannot be read.
    pub(crate) fn reading(&self, absolute: impl AsRef<Path>) -> io::Result<String> {
        let file = File::open(self.place(absolute))?;
        let mut bytes = Vec::new();
        file.take(HOST_FILE_BYTES_MAX).read_to_end(&mut bytes)?;
        let mut text = String::from_utf8_lossy(&bytes).into_owned();
        text.truncate(text.trim_end().len());
        Ok(text)
    }

    /// The file as one number (or whatever parses from its trimmed text).
    pub(crate) fn value<T: FromStr>(&self, absolute: impl AsRef<Path>) -> Option<T> {
        self.text(absolute)?.trim().parse().ok()
    }

    /// Names in a folder, sorted; empty where there is none.
    pub(crate) fn names(&self, absolute: impl AsRef<Path>) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.place(absolute)) else { return Vec::new() };
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    /// Where a link of the tree leads, as an absolute path of the host.
    pub(crate) fn resolve(&self, absolute: impl AsRef<Path>) -> Option<PathBuf> {
        let real = self.place(absolute).canonicalize().ok()?;
        let root = self.path.canonicalize().ok()?;
        real.strip_prefix(root).ok().map(|below| Path::new("/").join(below))
    }
}

/// The value behind `name:` in a text of such lines (`/proc/meminfo`, `/proc/self/status`).
pub(crate) fn field<'text>(text: &'text str, name: &str) -> Option<&'text str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim())
    })
}

/// The same where it is a size, as `/proc/meminfo` writes them: `32 kB`.
pub(crate) fn kibibytes(text: &str, name: &str) -> Option<ByteCount> {
    let kib = field(text, name)?.strip_suffix("kB")?.trim().parse::<u64>().ok()?;
    kib.checked_mul(1024).map(ByteCount)
}
