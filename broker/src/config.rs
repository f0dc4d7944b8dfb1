//! Flags, environment and file to one checked configuration.
//!
//! A flag comes before the environment, the environment before the file; the command line has merged the
//! first two when they arrive here as [`Settings`]. Whatever is not known in the file is refused by name.
//!
//! ```toml
//! data-dir = ["/mnt/a", "/mnt/b"]
//! listen = ["0.0.0.0:9092"]
//! advertise = ["broker1.example.com:9092"]
//! memory = "16GiB"
//! pin-memory = true
//!
//! [disk]                        # written by `corelane tune calibrate`
//! journal-groups-in-flight = 4
//!
//! [kafka]                       # Kafka's broker properties, with Kafka's names
//! log.retention.hours = 72
//! auto.create.topics.enable = false
//! ```

mod addresses;
mod disk;
mod file;
mod outline;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use coordinator::topic_config::{ConfigError as PropertyError, StaticBrokerConfig};
use engine::config::{DiskConfig, Durability};
use protocol::Str;
use tuning::{ByteCount, CalibrationRecord};

pub use addresses::{AddressError, Advertised};
pub use file::FileError;
pub use outline::ConfigOutline;

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

/// What flags and environment say; what they leave open comes from the file, then from the defaults.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub config_file: Option<PathBuf>,
    pub data_dirs: Vec<PathBuf>,
    pub listen: Vec<String>,
    pub advertise: Vec<String>,
    pub admin: Option<String>,
    pub shards: Option<u16>,
    pub memory: Option<ByteCount>,
    pub node_id: Option<i32>,
    pub durability: Option<Durability>,
    pub log_format: Option<LogFormat>,
    pub pin_memory: Option<bool>,
    /// Data directories of before that are not given are given up.
    pub give_up_missing: bool,
}

/// A socket to listen on, and where clients are told to find it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    pub name: String,
    pub address: SocketAddr,
    pub advertised: Advertised,
    /// One of the defaults: done without where the machine lacks its address family.
    pub is_optional: bool,
}

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    pub data_dirs: Vec<PathBuf>,
    pub listen: Vec<Listen>,
    /// `None`: no admin address.
    pub admin: Option<SocketAddr>,
    pub shards: Option<u16>,
    pub memory: Option<ByteCount>,
    /// `None`: that of the data directory, or 1 where it is new.
    pub node_id: Option<i32>,
    pub durability: Durability,
    pub log_format: LogFormat,
    pub give_up_missing: bool,
    pub pin_memory: bool,
    /// How journals and segments are written.
    pub disk: DiskConfig,
    /// Kafka's broker properties of the file.
    pub properties: StaticBrokerConfig,
    /// Sentences that the operator should see.
    pub warnings: Vec<String>,
}

/// Why there is no configuration; each names what to change.
#[derive(Clone, Debug, PartialEq)]
pub enum ConfigError {
    File(FileError),
    Address(AddressError),
    Property(PropertyError),
    /// The node has a key and a flag of its own for it.
    OwnProperty {
        name: String,
        instead: &'static str,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => error.fmt(f),
            Self::Address(error) => error.fmt(f),
            Self::Property(error) => write!(f, "in [kafka] of the configuration file: {error}"),
            Self::OwnProperty { name, instead } => write!(
                f,
                "in [kafka] of the configuration file: {name} is not set there; set {instead}"
            ),
        }
    }
}

impl std::error::Error for ConfigError {}

/// Properties that say who and where the node is, and what sets them here.
const OWN_PROPERTIES: &[(&str, &str)] = &[
    ("advertised.listeners", "advertise = [\"HOST:PORT\"] above [kafka], or --advertise HOST:PORT"),
    ("broker.id", "node-id = N above [kafka], or --node-id N"),
    ("listeners", "listen = [\"HOST:PORT\"] above [kafka], or --listen HOST:PORT"),
    ("log.dir", "data-dir = [\"DIR\"] above [kafka], or --data-dir DIR"),
    ("log.dirs", "data-dir = [\"DIR\"] above [kafka], or --data-dir DIR"),
    ("node.id", "node-id = N above [kafka], or --node-id N"),
];

const DATA_DIR: &str = "./corelane-data";
const ADMIN: &str = "127.0.0.1:9644";

/// The node does as it is told either way: only the operator can find out what the host does with a flush.
const UNVERIFIED_DURABILITY: &str = "the durability of this disk is unverified: when it was calibrated its flushes \
     took no time; ask who runs the host whether they reach the disk, then repeat `corelane tune calibrate`";

impl Config {
    pub fn load(settings: Settings) -> Result<Self, ConfigError> {
        let file = match &settings.config_file {
            Some(path) => file::read(path).map_err(ConfigError::File)?,
            None => file::File::default(),
        };
        Self::merge(settings, file)
    }

    fn merge(settings: Settings, file: file::File) -> Result<Self, ConfigError> {
        let or = |given: Vec<String>, of_file: Vec<String>| {
            if given.is_empty() { of_file } else { given }
        };
        let data_dirs = data_dirs(settings.data_dirs, file.data_dirs);
        let listen = or(settings.listen, file.listen);
        let advertise = or(settings.advertise, file.advertise);
        let mut warnings = Vec::new();
        let listen = addresses::listeners(&listen, &advertise, &mut warnings)
            .map_err(ConfigError::Address)?;
        let admin = settings.admin.or(file.admin).unwrap_or_else(|| ADMIN.to_owned());
        let admin = match admin.as_str() {
            "none" | "off" => None,
            admin => Some(addresses::admin(admin).map_err(ConfigError::Address)?),
        };
        let durability = settings.durability.or(file.durability).unwrap_or_default();
        let is_doubted = file.calibrated.as_ref().is_some_and(CalibrationRecord::is_flush_doubted);
        if is_doubted && durability == Durability::Fsync {
            warnings.push(UNVERIFIED_DURABILITY.to_owned());
        }
        let properties = properties(file.kafka, durability)?;
        Ok(Self {
            data_dirs,
            listen,
            admin,
            shards: settings.shards.or(file.shards),
            memory: settings.memory.or(file.memory),
            node_id: settings.node_id.or(file.node_id),
            durability,
            log_format: settings.log_format.or(file.log_format).unwrap_or_default(),
            give_up_missing: settings.give_up_missing,
            pin_memory: settings.pin_memory.or(file.pin_memory).unwrap_or_default(),
            disk: file.disk,
            properties,
            warnings,
        })
    }
}

/// What flags and environment give, else the file, else the default.
fn data_dirs(given: Vec<PathBuf>, of_file: Vec<PathBuf>) -> Vec<PathBuf> {
    let chosen = if given.is_empty() { of_file } else { given };
    if chosen.is_empty() { vec![PathBuf::from(DATA_DIR)] } else { chosen }
}

/// Kafka's properties of the file, and the node's durability as the default of all topics.
fn properties(
    mut kafka: Vec<(String, String)>,
    durability: Durability,
) -> Result<StaticBrokerConfig, ConfigError> {
    for (name, _) in &kafka {
        if let Some((_, instead)) = OWN_PROPERTIES.iter().find(|(own, _)| own == name) {
            return Err(ConfigError::OwnProperty { name: name.clone(), instead });
        }
    }
    const DURABILITY: &str = "corelane.durability";
    if durability == Durability::Memory && kafka.iter().all(|entry| entry.0 != DURABILITY) {
        kafka.push((DURABILITY.to_owned(), "memory".to_owned()));
    }
    let entries = kafka.into_iter();
    StaticBrokerConfig::new(entries.map(|(name, value)| (Str::from(name), Str::from(value))))
        .map_err(ConfigError::Property)
}

#[cfg(test)]
mod tests;
