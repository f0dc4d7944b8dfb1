//! `meta.properties`: who a log directory belongs to, in Kafka's form, with our own keys beside.

use std::path::Path;

use crate::disk::{FileSystem, FileSystemError};
use crate::journal::group::JournalSalt;

pub const FILE_NAME: &str = "meta.properties";
/// Version of everything below a data directory; a node refuses directories of a newer one.
pub const FORMAT_VERSION: u32 = 1;
const FILE_BYTES_MAX: u64 = 64 << 10;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaProperties {
    pub cluster_id: String,
    pub node_id: i32,
    pub directory_id: String,
    pub format: u32,
    /// Incarnation of the newest start.
    pub incarnation: u64,
    pub salt: JournalSalt,
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

    fn encode(&self) -> String {
        format!(
            "version=1\ncluster.id={}\nnode.id={}\ndirectory.id={}\ncorelane.format={}\n\
             corelane.incarnation={}\ncorelane.journal.salt={:016x}\n",
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
        })
    }
}
