//! The phases of a run: warm-up, measuring, draining, reading to the end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::setup::{Clients, ConsumerClient, GroupSettling, ProducerClient, ProducerPart};
use super::{Event, Observer, Outcome};
use crate::accounting::{Meter, Snapshot, Watched};
use crate::clients::{Pace, Produced, Read};
use crate::cluster::{Cluster, PartitionPlace};
use crate::collector::Collector;
use crate::failure::Failure;
use crate::interruption;
use crate::recorder::{WINDOW_NS, Window};
use crate::results::hlog::IntervalLog;
use crate::run_clock::RunClock;
use crate::schedule::{Arrival, Schedule};
use crate::verification::{
    ConsumedChains, PartitionNumber, ProducedChains, Verdict, VerifiedScope, Violation, verify,
    verify_acknowledgements,
};
use crate::warm_up::{is_stable, seconds_max, unsettled};
use crate::workload::{ArrivalKind, Rate, WarmUp, Workload};

/// Between the start of the clients and the first record that is due.
const HEAD_START_NS: u64 = 300_000_000;
/// How long groups may take to settle, and a backlog to be built.
const SETTLE_SECONDS_MAX: u64 = 60;
/// Groups that have not changed for so long are settled.
const SETTLED_NS: u64 = 2 * WINDOW_NS;
const BACKLOG_SECONDS_MAX: u64 = 3_600;
/// Windows are handed over late by as much as a thread may sleep.
const CLOSE_AFTER_NS: u64 = 300_000_000;
const COLLECT_FOR: Duration = Duration::from_millis(50);

pub(super) struct Phases<'a> {
    pub(super) workload: &'a Workload,
    pub(super) verified: VerifiedScope,
    pub(super) cluster: &'a Cluster,
    pub(super) places: &'a [PartitionPlace],
    pub(super) clock: &'a Arc<RunClock>,
    pub(super) watched: &'a Watched,
    pub(super) collected: Receiver<Window>,
    pub(super) collector: Collector,
    pub(super) log: IntervalLog,
    pub(super) meter: Meter,
    pub(super) observe: Observer<'a>,
}

/// A subscription's consumers, reading.
struct Subscription {
    name: String,
    consumers: Vec<JoinHandle<Read>>,
}

/// What has been started.
#[derive(Default)]
struct Running {
    producers: Vec<JoinHandle<Produced>>,
    subscriptions: Vec<Subscription>,
}

/// A measured time that is over.
struct Measured {
    from_ns: u64,
    until_ns: u64,
    warm_up_seconds: f64,
    snapshots: [Snapshot; 2],
    bytes_before: u64,
    /// Until the last of those who caught up had, if all did.
    caught_up_seconds: Option<f64>,
    notes: Vec<String>,
}

impl Phases<'_> {
    /// All phases. Every thread has ended when this returns.
    pub(super) fn pass(&mut self, clients: Clients) -> Result<Outcome, Failure> {
        let mut running = Running::default();
        match self.measure(clients, &mut running) {
            Ok(measured) => self.conclude(running, measured),
            Err(failure) => {
                self.clock.abort();
                // Who failed first knows better than who waited for it.
                let first = running.end().unwrap_or(failure);
                interruption::check().and(Err(first))
            }
        }
    }

    fn measure(&mut self, clients: Clients, running: &mut Running) -> Result<Measured, Failure> {
        let start_ns = self.start(clients, running)?;
        (self.observe)(&Event::WarmingUp);
        let mut notes = Vec::new();
        let from_ns = self.warm_up(start_ns, running, &mut notes)?;
        let seconds = self.workload.duration_seconds.ceil().max(1.0);
        let until_ns = from_ns + seconds as u64 * WINDOW_NS;
        self.clock.measure_from(from_ns);
        self.clock.measure_until(until_ns);
        self.collector.measure(from_ns / WINDOW_NS, until_ns / WINDOW_NS);
        self.collect_until(from_ns, running)?;
        (self.observe)(&Event::Measuring { seconds });
        let (before, bytes_before) = (self.watched.snapshot(), self.clock.acknowledged_bytes());
        self.collect_until(until_ns, running)?;
        let after = self.watched.snapshot();
        let caught_up_ns = self.clock.caught_up_ns().filter(|at_ns| *at_ns <= until_ns);
        let caught_up_ns = caught_up_ns.map(|at_ns| at_ns.saturating_sub(from_ns));
        (self.observe)(&Event::Draining);
        Ok(Measured {
            from_ns,
            until_ns,
            warm_up_seconds: from_ns.saturating_sub(start_ns) as f64 / WINDOW_NS as f64,
            snapshots: [before, after],
            bytes_before,
            caught_up_seconds: caught_up_ns.map(|after_ns| after_ns as f64 / WINDOW_NS as f64),
            notes,
        })
    }

    /// Starts consumers, waits for their groups, then starts producers. Gives when the first record is due.
    fn start(&mut self, clients: Clients, running: &mut Running) -> Result<u64, Failure> {
        for part in clients.subscriptions {
            let consumers = part.consumers.into_iter().map(|client| match client {
                ConsumerClient::Raw(client) => client.start(),
                ConsumerClient::Rdkafka(client) => client.start(),
            });
            let mut subscription = Subscription { name: part.name, consumers: Vec::new() };
            let mut failure = None;
            for started in consumers {
                match started {
                    Ok(thread) => subscription.consumers.push(thread),
                    Err(error) => failure = Some(error),
                }
            }
            running.subscriptions.push(subscription);
            if let Some(failure) = failure {
                return Err(failure);
            }
        }
        self.settle(&clients.groups, running)?;
        let start_ns = self.clock.now_ns() + HEAD_START_NS;
        let count = clients.producers.len();
        for (at, part) in clients.producers.into_iter().enumerate() {
            let (clock, windows) = (Arc::clone(self.clock), clients.windows.clone());
            let pace = self.pace(&part, start_ns, at as f64 / count as f64, at as u64);
            running.producers.push(match part.client {
                ProducerClient::Raw(client) => client.start(pace, clock, windows)?,
                ProducerClient::Rdkafka(client) => client.start(pace, clock, windows)?,
            });
        }
        Ok(start_ns)
    }

    /// Waits until all groups have been settled for a while.
    fn settle(&mut self, groups: &[GroupSettling], running: &Running) -> Result<(), Failure> {
        let limit_ns = self.clock.now_ns() + SETTLE_SECONDS_MAX * WINDOW_NS;
        let mut unsettled_ns = self.clock.now_ns();
        while !groups.is_empty() && self.clock.now_ns() - unsettled_ns < SETTLED_NS {
            self.collect(running)?;
            let now_ns = self.clock.now_ns();
            if !groups.iter().all(GroupSettling::is_settled) {
                unsettled_ns = now_ns;
            }
            if now_ns > limit_ns {
                return Err(Failure::new(
                    "the groups did not settle within a minute; look at the broker's log, or use \
                     groups: assigned",
                ));
            }
        }
        Ok(())
    }

    /// Producers with the same interval begin spread over it.
    fn pace(&self, part: &ProducerPart, start_ns: u64, spread: f64, number: u64) -> Pace {
        let Rate::Open { records_per_second } = self.workload.rate else { return Pace::Closed };
        let per_send = match &part.client {
            ProducerClient::Raw(client) => client.records_per_batch(),
            ProducerClient::Rdkafka(_) => 1.0,
        };
        let rate = records_per_second * part.share / per_send;
        let own = &self.workload.own;
        let arrival = match own.arrival {
            ArrivalKind::Constant => Arrival::Constant,
            ArrivalKind::Poisson => Arrival::Poisson,
            ArrivalKind::Bursty => Arrival::Bursty {
                on_ns: u64::from(own.burst_on_milliseconds) * 1_000_000,
                off_ns: u64::from(own.burst_off_milliseconds) * 1_000_000,
            },
        };
        // Bursts are of all producers together.
        let offset = if own.arrival == ArrivalKind::Bursty { 0.0 } else { spread * 1e9 / rate };
        let seed = own.seed.wrapping_add(number);
        Pace::Open(Schedule::new(arrival, rate, start_ns + offset as u64, seed))
    }

    /// Gives when measuring is to begin: a whole second of the clock.
    fn warm_up(
        &mut self,
        start_ns: u64,
        running: &Running,
        notes: &mut Vec<String>,
    ) -> Result<u64, Failure> {
        if self.workload.backlog_bytes > 0 {
            let limit_ns = start_ns + BACKLOG_SECONDS_MAX * WINDOW_NS;
            while self.clock.acknowledged_bytes() < self.workload.backlog_bytes {
                self.collect(running)?;
                if self.clock.now_ns() > limit_ns {
                    return Err(Failure::new("the backlog was not built within an hour"));
                }
            }
        }
        match self.workload.own.warm_up.unwrap_or(WarmUp::Stable) {
            WarmUp::Seconds(seconds) => {
                self.collect_until(start_ns + (seconds * 1e9) as u64, running)?;
            }
            WarmUp::Stable if self.workload.backlog_bytes > 0 => {}
            WarmUp::Stable => {
                let least = self.workload.own.warm_up_seconds_min;
                let most = seconds_max(least);
                let limit_ns = start_ns + (most * 1e9) as u64;
                self.collect_until(start_ns + (least * 1e9) as u64, running)?;
                while !is_stable(&self.collector.seconds) {
                    self.collect(running)?;
                    if self.clock.now_ns() > limit_ns {
                        notes.push(unsettled(most));
                        break;
                    }
                }
            }
        }
        Ok((self.clock.now_ns().max(start_ns) / WINDOW_NS + 1) * WINDOW_NS)
    }

    /// Everything is answered, written back, read and compared.
    fn conclude(&mut self, mut running: Running, measured: Measured) -> Result<Outcome, Failure> {
        self.collect_while(&running, |running| {
            !running.producers.iter().all(JoinHandle::is_finished)
        });
        let produced: Vec<Produced> = running.producers.drain(..).map(joined).collect();
        let acknowledged = produced.iter().map(|producer| producer.chains.records()).sum();
        self.clock.load_is_over(acknowledged);
        let bytes_since_measuring = self.clock.acknowledged_bytes() - measured.bytes_before;
        let drained = self.written_back();
        // Nobody writes any more: what stands behind the last record that was acknowledged should not be there.
        let log_ends = match self.verified {
            VerifiedScope::ReadBack => self.cluster.ends(self.places),
            VerifiedScope::Acknowledgements => Ok(BTreeMap::new()),
        };
        (self.observe)(&Event::Verifying { records: acknowledged });
        self.collect_while(&running, |running| !running.is_read());
        let read = running.read();
        // Whoever was interrupted has lost nothing, whatever is missing.
        interruption::check()?;
        let failures = produced.iter().filter_map(|producer| producer.failure.clone());
        if let Some(failure) = failures.chain(read.failure).next() {
            return Err(failure);
        }
        let log_ends = log_ends?;
        let unsent_records = produced.iter().map(|producer| producer.unsent_records).sum();
        let chains: Vec<ProducedChains> = produced.into_iter().map(|done| done.chains).collect();
        let verdict = match self.verified {
            VerifiedScope::ReadBack => verdict(&chains, &read.subscriptions, &log_ends),
            VerifiedScope::Acknowledgements => verify_acknowledgements(&chains),
        };
        // The rest of what was recorded.
        while let Ok(window) = self.collected.try_recv() {
            self.collector.add(&window);
        }
        self.close(self.clock.now_ns() / WINDOW_NS + 1);
        let [before, after] = measured.snapshots;
        Ok(Outcome {
            verdict,
            unsent_records,
            measured_seconds: (measured.until_ns - measured.from_ns) as f64 / WINDOW_NS as f64,
            warm_up_seconds: measured.warm_up_seconds,
            snapshots: [before, after, drained],
            bytes_since_measuring,
            caught_up_seconds: measured.caught_up_seconds,
            notes: measured.notes,
        })
    }

    /// The counters when nothing is left in a page cache.
    fn written_back(&self) -> Snapshot {
        if self.watched.broker().is_some() && self.verified == VerifiedScope::ReadBack {
            rustix::fs::sync();
        }
        self.watched.snapshot()
    }

    fn collect_until(&mut self, until_ns: u64, running: &Running) -> Result<(), Failure> {
        while self.clock.now_ns() < until_ns {
            self.collect(running)?;
        }
        Ok(())
    }

    fn collect_while(&mut self, running: &Running, goes_on: impl Fn(&Running) -> bool) {
        while goes_on(running) {
            let _ = self.collect(running);
        }
    }

    /// Takes what threads hand over, for a moment. Fails when the run was given up.
    fn collect(&mut self, running: &Running) -> Result<(), Failure> {
        interruption::check().inspect_err(|_| self.clock.abort())?;
        match self.collected.recv_timeout(COLLECT_FOR) {
            Ok(window) => self.collector.add(&window),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(COLLECT_FOR),
        }
        while let Ok(window) = self.collected.try_recv() {
            self.collector.add(&window);
        }
        self.close(self.clock.now_ns().saturating_sub(CLOSE_AFTER_NS) / WINDOW_NS);
        self.read_meter();
        let has_ended = running.producers.iter().any(JoinHandle::is_finished);
        if self.clock.is_aborted() || (has_ended && self.clock.is_measuring_since().is_none()) {
            return Err(Failure::new("a client ended before its time"));
        }
        Ok(())
    }

    fn read_meter(&mut self) {
        let now_ns = self.clock.now_ns();
        if self.meter.is_due(now_ns)
            && let Some(used) = self.meter.read(now_ns, self.watched.glance())
        {
            (self.observe)(&Event::Used(&used));
        }
    }

    fn close(&mut self, second: u64) {
        for closed in self.collector.close_until(second) {
            (self.observe)(&Event::Second(closed));
        }
        for (second, histograms) in self.collector.take_closed() {
            self.log.add(second, &histograms);
        }
    }
}

/// What all consumers left.
struct AllRead {
    subscriptions: Vec<(String, ConsumedChains)>,
    failure: Option<Failure>,
}

impl Running {
    fn is_read(&self) -> bool {
        let consumers = self.subscriptions.iter().flat_map(|part| &part.consumers);
        consumers.into_iter().all(JoinHandle::is_finished)
    }

    fn read(self) -> AllRead {
        let mut all = AllRead { subscriptions: Vec::new(), failure: None };
        for subscription in self.subscriptions {
            let mut chains = ConsumedChains::default();
            for consumer in subscription.consumers {
                let read = joined(consumer);
                all.failure = all.failure.or(read.failure);
                chains.join(read.chains);
            }
            all.subscriptions.push((subscription.name, chains));
        }
        all
    }

    /// Waits for everybody and gives what the first to fail said.
    fn end(mut self) -> Option<Failure> {
        let producers: Vec<Produced> = self.producers.drain(..).map(joined).collect();
        let failure = producers.into_iter().find_map(|producer| producer.failure);
        let read = self.subscriptions.into_iter().flat_map(|part| part.consumers);
        let others: Vec<Option<Failure>> = read.map(|thread| joined(thread).failure).collect();
        failure.or_else(|| others.into_iter().flatten().next())
    }
}

fn joined<T>(thread: JoinHandle<T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn verdict(
    produced: &[ProducedChains],
    subscriptions: &[(String, ConsumedChains)],
    log_ends: &BTreeMap<PartitionNumber, i64>,
) -> Verdict {
    let mut ends = BTreeMap::new();
    for (partition, end) in produced.iter().flat_map(ProducedChains::ends) {
        let known: &mut i64 = ends.entry(partition).or_default();
        *known = end.max(*known);
    }
    let unread = subscriptions.iter().filter_map(|(name, chains)| {
        let behind = ends.iter().filter(|(partition, end)| chains.next_offset(**partition) < **end);
        let partitions = behind.count();
        (partitions > 0).then(|| Violation::NotRead { subscription: name.clone(), partitions })
    });
    let beyond = log_ends.iter().filter_map(|(partition, log_end)| {
        let acknowledged_end = ends.get(partition).copied().unwrap_or(0);
        let (partition, log_end) = (*partition, *log_end);
        (log_end > acknowledged_end).then_some(Violation::StoredBeyond {
            partition,
            acknowledged_end,
            log_end,
        })
    });
    let chains: Vec<ConsumedChains> =
        subscriptions.iter().map(|(_, chains)| chains.clone()).collect();
    verify(produced, &chains, unread.chain(beyond).collect())
}
