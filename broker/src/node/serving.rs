//! The main thread while the node serves: signals, the admin address, free space, failed directories, and
//! the orderly end.
//!
//! * `unread`: what /metrics asks owners of partitions

mod unread;

use std::collections::BTreeSet;
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use coordinator::metadata::{MovePartition, ShardId, TopicSelector};
use protocol::{PartitionIndex, Str};
use runtime::clock::WallMillis;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tuning::{HostRoot, KernelWorkers};

use super::data_directories::DataDirectories;
use super::launch::RunningNode;
use super::log::Log;
use super::signals::Signals;
use super::supervisor::Supervisor;
use super::{NodeError, Started};
use crate::admin::groups::Times;
use crate::admin::http::{self, Answer, Method, Request};
use crate::admin::metrics::{self, NodeNumbers};
use crate::admin::{Admin, partitions};
use crate::limits::{ADMIN_ANSWER_MS_MAX, DRAIN_MS_MAX, FREE_BYTES_INTERVAL_MS, SHUT_DOWN_MS_MAX};
use crate::shard::RequestNumber;
use crate::shard::command::{Command, CommandReply};
use crate::shard::mail::{Answer as OwnersAnswer, Mail, QueryError, ShardIndex};
use crate::shard::metrics::ShardSnapshot;
use crate::shard::placement::PlacedPartition;
use crate::shell::Parcel;

/// How long a partition may take to move: it is flushed first.
const MOVE_WAIT: Duration = Duration::from_secs(60);
/// How long one step of an orderly end may take to make everything durable.
const SHUT_DOWN_WAIT: Duration = Duration::from_millis(SHUT_DOWN_MS_MAX);

/// Serves until a signal comes or all storage has failed.
pub(super) fn serve(
    node: RunningNode,
    directories: DataDirectories,
    admin: Option<Admin>,
    signals: &Signals,
    log: &Log,
    started: impl FnOnce(&Started),
) -> Result<(), NodeError> {
    let ready_after = node.summary.begun.elapsed();
    let supervisor = Supervisor::of_this_process().unwrap_or_else(|error| {
        log.warn(&format!("the supervisor cannot be told anything: {error}"));
        Supervisor::none()
    });
    supervisor.tell_ready(&format!("serving clients on {} shards", node.facts.data_shards));
    started(&Started {
        listen: node.summary.listen.clone(),
        advertised: node.summary.advertised.clone(),
        admin: admin.as_ref().map(Admin::address),
        data_dirs: directories.all.iter().map(|directory| directory.path.clone()).collect(),
        shards: usize::from(node.facts.data_shards),
    });
    let mut serving = Serving {
        node,
        directories,
        admin,
        log: *log,
        ready_after,
        failed: BTreeSet::new(),
        space_due: Instant::now(),
        next_request: 0,
        heard: Heard::default(),
        times: Times::new(),
        is_ready: true,
        supervisor,
    };
    let failure = serving.until_stopped(signals);
    serving.stop(signals);
    match failure {
        Some((path, error)) => Err(NodeError::StorageFailed { path, error }),
        None => Ok(()),
    }
}

/// What shards have sent and nobody has taken yet.
#[derive(Default)]
struct Heard {
    snapshots: Vec<ShardSnapshot>,
    partitions: Vec<(ShardIndex, Vec<PlacedPartition>)>,
    replies: Vec<(RequestNumber, CommandReply)>,
    /// Of records, by request and part of it.
    times: Vec<(RequestNumber, u32, Result<Option<i64>, QueryError>)>,
    drained: BTreeSet<ShardIndex>,
    stopped: BTreeSet<ShardIndex>,
}

/// How waiting for a step of the end came out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wait {
    Heard,
    TimeIsUp,
    Interrupted,
}

struct Serving {
    node: RunningNode,
    directories: DataDirectories,
    admin: Option<Admin>,
    log: Log,
    ready_after: Duration,
    /// Log directories that failed.
    failed: BTreeSet<String>,
    space_due: Instant,
    next_request: u64,
    heard: Heard,
    /// Of the records that the last answer of /metrics told the age of.
    times: Times,
    is_ready: bool,
    supervisor: Supervisor,
}

impl Serving {
    /// Gives the failure that ends the node, or none where a signal does.
    fn until_stopped(&mut self, signals: &Signals) -> Option<(String, String)> {
        loop {
            self.wait(signals);
            if let Some(failure) = self.take_mail() {
                return Some(failure);
            }
            if signals.take() {
                return None;
            }
            if self.space_due <= Instant::now() {
                self.look_at_space();
            }
            self.ask_whether_alive();
            while let Some(stream) = self.admin.as_ref().and_then(Admin::accept) {
                self.answer(stream);
            }
        }
    }

    /// Sleeps until there is mail, a signal, an admin request, or something due.
    fn wait(&self, signals: &Signals) {
        let admin = self.admin.as_ref().map(AsFd::as_fd);
        let fds: Vec<BorrowedFd<'_>> = signals.fds().into_iter().chain(admin).collect();
        let until = self.supervisor.due().map_or(self.space_due, |due| due.min(self.space_due));
        self.wait_for(&fds, until);
    }

    /// Sleeps until there is mail, one of these can be read, or it is time.
    fn wait_for(&self, fds: &[BorrowedFd<'_>], until: Instant) {
        let bell = self.node.mailbox.bell();
        bell.announce_park();
        if self.node.mailbox.is_empty() {
            let mut fds: Vec<PollFd<'_>> = [bell.as_fd()]
                .iter()
                .chain(fds)
                .map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN))
                .collect();
            let left = until.saturating_duration_since(Instant::now());
            let timeout = Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(1),
                tv_nsec: i64::from(left.subsec_nanos()),
            };
            // Interrupted or not: whoever calls looks at everything.
            let _ = poll(&mut fds, Some(&timeout));
        }
        bell.announce_awake();
        bell.wait(Some(Duration::ZERO));
    }

    /// Takes what shards have sent; the failure of the last log directory ends the node.
    fn take_mail(&mut self) -> Option<(String, String)> {
        let mut failure = None;
        for (from, parcel) in self.node.take_parcels() {
            let Parcel::Mail(mail) = parcel else { continue };
            for mail in mail {
                match mail {
                    Mail::Snapshot(snapshot) => {
                        self.supervisor.heard_from(snapshot.shard);
                        // One of each shard, whoever asked for it.
                        self.heard.snapshots.retain(|known| known.shard != snapshot.shard);
                        self.heard.snapshots.push(*snapshot);
                    }
                    Mail::Partitions(placed) => self.heard.partitions.push((from, placed)),
                    Mail::CommandDone { request, reply } => {
                        self.heard.replies.push((request, *reply));
                    }
                    Mail::Answer { request, part, answer: OwnersAnswer::Offset(found) } => {
                        let time = found.map(|found| found.and_then(|found| found.timestamp));
                        self.heard.times.push((request, part, time));
                    }
                    Mail::Drained => {
                        self.heard.drained.insert(from);
                    }
                    Mail::Stopped => {
                        self.heard.stopped.insert(from);
                    }
                    Mail::Trouble { what } => self.log.error(&what),
                    Mail::DirectoryFailed { path, error } => {
                        let mut known = self.node.facts.directories.iter();
                        let place = known.position(|directory| directory.path == path);
                        let error = self.directories.on_device(place, &error);
                        self.log.error(&format!("the log directory {path} failed: {error}"));
                        self.failed.insert(path.clone());
                        // Shards tell clients of it.
                        self.look_at_space();
                        if self.failed.len() >= self.directories.all.len() {
                            self.is_ready = false;
                            failure = Some((path, error));
                        }
                    }
                    _ => {}
                }
            }
        }
        failure
    }

    fn look_at_space(&mut self) {
        self.space_due = Instant::now() + Duration::from_millis(FREE_BYTES_INTERVAL_MS);
        let mut spaces = self.directories.spaces();
        for (space, directory) in spaces.iter_mut().zip(self.node.facts.directories.iter()) {
            space.is_offline = self.failed.contains(&directory.path);
        }
        let space = Arc::new(spaces);
        self.node.facts.space = Arc::clone(&space);
        for shard in self.node.facts.shards() {
            self.node.post_mail(shard, Mail::Storage(Arc::clone(&space)));
        }
    }

    fn answer(&mut self, mut stream: TcpStream) {
        let request = http::read(&mut stream);
        let without_body = request.as_ref().is_some_and(|request| request.without_body);
        let answer = match request {
            Some(request) => self.answer_to(&request),
            None => Answer::refusal(400, "no HTTP request that is understood here"),
        };
        // A client that does not take its answer has lost it.
        let _ = answer.write(&mut stream, without_body);
    }

    fn answer_to(&mut self, request: &Request) -> Answer {
        let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
        match (request.method, path.as_slice()) {
            (Method::Get, ["livez"]) => Answer::text(200, "alive\n"),
            (Method::Get, ["readyz"]) if self.is_ready && self.failed.is_empty() => {
                Answer::text(200, "ready\n")
            }
            (Method::Get, ["readyz"]) => {
                let failed: Vec<&str> = self.failed.iter().map(String::as_str).collect();
                Answer::text(503, format!("not ready: {} failed\n", failed.join(", ")))
            }
            (Method::Get, ["metrics"]) => self.metrics(),
            (Method::Get, ["v1", "partitions"]) => self.partitions(request.value("topic")),
            (Method::Post, ["v1", "partitions", topic, partition, "move"]) => {
                self.move_partition(topic, partition, request)
            }
            (Method::Post, ["livez" | "readyz" | "metrics"] | ["v1", "partitions"]) => {
                Answer::refusal(405, "ask for this with GET")
            }
            _ => {
                Answer::refusal(404, "there are /livez, /readyz, /metrics and /v1/partitions here")
            }
        }
    }

    /// Waits until `is_there` or the time is up; mail is taken meanwhile.
    fn await_heard(&mut self, within: Duration, is_there: impl Fn(&Heard) -> bool) -> bool {
        let end = Instant::now() + within;
        while !is_there(&self.heard) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let due =
                self.supervisor.due().map(|due| due.saturating_duration_since(Instant::now()));
            self.node.mailbox.wait(Some(due.map_or(left, |due| due.min(left))));
            self.take_mail();
            // A partition may take longer to move than a supervisor waits for a sign of life.
            self.ask_whether_alive();
        }
        true
    }

    /// For the supervisor, which is told when all have answered.
    fn ask_whether_alive(&mut self) {
        for shard in self.supervisor.questions(Instant::now(), self.node.facts.shards()) {
            self.node.post_mail(shard, Mail::TakeSnapshot);
        }
    }

    fn metrics(&mut self) -> Answer {
        self.heard.snapshots.clear();
        let shards: Vec<ShardIndex> = self.node.facts.shards().collect();
        for shard in &shards {
            self.node.post_mail(*shard, Mail::TakeSnapshot);
        }
        let within = Duration::from_millis(ADMIN_ANSWER_MS_MAX);
        self.await_heard(within, |heard| heard.snapshots.len() == shards.len());
        self.heard.snapshots.sort_by_key(|snapshot| snapshot.shard);
        self.ask_unread_times();
        let numbers = NodeNumbers {
            facts: &self.node.facts,
            space: &self.node.facts.space,
            recovery: self.node.summary.recovery_time,
            from_journal: self.node.summary.from_journal,
            ready_after: self.ready_after,
            uptime: self.node.summary.begun.elapsed(),
            directories_failed: self.failed.len(),
            kernel_workers: KernelWorkers::of(&HostRoot::live(), "/proc/self"),
            times: &self.times,
            now_ms: WallMillis::read().0,
        };
        Answer::metrics(metrics::text(&numbers, &self.heard.snapshots))
    }

    fn partitions(&mut self, topic: Option<&str>) -> Answer {
        self.heard.partitions.clear();
        let shards: Vec<ShardIndex> = self.node.facts.owners().collect();
        for shard in &shards {
            self.node.post_mail(*shard, Mail::ListPartitions);
        }
        let within = Duration::from_millis(ADMIN_ANSWER_MS_MAX);
        if !self.await_heard(within, |heard| heard.partitions.len() == shards.len()) {
            return Answer::refusal(503, "a shard does not answer: see the node's log");
        }
        let placed = std::mem::take(&mut self.heard.partitions);
        let placed: Vec<PlacedPartition> = placed.into_iter().flat_map(|one| one.1).collect();
        partitions::list(&self.node.facts, &self.node.summary.cpus, &placed, topic)
    }

    fn move_partition(&mut self, topic: &str, partition: &str, request: &Request) -> Answer {
        let number = partition.parse::<i32>().ok().filter(|number| *number >= 0);
        let shard = request.value("shard").and_then(|shard| shard.parse::<u16>().ok());
        let (Some(number), Some(shard)) = (number, shard) else {
            return Answer::refusal(400, "say POST /v1/partitions/TOPIC/NUMBER/move?shard=N");
        };
        let directory = request.value("dir").map(|wanted| {
            let directories = self.node.facts.directories.iter();
            directories.clone().find(|known| known.path == wanted).map(|known| known.id)
        });
        let directory = match directory {
            Some(None) => {
                return Answer::refusal(
                    400,
                    "--dir is no log directory of this node; `corelane partition list` shows them",
                );
            }
            Some(found) => found,
            None => None,
        };
        let command = MovePartition {
            topic: TopicSelector::Name(Str::from(topic)),
            partition: PartitionIndex(number),
            broker: self.node.facts.broker,
            shard: Some(ShardId(shard)),
            directory,
        };
        self.next_request += 1;
        let id = RequestNumber::external(self.next_request);
        let command = Box::new(Command::MovePartition(command));
        let mail = Mail::Command { shard: self.node.facts.main(), request: id, command };
        self.node.post_mail(self.node.facts.controller(), mail);
        let is_there = |heard: &Heard| heard.replies.iter().any(|reply| reply.0 == id);
        if !self.await_heard(MOVE_WAIT, is_there) {
            return Answer::refusal(
                503,
                "the partition is still being moved; `corelane partition list` shows where it is",
            );
        }
        let at = self.heard.replies.iter().position(|reply| reply.0 == id);
        let (_, reply) = self.heard.replies.swap_remove(at.expect("it is there"));
        partitions::moved(&self.node.facts, topic, number, &reply)
    }

    /// Stops accepting, lets connections have their answers, makes everything durable.
    fn stop(&mut self, signals: &Signals) {
        self.is_ready = false;
        self.supervisor.tell_stopping();
        self.log.info("stopping: connections are drained, then everything is made durable");
        let data: Vec<ShardIndex> = (0..self.node.facts.data_shards).map(ShardIndex).collect();
        let controller = self.node.facts.controller();
        self.node.post(controller, Parcel::StopListening);
        for shard in &data {
            self.node.post_mail(*shard, Mail::Drain);
        }
        let drain = Duration::from_millis(DRAIN_MS_MAX);
        let drained = |heard: &Heard| heard.drained.len() == data.len();
        match self.await_end(signals, drain, drained) {
            Wait::Heard => {}
            Wait::TimeIsUp => {
                self.log.warn("some connections were not drained in time: they are closed");
            }
            Wait::Interrupted => return self.tell_stopped_early(),
        }
        for shard in &data {
            self.node.post_mail(*shard, Mail::ShutDown);
        }
        let stopped = |heard: &Heard| data.iter().all(|shard| heard.stopped.contains(shard));
        let mut ends = vec![self.await_end(signals, SHUT_DOWN_WAIT, stopped)];
        for last in [self.node.facts.coordinator(), controller] {
            if ends.contains(&Wait::Interrupted) {
                break;
            }
            self.node.post_mail(last, Mail::ShutDown);
            let stopped = |heard: &Heard| heard.stopped.contains(&last);
            ends.push(self.await_end(signals, SHUT_DOWN_WAIT, stopped));
        }
        if ends.iter().all(|end| *end == Wait::Heard) {
            self.node.shards.drain(..).for_each(runtime::shard::ShardHandle::join);
            self.tell_stopped();
        } else {
            self.tell_stopped_early();
        }
    }

    /// As [`Self::await_heard`], and ended by a SIGINT.
    fn await_end(
        &mut self,
        signals: &Signals,
        within: Duration,
        is_there: impl Fn(&Heard) -> bool,
    ) -> Wait {
        let end = Instant::now() + within;
        loop {
            self.take_mail();
            if is_there(&self.heard) {
                return Wait::Heard;
            }
            if signals.take_interrupt() {
                return Wait::Interrupted;
            }
            if end <= Instant::now() {
                return Wait::TimeIsUp;
            }
            self.wait_for(&[signals.interrupt_fd()], end);
        }
    }

    fn tell_stopped_early(&self) {
        self.log.warn("stopped early: the next start recovers what was acknowledged");
    }

    fn tell_stopped(&self) {
        if self.failed.is_empty() {
            return self.log.info("stopped: nothing is left to recover");
        }
        let failed: Vec<&str> = self.failed.iter().map(String::as_str).collect();
        let failed = failed.join(", ");
        self.log.warn(&format!(
            "stopped: {failed} failed while the node ran: mend it before the next start, which recovers it"
        ));
    }
}
