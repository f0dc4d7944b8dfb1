//! Whole runs against a broker in this process: what it does wrong must show, and what it does right must not.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps nothing")]

#[path = "run/small_broker.rs"]
mod small_broker;

use std::path::PathBuf;
use std::time::Duration;

use bench_harness::failure::{Exit, Failure};
use bench_harness::histograms::Latency;
use bench_harness::results::RunReport;
use bench_harness::run::{RunRequest, run};
use bench_harness::search::ramp::Spacing;
use bench_harness::search::{RampPlan, Search, SearchEvent, SearchReport, SloPlan};
use bench_harness::workload::{Slo, Source, Workload};
use small_broker::{Fault, SmallBroker};

fn request(broker: &SmallBroker, workload: &str, settings: &[&str]) -> RunRequest {
    let settings: Vec<String> = settings.iter().map(|text| (*text).to_owned()).collect();
    let source = Source { text: workload, directory: None, settings: &settings };
    RunRequest {
        workload: Workload::parse(&source).unwrap(),
        bootstrap: broker.bootstrap(),
        label: "small".to_owned(),
        broker_process: None,
        metrics: None,
        keep_topics: false,
        out: None,
        arguments: Vec::new(),
        limits: None,
    }
}

fn run_quietly(request: &RunRequest) -> Result<RunReport, Failure> {
    run(request, &mut |_| {})
}

/// One record a batch and request, 500 a second, two partitions, read as it comes.
const WORKLOAD: &str = "
name: small
topics: 1
partitionsPerTopic: 2
messageSize: 100
subscriptionsPerTopic: 1
consumerPerSubscription: 1
producersPerTopic: 1
producerRate: 500
testDurationMinutes: 1
corelane:
  batchBytes: 1
  inFlightMax: 1
  warmUp: 0
  durationSeconds: 1
  invalidation:
    stealPercentMax: 100
";

#[test]
fn both_tiers_verify_against_a_broker_without_faults_and_leave_no_topics() {
    for client in ["client=raw", "client=rdkafka"] {
        let broker = SmallBroker::start(Fault::Nothing);
        let report = run_quietly(&request(&broker, WORKLOAD, &[client])).unwrap();
        let verification = &report.verification;
        assert!(verification.is_verified, "{client}");
        assert!(verification.records_acknowledged >= 400, "{client}: {verification:?}");
        assert_eq!(verification.records_read, verification.records_acknowledged);
        for latency in Latency::ALL {
            assert!(report.latencies.get(latency).is_some(), "{client}: {latency:?}");
        }
        assert_eq!(report.load, "open");
        assert_eq!((broker.topics(), broker.deleted()), (0, 1));
    }
}

#[test]
fn more_subscriptions_topics_keys_and_catch_up_readers_are_verified_too() {
    for client in ["client=raw", "client=rdkafka"] {
        let broker = SmallBroker::start(Fault::Nothing);
        let settings = [
            client,
            "topics=2",
            "partitionsPerTopic=3",
            "producersPerTopic=2",
            "subscriptionsPerTopic=2",
            "consumerPerSubscription=2",
            "catchUpReaders=1",
            "durationSeconds=3",
            "keys=uniform",
            "batchBytes=2000",
            "codec=lz4",
            "arrival=poisson",
        ];
        let report = run_quietly(&request(&broker, WORKLOAD, &settings)).unwrap();
        let verification = &report.verification;
        assert_eq!(verification.subscriptions, 3, "{client}");
        assert_eq!(verification.records_read, 3 * verification.records_acknowledged, "{client}");
        assert!(report.throughput.caught_up_bytes_per_second.is_finite(), "{client}");
        // What it reads from then on is what is being written.
        let caught_up = report.throughput.caught_up_seconds;
        assert!(caught_up.is_some(), "{client}");
        // Keys and values on both sides, whatever the codec makes of them: 108 bytes a record.
        let rates = &report.throughput;
        let each = rates.consumed_bytes_per_second / rates.consumed_records_per_second;
        assert!((each - 108.0).abs() < 0.01, "{client}: {each}");
    }
}

#[test]
fn a_backlog_is_built_before_anybody_reads() {
    for client in ["client=raw", "client=rdkafka"] {
        let broker = SmallBroker::start(Fault::Nothing);
        let settings = [client, "consumerBacklogSizeGB=0.00005"];
        let report = run_quietly(&request(&broker, WORKLOAD, &settings)).unwrap();
        assert!(report.warm_up_seconds >= 1.0, "as long as it takes to build it");
    }
}

#[test]
fn a_closed_loop_that_nobody_reads_is_read_for_verification_and_labelled() {
    let broker = SmallBroker::start(Fault::Nothing);
    let settings = ["client=raw", "producerRate=0", "subscriptionsPerTopic=0", "inFlightMax=4"];
    let report = run_quietly(&request(&broker, WORKLOAD, &settings)).unwrap();
    assert_eq!(report.load, "closed");
    assert_eq!(report.verification.subscriptions, 1);
    assert_eq!(report.throughput.consumed_records_per_second, 0.0);
    assert!(report.workload.notes.iter().any(|note| note.contains("closed loop")));
}

/// The broker answers nobody for a second while 500 records a second are due and one request may be in flight.
/// Half a thousand records wait for it: the open loop's response shows them, service shows one slow request.
#[test]
fn a_stall_of_the_broker_shows_in_the_response_and_hides_from_service() {
    let stall = Duration::from_secs(1);
    let broker = SmallBroker::start(Fault::Stall { at: 1_200, time: stall });
    let settings = ["client=raw", "durationSeconds=4"];
    let report = run_quietly(&request(&broker, WORKLOAD, &settings)).unwrap();
    let percentile = |latency, percent| {
        let summary = report.latencies.get(latency).unwrap();
        let found = summary.percentiles.iter().find(|found| found.percent == percent);
        found.map(|found| Duration::from_nanos(found.nanoseconds)).unwrap()
    };
    // An eighth of the run's records wait for half the stall or longer; one in ten is p90.
    assert!(percentile(Latency::Response, 90.0) >= stall / 4);
    assert!(percentile(Latency::EndToEnd, 90.0) >= stall / 4);
    assert!(percentile(Latency::ScheduleDelay, 90.0) >= stall / 4, "the wait before sending");
    assert!(percentile(Latency::Service, 90.0) < percentile(Latency::Response, 90.0) / 2);
    let service = report.latencies.get(Latency::Service).unwrap();
    assert!(Duration::from_nanos(service.max_nanoseconds) >= stall, "the one slow request");
}

fn failure_of(fault: Fault, settings: &[&str]) -> Failure {
    let broker = SmallBroker::start(fault);
    run_quietly(&request(&broker, WORKLOAD, settings)).unwrap_err()
}

#[test]
fn what_a_broker_does_to_records_leaves_a_run_without_result() {
    for client in ["client=raw", "client=rdkafka"] {
        for fault in [
            Fault::Double { at: 50 },
            Fault::DoubleLast,
            Fault::Alter { at: 50 },
            Fault::Swap { at: 51 },
            Fault::Lose { at: 50 },
        ] {
            if client == "client=rdkafka" && matches!(fault, Fault::Lose { .. }) {
                continue; // It takes its time to wait for what does not come.
            }
            // With one partition, the batch before is of the same one.
            let failure = failure_of(fault, &[client, "partitionsPerTopic=1"]);
            assert_eq!(failure.exit, Exit::NotVerified, "{client} {fault:?}: {failure}");
            assert!(failure.sentence.starts_with("no result:"), "{failure}");
        }
    }
}

#[test]
fn a_broker_that_refuses_or_dies_leaves_a_sentence() {
    let refused = failure_of(Fault::Refuse { at: 50 }, &["client=raw"]);
    assert_eq!(refused.exit, Exit::Failed);
    assert!(refused.sentence.contains("refused"), "{refused}");
    for client in ["client=raw", "client=rdkafka"] {
        let dead = failure_of(Fault::Die { at: 50 }, &[client]);
        assert_eq!(dead.exit, Exit::Failed, "{client}: {dead}");
        assert!(dead.sentence.starts_with("no result:"), "{client}: {dead}");
    }
}

/// What OpenMessaging's chart script and its converter to CSV read.
#[test]
fn the_files_of_a_run_have_what_other_programs_read() {
    let broker = SmallBroker::start(Fault::Nothing);
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let out: PathBuf = folder.path().join("result");
    let mut request = request(&broker, WORKLOAD, &["client=raw", "durationSeconds=2"]);
    request.out = Some(out.clone());
    run_quietly(&request).unwrap();
    let json = |name: &str| -> serde_json::Value {
        serde_json::from_str(&std::fs::read_to_string(out.join(name)).unwrap()).unwrap()
    };
    let omb = json("omb-result.json");
    assert_eq!((&omb["workload"], &omb["driver"]), (&"small".into(), &"small".into()));
    for field in ["messageSize", "topics", "partitions", "producersPerTopic", "consumersPerTopic"] {
        assert!(omb[field].is_u64(), "{field}");
    }
    let endings =
        ["Avg", "50pct", "75pct", "95pct", "99pct", "999pct", "9999pct", "99999pct", "Max"];
    for name in ["publishLatency", "publishDelayLatency", "endToEndLatency"] {
        let capital = name[..1].to_uppercase() + &name[1..];
        for ending in endings {
            let series = omb[format!("{name}{ending}")].as_array().unwrap();
            assert_eq!(series.len(), 1, "{name}{ending}: one entry for up to ten seconds");
            assert!(series[0].is_number());
            assert!(omb[format!("aggregated{capital}{ending}")].is_number(), "{name}{ending}");
        }
        let quantiles = omb[format!("aggregated{capital}Quantiles")].as_object().unwrap();
        let percents: Vec<f64> = quantiles.keys().map(|key| key.parse().unwrap()).collect();
        assert!(
            percents.len() > 5 && percents.iter().all(|percent| (0.0..=100.0).contains(percent))
        );
        assert!(quantiles.values().all(serde_json::Value::is_number));
    }
    for rate in ["publishRate", "publishErrorRate", "consumeRate", "backlog"] {
        assert_eq!(omb[rate].as_array().unwrap().len(), 1, "{rate}");
    }
    assert_eq!(json("result.json")["verification"]["is_verified"], true);
    let manifest = json("manifest.json");
    assert!(manifest["machine"]["facts"]["kernel"].is_object());
    assert_eq!(manifest["workload"]["own"]["seed"], 1);
    let csv = std::fs::read_to_string(out.join("timeseries.csv")).unwrap();
    assert_eq!(csv.lines().filter(|line| line.contains(",measuring,")).count(), 2);
    let used = std::fs::read_to_string(out.join("used.csv")).unwrap();
    assert!(used.lines().count() >= 3, "two seconds were measured: {used}");
    let curves = json("distributions.json");
    assert_eq!(curves.as_array().unwrap().len(), Latency::ALL.len());
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("Verified.") && page.contains("<svg"));
    assert_eq!(page.matches("Histogram: ").count(), 2 * Latency::ALL.len(), "title and label");
    let log = std::fs::read_to_string(out.join("latencies.hlog")).unwrap();
    assert!(log.lines().any(|line| line.starts_with("Tag=response,")));
    // A second run does not replace the first one's files.
    assert!(run_quietly(&request).unwrap_err().sentence.contains("--out"));
}

/// A test's machine is never quiet, and nothing in a search's tests is about time.
fn nothing_disturbs(request: &mut RunRequest) {
    let rules = &mut request.workload.own.invalidation;
    rules.steal_percent_max = 100.0;
    rules.other_cpu_percent_max = 100.0;
    rules.client_cpu_percent_max = 1e9;
    rules.schedule_delay_milliseconds_max = 1e9;
}

fn searched(
    out: &std::path::Path,
    search: impl FnOnce(&mut Search<'_>) -> Result<SearchReport, Failure>,
) -> SearchReport {
    let broker = SmallBroker::start(Fault::Nothing);
    let mut request = request(&broker, WORKLOAD, &["client=raw", "producerRate=100"]);
    nothing_disturbs(&mut request);
    request.out = Some(out.to_owned());
    let report = search(&mut Search { request, observe: &mut |_| {} }).unwrap();
    let kind = report.kind;
    let text = std::fs::read_to_string(out.join(format!("{kind}.json"))).unwrap();
    let file: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(file["steps"].as_array().unwrap().len(), report.steps.len());
    assert!(std::fs::read_to_string(out.join("report.html")).unwrap().contains("<svg"));
    for step in &report.steps {
        assert!(step.is_verified && step.records_acknowledged > 0);
        assert!(out.join(step.folder.as_ref().unwrap()).join("result.json").is_file());
    }
    report
}

#[test]
fn a_ramp_runs_each_rate_and_leaves_its_files() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let plan = RampPlan { from: 100.0, to: 300.0, spacing: Spacing::Steps(2) };
    let report = searched(&folder.path().join("ramp"), |search| search.ramp(&plan));
    let rates: Vec<f64> = report.steps.iter().map(|step| step.offered_records_per_second).collect();
    assert_eq!(rates, [100.0, 300.0]);
}

#[test]
fn an_objective_that_no_rate_holds_is_told() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let slo = Slo { latency: Latency::Response, percent: 50.0, milliseconds: 0.000_1 };
    let plan = SloPlan { from: 100.0, to: Some(200.0), precision: 0.05, runs_max: 2 };
    let report = searched(&folder.path().join("missed"), |search| search.slo(&plan, slo));
    assert_eq!(report.records_per_second, None);
    assert!(report.sentence.contains("not held even at 50"), "{}", report.sentence);
}

#[test]
fn what_ran_before_a_search_could_not_go_on_is_kept() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let out = folder.path().join("stopped");
    let broker = SmallBroker::start(Fault::Nothing);
    let mut request = request(&broker, WORKLOAD, &["client=raw"]);
    nothing_disturbs(&mut request);
    request.out = Some(out.clone());
    let slo = Slo { latency: Latency::Response, percent: 50.0, milliseconds: 0.000_1 };
    let plan = SloPlan { from: 100.0, to: Some(200.0), precision: 0.05, runs_max: 3 };
    // The second run finds its folder taken.
    let mut observe = |event: &SearchEvent<'_>| {
        if matches!(event, SearchEvent::Step(_)) {
            std::fs::create_dir(out.join("steps/02-50")).unwrap();
        }
    };
    let failure = Search { request, observe: &mut observe }.slo(&plan, slo).unwrap_err();
    assert!(failure.sentence.contains("02-50"), "{failure}");
    let text = std::fs::read_to_string(out.join("slo.json")).unwrap();
    let file: serde_json::Value = serde_json::from_str(&text).unwrap();
    let steps = file["steps"].as_array().unwrap();
    assert_eq!((steps.len(), &steps[0]["is_verified"]), (2, &true.into()));
    assert!(steps[1]["reason"].as_str().unwrap().contains("02-50"), "{}", steps[1]);
    let sentence = file["sentence"].as_str().unwrap();
    assert!(sentence.starts_with("ended by run 2: "), "{sentence}");
}
