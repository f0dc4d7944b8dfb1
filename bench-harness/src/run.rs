//! One run: topics made, load sent and read, everything verified, then the result.
//!
//! * `setup`: the clients that a workload asks for
//! * `phases`: warm-up, measuring, draining, reading to the end; what is shown meanwhile
//!
//! A run that does not verify, or in which a client failed, has no result: there is a sentence instead. Whoever wants
//! to show what happens takes [`Event`]s; nothing here prints.

mod phases;
mod setup;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::accounting::{Meter, Snapshot, Used, UsedSecond, Watched};
use crate::bounds::Bound;
use crate::cluster::{Cluster, DURABILITY_PROPERTY, TopicsWanted};
use crate::collector::{Collector, Second};
use crate::failure::{Exit, Failure};
use crate::histograms::Latency;
use crate::null_broker::NULL_CLUSTER_ID;
use crate::recorder::Counts;
use crate::results::hlog::IntervalLog;
use crate::results::validity::{Circumstances, judge};
use crate::results::{
    BrokerUse, FractionOfLimit, Latencies, Objective, RunReport, Throughput, folder, manifest,
};
use crate::run_clock::RunClock;
use crate::verification::{Verdict, VerifiedScope};
use crate::workload::{Durability, Rate, Slo, Workload};

use phases::Phases;

/// What a result of a null broker is.
const CEILING: &str = "a ceiling: the null broker stores nothing, so no broker is faster with this client \
                       on this machine";

/// What to run, and where.
#[derive(Clone, Debug)]
pub struct RunRequest {
    pub workload: Workload,
    pub bootstrap: String,
    /// The broker's name in results.
    pub label: String,
    pub broker_process: Option<u32>,
    /// `HOST:PORT` where the broker shows metrics, for the stages in which its time goes.
    pub metrics: Option<String>,
    pub keep_topics: bool,
    /// Folder of the result's files; none are written without it.
    pub out: Option<PathBuf>,
    pub arguments: Vec<String>,
    /// `limits.json`: of what the run's throughput is told as a fraction.
    pub limits: Option<Value>,
}

/// What happens, for whoever shows it.
#[derive(Debug)]
pub enum Event<'a> {
    /// Something the user should know.
    Note(&'a str),
    /// What cannot be exceeded.
    Bound(&'a Bound),
    Connecting,
    WarmingUp,
    Measuring {
        seconds: f64,
    },
    /// What was due is sent and answered.
    Draining,
    /// Everything that was acknowledged is read.
    Verifying {
        records: u64,
    },
    Second(&'a Second),
    /// What the last second cost.
    Used(&'a UsedSecond),
}

/// Takes events.
pub type Observer<'a> = &'a mut dyn FnMut(&Event<'_>);

/// Runs it. The topics of the run are removed whatever happens.
pub fn run(request: &RunRequest, observe: Observer<'_>) -> Result<RunReport, Failure> {
    let cluster = Cluster::at(&request.bootstrap);
    let workload = &request.workload;
    let run_id = run_id();
    let wanted = topics_wanted(workload, &run_id);
    for note in &workload.notes {
        observe(&Event::Note(note));
    }
    if let Some(out) = request.out.as_deref().filter(|out| out.exists()) {
        return Err(folder::exists_already(out));
    }
    if let Some(bound) = bound(request) {
        observe(&Event::Bound(&bound));
    }
    observe(&Event::Connecting);
    // First of all: nobody waits for payloads to hear that no broker is there.
    let verified = scope(workload, cluster.id()?.as_deref())?;
    let result = cluster
        .create(&wanted)
        .and_then(|places| measure(request, &run_id, &cluster, &places, verified, observe));
    if !request.keep_topics {
        // What went wrong in the run is what matters; this is beside it.
        if cluster.delete(&wanted.names).is_err() {
            observe(&Event::Note(&format!(
                "the run's topics could not be removed; later: corelane topic delete {}",
                wanted.names.join(" ")
            )));
        }
    }
    result
}

fn measure(
    request: &RunRequest,
    run_id: &str,
    cluster: &Cluster,
    places: &[crate::cluster::PartitionPlace],
    verified: VerifiedScope,
    observe: Observer<'_>,
) -> Result<RunReport, Failure> {
    let workload = &request.workload;
    let watched = Watched::find(&request.bootstrap, request.broker_process)
        .with_metrics(request.metrics.as_deref())?;
    let subject = manifest::Subject {
        workload,
        bootstrap: &request.bootstrap,
        label: &request.label,
        watched: &watched,
        arguments: &request.arguments,
        run_id,
    };
    let manifest = manifest::manifest(&subject);
    let began = SystemTime::now();
    let clock = Arc::new(RunClock::default());
    let (windows, collected) = channel();
    let place =
        setup::Place { bootstrap: cluster.bootstrap(), run_id, partitions: places, verified };
    let clients = setup::clients(workload, &place, &clock, &windows)?;
    drop(windows);
    let mut phases = Phases {
        workload,
        verified,
        cluster,
        places,
        clock: &clock,
        watched: &watched,
        collected,
        collector: Collector::new(
            workload.subscriptions_per_topic * u32::from(workload.is_consumed()),
        ),
        log: IntervalLog::default(),
        meter: Meter::default(),
        observe,
    };
    let durability = cluster.durability(&places[0].topic);
    let durability = durability.unwrap_or_else(|| workload.own.durability.name().to_owned());
    let outcome = phases.pass(clients).map_err(without_result)?;
    let Phases { collector, log, meter, .. } = phases;
    let report = report(request, &watched, &collector, outcome, durability)?;
    if let Some(out) = &request.out {
        let artifacts = folder::Artifacts {
            report: &report,
            collector: &collector,
            used_seconds: &meter.seconds,
            log: &log,
            manifest: &manifest,
            began,
        };
        folder::write(out, &artifacts)?;
    }
    Ok(report)
}

/// What the phases leave.
struct Outcome {
    verdict: Verdict,
    unsent_records: u64,
    measured_seconds: f64,
    warm_up_seconds: f64,
    /// When measuring began and ended, and when everything was written back.
    snapshots: [Snapshot; 3],
    /// Acknowledged from when measuring began until everything was written back.
    bytes_since_measuring: u64,
    /// From when measuring began until all readers that caught up had.
    caught_up_seconds: Option<f64>,
    notes: Vec<String>,
}

fn report(
    request: &RunRequest,
    watched: &Watched,
    collector: &Collector,
    outcome: Outcome,
    durability: String,
) -> Result<RunReport, Failure> {
    let workload = &request.workload;
    if !outcome.verdict.is_verified {
        return Err(not_verified(&outcome.verdict));
    }
    let seconds = outcome.measured_seconds;
    let [from, until, drained] = &outcome.snapshots;
    let used = until.since(from, seconds);
    let written = drained.since(from, seconds).device_written_bytes;
    let counts = &collector.measured_counts;
    let broker = BrokerUse {
        device_bytes_per_byte: written
            .filter(|_| outcome.bytes_since_measuring > 0)
            .map(|written| written as f64 / outcome.bytes_since_measuring as f64),
        ..broker_use(watched, &used, counts)
    };
    let circumstances = Circumstances {
        rules: &workload.own.invalidation,
        used: &used,
        measured: &collector.measured,
        seconds,
        unsent_records: outcome.unsent_records,
        is_open_loop: workload.rate != Rate::Closed,
    };
    let Timed { latencies, objective, note: untimed_note } = timed(workload, collector);
    let throughput = Throughput {
        unsent_records: outcome.unsent_records,
        ..Throughput::of(counts, &collector.seconds, seconds, outcome.caught_up_seconds)
    };
    let is_ceiling = outcome.verdict.verified == VerifiedScope::Acknowledgements;
    let ceiling = is_ceiling.then(|| CEILING.to_owned());
    Ok(RunReport {
        label: request.label.clone(),
        workload: workload.clone(),
        client: workload.own.client.name(),
        durability,
        load: if workload.rate == Rate::Closed { "closed" } else { "open" },
        measured_seconds: seconds,
        warm_up_seconds: outcome.warm_up_seconds,
        offered_records_per_second: match workload.rate {
            Rate::Open { records_per_second } => Some(records_per_second),
            Rate::Closed => None,
        },
        fraction_of_limit: fraction(throughput.acknowledged_bytes_per_second, bound(request)),
        caught_up_fraction_of_limit: fraction(
            throughput.caught_up_bytes_per_second,
            request
                .limits
                .as_ref()
                .and_then(|limits| Bound::of_caught_up(&request.workload, limits)),
        ),
        throughput,
        latencies,
        broker,
        validity: judge(&circumstances),
        objective,
        used: Used { device_written_bytes: written, ..used },
        verification: outcome.verdict,
        notes: workload
            .notes
            .iter()
            .cloned()
            .chain(outcome.notes)
            .chain(ceiling)
            .chain(untimed_note)
            .collect(),
    })
}

/// Of what was moved at all.
fn fraction(bytes_per_second: f64, bound: Option<Bound>) -> Option<FractionOfLimit> {
    let bound = bound.filter(|_| bytes_per_second > 0.0)?;
    Some(FractionOfLimit { fraction: bytes_per_second / bound.bytes_per_second, bound })
}

/// Latencies, and what is said of them.
struct Timed {
    latencies: Latencies,
    objective: Option<Objective>,
    note: Option<String>,
}

/// Without the end-to-end latency where its worst samples are missing: nor is an objective of it judged then.
fn timed(workload: &Workload, collector: &Collector) -> Timed {
    let untimed = collector.measured_counts.untimed_records;
    let judge = |slo: Slo| {
        let is_withheld = untimed > 0 && slo.latency == Latency::EndToEnd;
        match is_withheld {
            true => Objective::unknown(slo),
            false => Objective::judge(slo, &collector.measured),
        }
    };
    let objective = workload.own.slo.map(judge);
    let mut latencies = Latencies::of(&collector.measured);
    if untimed == 0 {
        return Timed { latencies, objective, note: None };
    }
    latencies.end_to_end = None;
    let note = format!(
        "{untimed} records were read so late that nobody remembers when they were due: there is no end-to-end \
         latency, since the worst of it would be missing"
    );
    Timed { latencies, objective, note: Some(note) }
}

/// What the broker's process used in the measured time; device bytes are counted until later.
fn broker_use(watched: &Watched, used: &Used, counts: &Counts) -> BrokerUse {
    let moved = counts.acknowledged_bytes + counts.consumed_bytes + counts.caught_up_bytes;
    let gigabytes = moved as f64 / 1e9;
    BrokerUse {
        process: watched.broker(),
        cpu_seconds_per_gigabyte: used
            .broker_cpu_seconds
            .filter(|_| gigabytes > 0.0)
            .map(|cpu| cpu / gigabytes),
        peak_memory_bytes: used.broker_peak_memory_bytes,
        memory_with_cache_bytes: used
            .broker_peak_memory_bytes
            .map(|peak| peak + used.page_cache_growth_bytes),
        device_bytes_per_byte: None,
    }
}

/// What the run's acknowledged throughput cannot exceed, where that was measured.
fn bound(request: &RunRequest) -> Option<Bound> {
    Bound::of_acknowledged(&request.workload, request.limits.as_ref()?)
}

/// What can be verified of this workload against this broker.
fn scope(workload: &Workload, cluster_id: Option<&str>) -> Result<VerifiedScope, Failure> {
    if cluster_id != Some(NULL_CLUSTER_ID) {
        return Ok(VerifiedScope::ReadBack);
    }
    if workload.is_consumed() || workload.own.catch_up_readers > 0 {
        return Err(Failure::new(
            "a null broker keeps nothing that could be read; use a workload without consumers, such as \
             saturate-1k, or --set subscriptionsPerTopic=0",
        ));
    }
    Ok(VerifiedScope::Acknowledgements)
}

/// A client could not go on: what was measured until then says nothing.
fn without_result(failure: Failure) -> Failure {
    Failure { sentence: format!("no result: {}", failure.sentence), ..failure }
}

fn not_verified(verdict: &Verdict) -> Failure {
    let first: Vec<String> =
        verdict.violations.first.iter().take(3).map(ToString::to_string).collect();
    Failure::with_exit(
        Exit::NotVerified,
        format!(
            "no result: the data do not verify, {} violations; {}",
            verdict.violations.count,
            first.join("; ")
        ),
    )
}

fn topics_wanted(workload: &Workload, run_id: &str) -> TopicsWanted {
    let own = &workload.own;
    // A raw batch's time is its name: the broker leaves it alone, and old batches stay.
    let mut configs = vec![
        ("message.timestamp.type".to_owned(), "CreateTime".to_owned()),
        ("retention.ms".to_owned(), "-1".to_owned()),
    ];
    if own.durability != Durability::Broker {
        configs.push((DURABILITY_PROPERTY.to_owned(), own.durability.name().to_owned()));
    }
    for (name, value) in &own.topic_configs {
        configs.retain(|(known, _)| known != name);
        configs.push((name.clone(), value.clone()));
    }
    TopicsWanted {
        names: (0..workload.topics).map(|at| format!("corelane-bench-{run_id}-{at}")).collect(),
        partitions: workload.partitions_per_topic,
        replication_factor: own.replication_factor,
        configs,
    }
}

/// Different for every run on this machine.
fn run_id() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    format!("{now:x}-{:x}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::timed;
    use crate::collector::Collector;
    use crate::histograms::Latency;
    use crate::recorder::{Counts, Window};
    use crate::workload::{Slo, Source, Workload, shipped};

    /// The late records are those that an objective is there to find.
    #[test]
    fn an_objective_is_not_met_by_the_records_that_were_read_in_time() {
        let text = shipped::find("smoke").unwrap();
        let source = Source { text, directory: None, settings: &[] };
        let mut workload = Workload::parse(&source).unwrap();
        let slo = |latency| Some(Slo { latency, percent: 50.0, milliseconds: 1.0 });
        let seen = |untimed_records| {
            let measured_counts = Counts { untimed_records, ..Counts::default() };
            let mut window = Window { measured_counts, ..Window::default() };
            for latency in [Latency::EndToEnd, Latency::Response] {
                (0..100).for_each(|_| window.measured.record(latency, 1_000, 1));
            }
            let mut collector = Collector::new(1);
            collector.add(&window);
            collector
        };
        workload.own.slo = slo(Latency::EndToEnd);
        let in_time = timed(&workload, &seen(0));
        assert!(in_time.objective.unwrap().is_met && in_time.latencies.end_to_end.is_some());
        let late = timed(&workload, &seen(1));
        assert!(!late.objective.unwrap().is_met && late.latencies.end_to_end.is_none());
        assert!(late.note.unwrap().contains("no end-to-end latency"));
        workload.own.slo = slo(Latency::Response);
        assert!(timed(&workload, &seen(1)).objective.unwrap().is_met, "of that nothing is missing");
    }
}
