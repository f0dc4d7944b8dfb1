//! Starts the shards' threads, waits until this start is committed, then lets clients in.

use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use engine::disk::driver::{DiskDriver, DriverError};
use engine::recovery::FromJournal;
use net::ListenerId;
use runtime::clock::Now;
use runtime::mailbox::{Mailbox, mesh};
use runtime::shard::{Placement, ShardConfig, ShardHandle, StartingShard, start};
use tuning::{CpuId, ShardPlan};

use super::data_directories::DataDirectories;
use super::log::Log;
use super::memory_plan::{MemoryPlan, ShardLimits};
use super::recovery::Recovered;
use super::{NodeError, accepted_losses};
use crate::limits::MAILBOX_SLOTS;
use crate::shard::mail::{Mail, ShardIndex};
use crate::shard::start::{NodeFacts, Role, ShardStart};
use crate::shard::{Shard, client_limits};
use crate::shell::{DISK_TAG, Parcel, Shell, ShellParts};

/// What is shown of a node.
#[derive(Clone, Debug)]
pub(super) struct Summary {
    pub(super) listen: Vec<SocketAddr>,
    pub(super) advertised: Vec<String>,
    pub(super) recovery_time: Duration,
    pub(super) from_journal: FromJournal,
    pub(super) begun: Instant,
    /// By data shard.
    pub(super) cpus: Vec<u32>,
}

/// A running node, as its main thread holds it.
pub(super) struct RunningNode {
    pub(super) facts: NodeFacts,
    pub(super) mailbox: Mailbox<Parcel>,
    pub(super) shards: Vec<ShardHandle>,
    pub(super) summary: Summary,
    /// The memory of all data shards is pinned and registered with the kernel.
    pub(super) is_memory_registered: bool,
}

pub(super) fn launch(
    recovered: Recovered,
    plan: &ShardPlan,
    memory: &MemoryPlan,
    directories: &DataDirectories,
    summary: Summary,
    log: &Log,
) -> Result<RunningNode, NodeError> {
    let facts = recovered.starts[0].node.clone();
    let endpoints = usize::from(facts.endpoints());
    let mut mailboxes = mesh(endpoints, MAILBOX_SLOTS).map_err(NodeError::Mailboxes)?;
    let mailbox = mailboxes.pop().expect("the last mailbox is the main thread's");
    let mut starting = Vec::with_capacity(recovered.starts.len());
    for (shard_start, mailbox) in recovered.starts.into_iter().zip(mailboxes) {
        let is_controller = shard_start.node.me == facts.controller();
        let data_shard = plan.data_shards.get(usize::from(shard_start.node.me.0));
        let (limits, cpu) = match data_shard {
            Some(shard) => (&memory.data, shard.cpu),
            None => (&memory.dedicated, plan.control_cpu),
        };
        let placement = is_controller.then(|| {
            let (shards, each) = (usize::from(facts.data_shards), memory.data.net.connections_max);
            let allowed = client_limits::connections_max(&shard_start.metadata);
            net::Placement::new(shards, allowed.min(shards * each), each)
        });
        let launched = launch_shard(shard_start, mailbox, limits, cpu, placement, directories)?;
        starting.push((launched, data_shard.is_some()));
    }
    let mut shards = Vec::with_capacity(starting.len());
    let mut is_memory_registered = true;
    for (launched, is_data) in starting {
        shards.push(launched.starting.wait().map_err(NodeError::Shard)?);
        is_memory_registered &= launched.is_registered.recv().unwrap_or(false) || !is_data;
    }
    let facts = NodeFacts { me: facts.main(), ..facts };
    let mut node = RunningNode { facts, mailbox, shards, summary, is_memory_registered };
    node.await_ready(log)?;
    accepted_losses::forget(&recovered.accepted_losses, directories)?;
    directories.forget_given_up()?;
    node.listen()?;
    recovered.leftovers.remove_in_background(directories).map_err(NodeError::Helper)?;
    Ok(node)
}

/// A shard whose thread has begun.
struct Launched {
    starting: StartingShard,
    /// Whether its memory is pinned and registered, told once.
    is_registered: mpsc::Receiver<bool>,
}

fn launch_shard(
    shard_start: ShardStart,
    mailbox: Mailbox<Parcel>,
    limits: &ShardLimits,
    cpu: CpuId,
    placement: Option<net::Placement>,
    directories: &DataDirectories,
) -> Result<Launched, NodeError> {
    let name = match shard_start.role {
        Role::Controller(_) => "controller".to_owned(),
        Role::Coordinator { .. } => "coordinator".to_owned(),
        Role::Data => format!("shard-{}", shard_start.node.me.0),
    };
    let bell = Arc::clone(mailbox.bell());
    let dirs = directories.with_ids().map(|(id, directory)| (id, &*directory.fs));
    let disk = DiskDriver::start(&name, dirs, DISK_TAG, &bell, limits.open_files);
    let disk = disk.map_err(|error| match error {
        DriverError::Helper(error) => NodeError::Helper(error),
        DriverError::Directory { dir, error } => {
            NodeError::Disk { path: directories.get(dir).path.clone(), error }
        }
    })?;
    let mut config = ShardConfig::new(name, limits.arena_bytes);
    config.placement = Placement::Fixed(cpu.0 as usize);
    config.ring = limits.ring.clone();
    let sockets = limits.sockets.clone();
    let (tell, is_registered) = mpsc::sync_channel(1);
    let starting = start(config, bell, move |setup| {
        let _ = tell.send(setup.ring.buffers_registered());
        let shard = Shard::new(shard_start, setup.arena.clone(), Now::read());
        Shell::new(ShellParts { shard, mailbox, disk, sockets, placement })
    })
    .map_err(NodeError::Shard)?;
    Ok(Launched { starting, is_registered })
}

impl RunningNode {
    /// Posts mail; the main thread may wait for a slot.
    pub(super) fn post(&mut self, to: ShardIndex, parcel: Parcel) {
        let to = usize::from(to.0);
        while self.mailbox.free_slots(to) == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.mailbox.post(to, parcel);
    }

    pub(super) fn post_mail(&mut self, to: ShardIndex, mail: Mail) {
        self.post(to, Parcel::Mail(vec![mail]));
    }

    /// Takes all parcels that are there.
    pub(super) fn take_parcels(&mut self) -> Vec<(ShardIndex, Parcel)> {
        let mut parcels = Vec::new();
        self.mailbox.drain(|from, parcel| {
            let from = ShardIndex(u16::try_from(from).expect("mailboxes are bounded"));
            parcels.push((from, parcel));
        });
        parcels
    }

    fn await_ready(&mut self, log: &Log) -> Result<(), NodeError> {
        let mut ready = 0;
        while ready < self.shards.len() {
            self.mailbox.wait(None);
            for (_, parcel) in self.take_parcels() {
                let Parcel::Mail(mail) = parcel else { continue };
                for mail in mail {
                    match mail {
                        Mail::Ready => ready += 1,
                        Mail::Trouble { what } => log.error(&what),
                        Mail::DirectoryFailed { path, error } => {
                            log.error(&format!("{path}: {error}"));
                            return Err(NodeError::StorageFailed { path, error });
                        }
                        _ => {}
                    }
                }
            }
        }
        Ok(())
    }

    fn listen(&mut self) -> Result<(), NodeError> {
        let addresses = self.summary.listen.iter().copied();
        let addresses = (0..).map(ListenerId).zip(addresses).collect();
        self.post(self.facts.controller(), Parcel::Listen(addresses));
        loop {
            self.mailbox.wait(None);
            for (_, parcel) in self.take_parcels() {
                match parcel {
                    Parcel::Listening(Ok(addresses)) => {
                        self.summary.listen = addresses;
                        return Ok(());
                    }
                    Parcel::Listening(Err(why)) => return Err(NodeError::Listening(why)),
                    _ => {}
                }
            }
        }
    }
}
