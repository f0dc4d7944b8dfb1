//! Brokers under test: started fresh, timed, stopped, and nothing of them left behind.
//!
//! * `keeper`: a process between us and a broker, which ends the broker and removes its data whatever happens to us
//! * `corelane`: the `corelane` beside this program
//! * `kafka`: Apache Kafka as one node, as its own start script starts it
//! * `kafka_jars`: Apache Kafka from Maven Central, once
//! * `null`: one that keeps nothing
//! * `start_up`: until the first metadata answer and the first acknowledged record
//!
//! A broker is a value; starting it gives a [`Running`], and dropping that ends it. It is killed rather than asked:
//! its data are thrown away with it.

pub mod corelane;
pub mod kafka;
pub mod kafka_jars;
pub mod keeper;
pub mod null;
mod start_up;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use crate::failure::Failure;
use crate::results::comparison::StartUp;
use corelane::Corelane;
use kafka::Kafka;
use keeper::Kept;
use null::Null;

/// Every listener is on this machine alone.
pub(crate) const LOOPBACK: &str = "127.0.0.1";

/// Where brokers keep their data unless another folder is named.
pub const DATA_FOLDER_DEFAULT: &str = "bench-data";

/// Something that can be measured.
#[derive(Clone, Debug)]
pub enum Broker {
    Corelane(Corelane),
    Kafka(Kafka),
    /// Keeps nothing: what client, loopback and CRCs allow.
    Null(Null),
    /// Somebody else's, `HOST:PORT`: neither started nor stopped.
    Address(String),
}

/// Where brokers are started.
#[derive(Clone, Debug)]
pub struct Place {
    /// `corelane-bench`, which is the keeper of each.
    pub keeper: PathBuf,
    /// Each broker has a fresh folder below it.
    pub folder: PathBuf,
}

/// A broker that answers. Ends with this value.
#[derive(Debug)]
pub struct Running {
    pub bootstrap: String,
    /// Where it shows metrics.
    pub metrics: Option<String>,
    pub process: Option<u32>,
    pub start_up: Option<StartUp>,
    pub command: Vec<String>,
    pub configuration: Vec<(String, String)>,
    kept: Option<Kept>,
}

/// What to start, and what it was configured with.
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) configuration: Vec<(String, String)>,
    pub(crate) bootstrap: String,
    pub(crate) metrics: Option<String>,
}

impl Broker {
    /// Started with an empty data directory; comes back when it acknowledges records.
    pub fn start(
        &self,
        place: &Place,
        topic_configs: &[(String, String)],
    ) -> Result<Running, Failure> {
        let name = match self {
            Self::Address(bootstrap) => return Ok(Running::address(bootstrap)),
            Self::Corelane(_) => "corelane",
            Self::Kafka(_) => "kafka",
            Self::Null(_) => "null",
        };
        let folder = place.fresh_folder(name)?;
        let launch = match self {
            Self::Corelane(corelane) => corelane.launch(&folder),
            Self::Kafka(kafka) => kafka.launch(&folder),
            Self::Null(null) => null.launch(),
            Self::Address(_) => unreachable!("it was answered above"),
        };
        let launch = launch.inspect_err(|_| drop(std::fs::remove_dir_all(&folder)))?;
        let began = Instant::now();
        let mut kept = Kept::start(&place.keeper, &folder, &launch)?;
        let start_up = start_up::wait(&launch.bootstrap, began, topic_configs, &mut kept)?;
        let command = std::iter::once(launch.program.display().to_string());
        Ok(Running {
            bootstrap: launch.bootstrap,
            metrics: launch.metrics,
            process: Some(kept.process()),
            start_up: Some(start_up),
            command: command.chain(launch.arguments).collect(),
            configuration: launch.configuration,
            kept: Some(kept),
        })
    }
}

impl Running {
    fn address(bootstrap: &str) -> Self {
        Self {
            bootstrap: bootstrap.to_owned(),
            metrics: None,
            process: None,
            start_up: None,
            command: Vec::new(),
            configuration: Vec::new(),
            kept: None,
        }
    }

    /// Whether it ended by itself, and what it said last.
    #[must_use]
    pub fn ended(&self) -> Option<String> {
        let kept = self.kept.as_ref().filter(|kept| kept.has_ended())?;
        Some(kept.last_lines())
    }
}

impl Place {
    fn fresh_folder(&self, name: &str) -> Result<PathBuf, Failure> {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let folder = self.folder.join(format!("{name}-{}-{number}", std::process::id()));
        create(&folder)?;
        // A broker is told absolute paths.
        folder.canonicalize().map_err(|error| cannot_create(&folder, &error))
    }
}

fn create(folder: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).map_err(|error| cannot_create(folder, &error))
}

fn cannot_create(folder: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!(
        "{} cannot be made: {error}; name another folder with --data-dir",
        folder.display()
    ))
}

/// Ports that nobody listens on now. All are taken before the first is given back, so that they differ.
fn free_ports<const N: usize>() -> Result<[u16; N], Failure> {
    let listeners: Result<Vec<TcpListener>, _> =
        (0..N).map(|_| TcpListener::bind((LOOPBACK, 0))).collect();
    let ports = listeners.and_then(|listeners| {
        listeners.iter().map(|listener| listener.local_addr().map(|at| at.port())).collect()
    });
    let ports: Vec<u16> =
        ports.map_err(|error| Failure::new(format!("no port on {LOOPBACK} is free: {error}")))?;
    Ok(ports.try_into().expect("as many as were asked for"))
}

#[cfg(test)]
mod tests {
    use super::free_ports;

    #[test]
    fn free_ports_differ() {
        let [one, two, three] = free_ports().unwrap();
        assert!(one != two && two != three && one != three);
    }
}
