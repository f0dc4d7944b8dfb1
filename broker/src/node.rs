//! A node: the order in which everything starts, serves and ends.
//!
//! ```text
//!   machine, limits ─► ports ─► lock ─► meta.properties ─► recover ─► metadata ─► owners ─► journals opened
//!     ─► shards ─► this start is committed ─► listen ─► old journals go ─► serve ─► drain ─► all durable ─► end
//! ```
//!
//! Nothing is served before the metadata log has this start; nothing is overwritten before every shard's
//! new journal is durable.
//!
//! * `error`: why a node does not start, one sentence each
//! * `data_directories`: lock, probe, identity
//! * `crowded`: more partitions on a shard than commands may bring about
//! * `assembly`: from what recovery found to what every shard starts from, over any file systems
//! * `recovery`: from data directories to what every shard starts from
//! * `own_properties`: what the node says of itself as broker properties
//! * `accepted_losses`: new leader epochs where a loss was accepted
//! * `memory_plan`: the limits of a shard, from its memory
//! * `large_batches`: topics that allow larger batches than memory takes
//! * `launch`: the shards' threads
//! * `leftovers`: files of earlier starts that go when this one is committed
//! * `serving`: the main thread while the node serves
//! * `signals`: SIGTERM and SIGINT
//! * `supervisor`: what systemd is told: ready, alive, stopping
//! * `log`: lines for the operator

mod accepted_losses;
pub mod assembly;
mod crowded;
mod data_directories;
mod error;
mod large_batches;
mod launch;
pub mod leftovers;
mod log;
mod memory_plan;
mod own_properties;
mod recovery;
mod serving;
mod signals;
mod supervisor;

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use engine::disk::planted::PlantedFault;
use runtime::socket::{listen_on, local_address};
use tuning::{DurabilityWanted, HostFacts, HostRoot, plan_shards, raise_soft_limits};

use crate::config::{Config, Listen};
use crate::limits::{BIND_MS_MAX, BIND_RETRY_MS, LISTEN_BACKLOG};
use data_directories::DataDirectories;
use log::Log;
use memory_plan::MemoryPlan;

pub use error::NodeError;

/// What a node says of itself when it is ready.
#[derive(Clone, Debug)]
pub struct Started {
    pub listen: Vec<SocketAddr>,
    /// What clients are told to connect to, each once.
    pub advertised: Vec<String>,
    pub admin: Option<SocketAddr>,
    pub data_dirs: Vec<PathBuf>,
    pub shards: usize,
}

/// Runs a node until it is told to stop; `started` is called when it is ready for clients.
pub fn run(config: Config, started: impl FnOnce(&Started)) -> Result<(), NodeError> {
    let begun = Instant::now();
    runtime::shard::prepare_process();
    let log = Log::new(config.log_format);
    // Before anything else: a signal that comes early ends the node in good order too.
    let signals = signals::Signals::new().map_err(|error| NodeError::Signals(error.into()))?;
    config.warnings.iter().for_each(|warning| log.warn(warning));
    if let Some(fault) = PlantedFault::of_this_process() {
        log.error(&format!("THIS NODE LOSES RECORDS ON PURPOSE: {fault:?} is planted in it"));
    }
    raise_soft_limits();
    let host = runtime::probe::check_host().map_err(NodeError::Machine)?;
    let facts = HostFacts::read(&HostRoot::live());
    let plan = plan_shards(&facts, config.shards.map(u32::from), config.memory)
        .map_err(NodeError::Plan)?;
    plan.notes.iter().for_each(|note| log.info(note));
    let listen = reserve_ports(&config.listen)?;
    let admin = config.admin.map(crate::admin::Admin::bind).transpose();
    let admin = admin.map_err(|(address, error)| NodeError::Listen { address, error })?;
    let durability = match config.durability {
        engine::config::Durability::Fsync => DurabilityWanted::Fsync,
        engine::config::Durability::Memory => DurabilityWanted::Memory,
    };
    let directories = DataDirectories::open(
        &config.data_dirs,
        durability,
        config.node_id,
        config.give_up_missing,
        &log,
    )?;
    let (free_bytes, open_files) = (directories.free_bytes_min(), host.open_files_max);
    let memory = MemoryPlan::new(&plan, free_bytes, open_files, config.pin_memory);
    log.info(&memory.to_string());
    let recovered = recovery::recover(&directories, &config, &listen, &plan, &memory, &log)?;
    let recovery_time = begun.elapsed();
    let summary = launch::Summary {
        listen: listen.iter().map(|listen| listen.address).collect(),
        advertised: recovered.advertised.clone(),
        recovery_time,
        from_journal: recovered.from_journal,
        begun,
        cpus: plan.data_shards.iter().map(|shard| shard.cpu.0).collect(),
    };
    let node = launch::launch(recovered, &plan, &memory, &directories, summary, &log)?;
    if config.pin_memory && !node.is_memory_registered {
        log.warn(&runtime::probe::registration_notice(host.locked_bytes_max));
    }
    serving::serve(node, directories, admin, &signals, &log, started)
}

/// Sees early whether the ports are free, and which ones were given where 0 was asked for.
fn reserve_ports(wanted: &[Listen]) -> Result<Vec<Listen>, NodeError> {
    let mut reserved = Vec::with_capacity(wanted.len());
    let mut taken = Vec::new();
    for listen in wanted {
        match bind(listen.address) {
            Ok((address, socket)) => {
                let mut listen = Listen { address, ..listen.clone() };
                if listen.advertised.port == 0 {
                    listen.advertised.port = address.port();
                }
                reserved.push(listen);
                // All at once, or two listeners on port 0 could get the same one.
                taken.push(socket);
            }
            // A machine without IPv6, mostly.
            Err(error) if listen.is_optional && error.kind() != io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(NodeError::Listen { address: listen.address, error }),
        }
    }
    Ok(reserved)
}

/// Tries for a while: the kernel lets go of a killed node's listeners some milliseconds after the process
/// is gone, because it takes the ring that held them apart behind it.
fn bind(address: SocketAddr) -> io::Result<(SocketAddr, OwnedFd)> {
    let end = Instant::now() + Duration::from_millis(BIND_MS_MAX);
    loop {
        let bound = listen_on(address, LISTEN_BACKLOG)
            .and_then(|socket| Ok((local_address(&socket)?, socket)));
        match bound {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < end => {
                thread::sleep(Duration::from_millis(BIND_RETRY_MS));
            }
            done => return done,
        }
    }
}
