//! The configuration file.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use engine::config::{DiskConfig, Durability};
use serde::Deserialize;
use tuning::{ByteCount, CalibrationRecord};

use super::LogFormat;
use super::disk::DiskKeys;

/// Why the file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileError {
    Read {
        path: PathBuf,
        why: String,
    },
    /// Holds the parser's words, with line and column.
    Parse {
        path: PathBuf,
        why: String,
    },
    Value {
        path: PathBuf,
        key: &'static str,
        given: String,
        wanted: &'static str,
    },
    /// A value that is no text, number or truth.
    Property {
        path: PathBuf,
        name: String,
    },
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, why } => {
                write!(f, "{} cannot be read: {why}; give --config another file", path.display())
            }
            Self::Parse { path, why } => write!(f, "{}: {}", path.display(), why.trim_end()),
            Self::Value { path, key, given, wanted } => {
                write!(f, "{}: {key} = {given:?} should be {wanted}", path.display())
            }
            Self::Property { path, name } => {
                write!(f, "{}: {name} should be a text, a number, true or false", path.display())
            }
        }
    }
}

impl std::error::Error for FileError {}

/// What the file says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct File {
    pub(super) data_dirs: Vec<PathBuf>,
    pub(super) listen: Vec<String>,
    pub(super) advertise: Vec<String>,
    pub(super) admin: Option<String>,
    pub(super) shards: Option<u16>,
    pub(super) memory: Option<ByteCount>,
    pub(super) node_id: Option<i32>,
    pub(super) durability: Option<Durability>,
    pub(super) log_format: Option<LogFormat>,
    pub(super) pin_memory: Option<bool>,
    pub(super) disk: DiskConfig,
    /// What `tune calibrate` says of the disk.
    pub(super) calibrated: Option<CalibrationRecord>,
    /// Kafka's properties, dotted.
    pub(super) kafka: Vec<(String, String)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Keys {
    #[serde(default, alias = "data_dir")]
    data_dir: OneOrMore,
    #[serde(default)]
    listen: OneOrMore,
    #[serde(default)]
    advertise: OneOrMore,
    admin: Option<String>,
    shards: Option<u16>,
    memory: Option<String>,
    #[serde(alias = "node_id")]
    node_id: Option<i32>,
    durability: Option<String>,
    #[serde(alias = "log_format")]
    log_format: Option<String>,
    #[serde(alias = "pin_memory")]
    pin_memory: Option<bool>,
    #[serde(default)]
    disk: DiskKeys,
    #[serde(default)]
    kafka: toml::Table,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl Default for OneOrMore {
    fn default() -> Self {
        Self::More(Vec::new())
    }
}

impl From<OneOrMore> for Vec<String> {
    fn from(given: OneOrMore) -> Self {
        match given {
            OneOrMore::One(one) => vec![one],
            OneOrMore::More(more) => more,
        }
    }
}

pub(super) fn read(path: &Path) -> Result<File, FileError> {
    let text = fs::read_to_string(path)
        .map_err(|error| FileError::Read { path: path.into(), why: error.to_string() })?;
    parse(path, &text)
}

pub(super) fn parse(path: &Path, text: &str) -> Result<File, FileError> {
    let keys: Keys = toml::from_str(text)
        .map_err(|error| FileError::Parse { path: path.into(), why: error.to_string() })?;
    let value =
        |key, given: String, wanted| FileError::Value { path: path.into(), key, given, wanted };
    let memory = keys
        .memory
        .map(|given| given.parse().map_err(|_| value("memory", given, "a size such as \"16GiB\"")));
    let durability = keys.durability.map(|given| match given.as_str() {
        "fsync" => Ok(Durability::Fsync),
        "memory" => Ok(Durability::Memory),
        _ => Err(value("durability", given, "\"fsync\" or \"memory\"")),
    });
    let log_format = keys.log_format.map(|given| match given.as_str() {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(value("log-format", given, "\"text\" or \"json\"")),
    });
    let mut kafka = Vec::new();
    flatten(path, "", &keys.kafka, &mut kafka)?;
    let calibrated = keys.disk.calibrated();
    Ok(File {
        data_dirs: Vec::from(keys.data_dir).into_iter().map(PathBuf::from).collect(),
        listen: keys.listen.into(),
        advertise: keys.advertise.into(),
        admin: keys.admin,
        shards: keys.shards,
        memory: memory.transpose()?,
        node_id: keys.node_id,
        durability: durability.transpose()?,
        log_format: log_format.transpose()?,
        pin_memory: keys.pin_memory,
        disk: keys.disk.config(path)?,
        calibrated,
        kafka,
    })
}

/// `log.retention.ms = 1` is a table in a table in TOML; Kafka's names have the dots in them.
fn flatten(
    path: &Path,
    prefix: &str,
    table: &toml::Table,
    into: &mut Vec<(String, String)>,
) -> Result<(), FileError> {
    for (key, value) in table {
        let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        let text = match value {
            toml::Value::Table(table) => {
                flatten(path, &name, table, into)?;
                continue;
            }
            toml::Value::String(text) => text.clone(),
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Float(number) => number.to_string(),
            toml::Value::Boolean(truth) => truth.to_string(),
            toml::Value::Datetime(_) | toml::Value::Array(_) => {
                return Err(FileError::Property { path: path.into(), name });
            }
        };
        into.push((name, text));
    }
    Ok(())
}
