//! `meta.properties`: who a log directory belongs to, in Kafka's form, with our own keys beside.

use std::path::Path;

use crate::disk::{FileSystem, FileSystemError};
use crate::journal::group::JournalSalt;

pub const FILE_NAME: &str = "meta.properties";
/// Version of everything below a data directory; a node refuses directories of a newer one.
pub const FORMAT_VERSION: u32 = 1;
const FILE_BYTES_MAX: u64 = 64 << 10;
/// Before the id of a log directory; its value is the path.
const DIRECTORY_KEY: &str = "corelane.directory.";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaProperties {
    pub cluster_id: String,
    pub node_id: i32,
    pub directory_id: String,
    pub format: u32,
    /// Incarnation of the newest start.
    pub incarnation: u64,
    pub salt: JournalSalt,
    /// All log directories of the newest start. A node without one of them would miss journals.
    pub directories: Vec<KnownDirectory>,
}

/// A log directory as another one of the node remembers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownDirectory {
    /// Its `directory.id`.
    pub id: String,
    /// Where it was.
    pub path: String,
}

/// Why `meta.properties` cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetaError {
    FileSystem(FileSystemError),
    /// Written by a newer version.
    NewerFormat {
        found: u32,
    },
    /// Not what this file looks like; holds the key that is missing or senseless.
    Damaged {
        key: &'static str,
    },
}

impl From<FileSystemError> for MetaError {
    fn from(error: FileSystemError) -> Self {
        Self::FileSystem(error)
    }
}

impl MetaProperties {
    /// `None` for a directory that is new.
    pub fn read(fs: &dyn FileSystem) -> Result<Option<Self>, MetaError> {
        let file = crate::disk::job::read_file(fs, Path::new(FILE_NAME), FILE_BYTES_MAX)?;
        file.map(|bytes| Self::decode(&bytes)).transpose()
    }

    /// Replaces the file as one, durable when it returns.
    pub fn write(&self, fs: &dyn FileSystem) -> Result<(), FileSystemError> {
        let temporary = Path::new("meta.properties.new");
        fs.write_file(temporary, self.encode().as_bytes())?;
        fs.sync(temporary)?;
        fs.rename(temporary, Path::new(FILE_NAME))?;
        fs.sync_dir(Path::new(""))
    }

    /// The directories that the newest of these files know of, and that none of them is of.
    pub fn missing<'a>(given: &[&'a Self]) -> Vec<&'a KnownDirectory> {
        let newest = given.iter().map(|meta| meta.incarnation).max();
        let is_given = |id: &str| given.iter().any(|meta| meta.directory_id == id);
        let newest = given.iter().filter(|meta| Some(meta.incarnation) == newest);
        let known = newest.flat_map(|meta| &meta.directories);
        let mut missing: Vec<&KnownDirectory> = known.filter(|one| !is_given(&one.id)).collect();
        missing.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        missing.dedup_by(|a, b| a.id == b.id);
        missing
    }

    fn encode(&self) -> String {
        let directories = self.directories.iter().map(|known| {
            let KnownDirectory { id, path } = known;
            format!("{DIRECTORY_KEY}{id}={}\n", path.replace('\n', " "))
        });
        let directories: String = directories.collect();
        format!(
            "version=1\ncluster.id={}\nnode.id={}\ndirectory.id={}\ncorelane.format={}\n\
             corelane.incarnation={}\ncorelane.journal.salt={:016x}\n{directories}",
            self.cluster_id,
            self.node_id,
            self.directory_id,
            self.format,
            self.incarnation,
            self.salt.0
        )
    }

    fn decode(bytes: &[u8]) -> Result<Self, MetaError> {
        let text = std::str::from_utf8(bytes).map_err(|_| MetaError::Damaged { key: "text" })?;
        let value = |key: &'static str| {
            text.lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
                .map(str::trim)
                .ok_or(MetaError::Damaged { key })
        };
        let number =
            |key: &'static str| value(key)?.parse::<u64>().map_err(|_| MetaError::Damaged { key });
        let format = u32::try_from(number("corelane.format")?)
            .map_err(|_| MetaError::Damaged { key: "corelane.format" })?;
        if format > FORMAT_VERSION {
            return Err(MetaError::NewerFormat { found: format });
        }
        let node_id =
            value("node.id")?.parse().map_err(|_| MetaError::Damaged { key: "node.id" })?;
        let salt = u64::from_str_radix(value("corelane.journal.salt")?, 16)
            .map_err(|_| MetaError::Damaged { key: "corelane.journal.salt" })?;
        Ok(Self {
            cluster_id: value("cluster.id")?.to_owned(),
            node_id,
            directory_id: value("directory.id")?.to_owned(),
            format,
            incarnation: number("corelane.incarnation")?,
            salt: JournalSalt(salt),
            directories: text.lines().filter_map(KnownDirectory::decode).collect(),
        })
    }
}

impl KnownDirectory {
    fn decode(line: &str) -> Option<Self> {
        let (id, path) = line.strip_prefix(DIRECTORY_KEY)?.split_once('=')?;
        Some(Self { id: id.trim().to_owned(), path: path.trim().to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::{FORMAT_VERSION, KnownDirectory, MetaProperties};
    use crate::journal::group::JournalSalt;

    fn meta(directory_id: &str, incarnation: u64, known: &[&str]) -> MetaProperties {
        let known = known.iter().map(|id| {
            let (id, path) = ((*id).to_owned(), format!("/mnt/a={id}, b"));
            KnownDirectory { id, path }
        });
        MetaProperties {
            cluster_id: "cluster".to_owned(),
            node_id: 1,
            directory_id: directory_id.to_owned(),
            format: FORMAT_VERSION,
            incarnation,
            salt: JournalSalt(7),
            directories: known.collect(),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for written in [meta("one", 3, &["one", "two"]), meta("one", 1, &[])] {
            assert_eq!(MetaProperties::decode(written.encode().as_bytes()), Ok(written));
        }
    }

    #[test]
    fn a_directory_that_the_newest_start_had_is_missed() {
        let both = ["one", "two"];
        let (one, two) = (meta("one", 5, &both), meta("two", 5, &both));
        let missing = |given: &[&MetaProperties]| -> Vec<String> {
            MetaProperties::missing(given).iter().map(|known| known.id.clone()).collect()
        };
        let nothing: [&str; 0] = [];
        assert_eq!(missing(&[&one, &two]), nothing);
        assert_eq!(missing(&[&one]), ["two"]);
        assert_eq!(missing(&[&two]), ["one"]);
        // It went on without the other one, which then came back.
        let alone = meta("one", 9, &["one"]);
        assert_eq!(missing(&[&alone, &two]), nothing);
        assert_eq!(missing(&[]), nothing);
        let three = ["one", "three", "two"];
        let (one, two) = (meta("one", 5, &three), meta("two", 5, &three));
        assert_eq!(missing(&[&one, &two]), ["three"]);
    }
}
