//! What the broker, the client and the host used: counters of the kernel, read twice and subtracted.
//!
//! * `process`: CPU, memory and writes of a process; finding the process that listens on a port
//! * `host`: the machine's CPU, time stolen by a hypervisor, pressure
//! * `stages`: where the broker says that its time goes
//! * `device`: what reached the disk below the broker's files
//! * `meter`: the same second by second
//!
//! All is read below a root, so that tests read recorded trees. On loopback the sender's thread does the receiver's
//! protocol work in the kernel, so what a broker receives is partly paid by the client: both are shown.

mod device;
mod host;
mod meter;
mod process;
mod stages;

use std::collections::BTreeMap;
use std::net::{IpAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::failure::Failure;

pub use device::DeviceUsage;
pub use host::HostUsage;
pub use meter::{Meter, UsedSecond};
pub use process::ProcessUsage;
pub use stages::{StageTime, Stages};

/// What is watched in a run.
#[derive(Clone, Debug)]
pub struct Watched {
    root: PathBuf,
    broker: Option<u32>,
    /// `major:minor` of the device that holds the broker's files.
    device: Option<String>,
    /// `HOST:PORT` of the broker's metrics.
    metrics: Option<String>,
}

/// All counters at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub broker: Option<ProcessUsage>,
    pub client: ProcessUsage,
    /// CPU seconds by thread of the client.
    pub client_threads: BTreeMap<u32, f64>,
    pub host: HostUsage,
    pub device: Option<DeviceUsage>,
    pub stages: Option<Stages>,
}

/// Between two moments.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Used {
    pub broker_cpu_seconds: Option<f64>,
    pub broker_peak_memory_bytes: Option<u64>,
    /// How much more of files stood in the machine's memory in the end: those of a broker that writes through the
    /// page cache, and of everybody else.
    pub page_cache_growth_bytes: u64,
    /// As the kernel ascribes it to the process: write-back of a page cache is not in it.
    pub broker_written_bytes: Option<u64>,
    pub client_cpu_seconds: f64,
    /// CPU seconds of the client's busiest thread.
    pub client_thread_cpu_seconds_max: f64,
    pub host_cpu_seconds: f64,
    /// Of all CPUs' time, what neither the broker nor the client used: other programs, and what the kernel does
    /// for the broker in threads of its own, write-back of a page cache above all.
    pub other_cpu_percent: Option<f64>,
    pub steal_percent: f64,
    /// Share of the time in which somebody waited for the disk.
    pub io_pressure_percent: Option<f64>,
    pub cpu_pressure_percent: Option<f64>,
    pub device_written_bytes: Option<u64>,
    pub device_read_bytes: Option<u64>,
    pub device_flushes: Option<u64>,
    /// Where the broker's time went, if it says so.
    pub stages: Vec<StageTime>,
}

impl Watched {
    /// `bootstrap` is where the broker listens; its process is watched when that is here, or when it is named.
    #[must_use]
    pub fn find(bootstrap: &str, broker: Option<u32>) -> Self {
        let root = PathBuf::from("/");
        let broker = broker.or_else(|| process::listening_on(&root, local_port(bootstrap)?));
        let device = broker.and_then(|pid| device::below_files_of(&root, pid));
        Self { root, broker, device, metrics: None }
    }

    /// The broker's metrics are read, too. An address where nobody answers is an error now rather than later.
    pub fn with_metrics(self, address: Option<&str>) -> Result<Self, Failure> {
        address.map(Stages::read).transpose()?;
        Ok(Self { metrics: address.map(str::to_owned), ..self })
    }

    #[must_use]
    pub const fn broker(&self) -> Option<u32> {
        self.broker
    }

    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let client_threads = process::thread_cpu(&self.root, std::process::id());
        let stages = self.metrics.as_deref().and_then(|address| Stages::read(address).ok());
        Snapshot { client_threads, stages, ..self.glance() }
    }

    /// Without the client's threads, which may be many: for every second of a run.
    #[must_use]
    pub fn glance(&self) -> Snapshot {
        Snapshot {
            broker: self.broker.and_then(|pid| process::usage(&self.root, pid)),
            client: process::usage(&self.root, std::process::id()).unwrap_or_default(),
            client_threads: BTreeMap::new(),
            stages: None,
            host: host::usage(&self.root),
            device: self.device.as_ref().and_then(|device| device::usage(&self.root, device)),
        }
    }
}

impl Snapshot {
    /// What was used since `before`, which was `seconds` earlier.
    #[must_use]
    pub fn since(&self, before: &Self, seconds: f64) -> Used {
        let broker = self.broker.zip(before.broker);
        let device = self.device.zip(before.device);
        let threads = self
            .client_threads
            .iter()
            .map(|(thread, cpu)| cpu - before.client_threads.get(thread).copied().unwrap_or(0.0));
        let all = (self.host.total_seconds - before.host.total_seconds).max(f64::MIN_POSITIVE);
        let pressure = |now: Option<f64>, then: Option<f64>| Some((now? - then?) / seconds * 100.0);
        let broker_cpu = broker.map(|(now, then)| now.cpu_seconds - then.cpu_seconds);
        let client_cpu = self.client.cpu_seconds - before.client.cpu_seconds;
        let busy = self.host.busy_seconds - before.host.busy_seconds;
        Used {
            broker_cpu_seconds: broker_cpu,
            other_cpu_percent: broker_cpu
                .map(|cpu| ((busy - cpu - client_cpu) / all * 100.0).max(0.0)),
            broker_peak_memory_bytes: broker.map(|(now, _)| now.peak_memory_bytes),
            page_cache_growth_bytes: self
                .host
                .page_cache_bytes
                .saturating_sub(before.host.page_cache_bytes),
            broker_written_bytes: broker.map(|(now, then)| now.written_bytes - then.written_bytes),
            client_cpu_seconds: client_cpu,
            client_thread_cpu_seconds_max: threads.fold(0.0, f64::max),
            host_cpu_seconds: busy,
            steal_percent: (self.host.steal_seconds - before.host.steal_seconds) / all * 100.0,
            io_pressure_percent: pressure(
                self.host.io_pressure_seconds,
                before.host.io_pressure_seconds,
            ),
            cpu_pressure_percent: pressure(
                self.host.cpu_pressure_seconds,
                before.host.cpu_pressure_seconds,
            ),
            device_written_bytes: device.map(|(now, then)| now.written_bytes - then.written_bytes),
            device_read_bytes: device.map(|(now, then)| now.read_bytes - then.read_bytes),
            device_flushes: device.map(|(now, then)| now.flushes - then.flushes),
            stages: match (&self.stages, &before.stages) {
                (Some(now), Some(then)) => now.since(then),
                _ => Vec::new(),
            },
        }
    }
}

/// The port, where the address is this machine's.
fn local_port(bootstrap: &str) -> Option<u16> {
    let first = bootstrap.split(',').next()?.trim();
    let addresses: Vec<_> = first.to_socket_addrs().ok()?.collect();
    let is_local = |ip: IpAddr| ip.is_loopback() || std::net::TcpListener::bind((ip, 0)).is_ok();
    addresses.iter().find(|address| is_local(address.ip())).map(std::net::SocketAddr::port)
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{HostUsage, ProcessUsage, Snapshot, Watched, local_port};

    #[test]
    fn what_was_used_is_the_difference() {
        let process = |cpu_seconds, written_bytes| ProcessUsage {
            cpu_seconds,
            written_bytes,
            peak_memory_bytes: 7,
            resident_bytes: 5,
        };
        let host = |steal_seconds| HostUsage {
            steal_seconds,
            busy_seconds: steal_seconds * 12.5,
            total_seconds: 100.0 + steal_seconds * 50.0,
            ..HostUsage::default()
        };
        let before = Snapshot {
            broker: Some(process(1.0, 10)),
            host: host(0.0),
            client_threads: [(1, 1.0), (2, 1.0)].into(),
            ..Snapshot::default()
        };
        let after = Snapshot {
            broker: Some(process(3.5, 110)),
            host: host(1.0),
            client_threads: [(1, 1.5), (2, 1.1), (3, 0.2)].into(),
            ..Snapshot::default()
        };
        let used = after.since(&before, 10.0);
        assert_eq!(used.broker_cpu_seconds, Some(2.5));
        assert_eq!(used.broker_written_bytes, Some(100));
        assert_eq!(used.client_thread_cpu_seconds_max, 0.5);
        assert_eq!(used.steal_percent, 2.0);
        assert_eq!(used.other_cpu_percent, Some(20.0), "ten of fifty seconds");
        assert_eq!(used.device_written_bytes, None);
    }

    #[test]
    fn the_process_that_listens_here_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let bootstrap = listener.local_addr().unwrap().to_string();
        assert_eq!(local_port(&bootstrap), Some(listener.local_addr().unwrap().port()));
        let watched = Watched::find(&bootstrap, None);
        assert_eq!(watched.broker(), Some(std::process::id()));
        let snapshot = watched.snapshot();
        assert!(snapshot.broker.unwrap().peak_memory_bytes > 0);
        assert!(snapshot.host.total_seconds > 0.0);
        assert!(!snapshot.client_threads.is_empty());
        drop(listener);
        assert_eq!(Watched::find(&bootstrap, None).broker(), None);
    }
}
