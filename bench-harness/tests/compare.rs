//! Comparisons of brokers in this process: one with itself, and one that stalls.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps nothing")]

#[expect(dead_code, reason = "other tests make other things go wrong")]
#[path = "run/small_broker.rs"]
mod small_broker;

use std::path::{Path, PathBuf};
use std::time::Duration;

use bench_harness::brokers::Place;
use bench_harness::compare::contender::Contender;
use bench_harness::compare::plan::{CasePlan, RateChoice};
use bench_harness::compare::standard::{NamedWorkload, named};
use bench_harness::compare::{CompareRequest, Compared, Event, compare};
use bench_harness::failure::Exit;
use bench_harness::results::comparison::{Case, Comparison, Metric, MetricRatio};
use small_broker::{Fault, SmallBroker};

const MEASURED_SECONDS: f64 = 1.0;

/// One record a batch, read as it comes, of blocks that last a second.
const WORKLOAD: &str = "
name: small
topics: 1
partitionsPerTopic: 2
messageSize: 100
subscriptionsPerTopic: 1
consumerPerSubscription: 1
producersPerTopic: 1
producerRate: 1000
testDurationMinutes: 1
corelane:
  client: raw
  batchBytes: 1
  inFlightMax: 1
  warmUp: 0
  durationSeconds: 1
  invalidation:
    stealPercentMax: 100
    otherCpuPercentMax: 100
    clientCpuPercentMax: 1000
";

fn case(contenders: &[Contender], settings: &[&str]) -> CasePlan {
    let workload = NamedWorkload {
        name: "small".to_owned(),
        text: WORKLOAD.to_owned(),
        directory: None,
        settings: settings.iter().map(|text| (*text).to_owned()).collect(),
    };
    named(&workload, contenders).unwrap()
}

/// Two contenders with ids of their own.
fn contenders(a: &SmallBroker, b: &SmallBroker) -> Vec<Contender> {
    let one = |broker: &SmallBroker, id: &str| {
        let mut contender = Contender::address(&broker.bootstrap());
        id.clone_into(&mut contender.subject.id);
        contender
    };
    vec![one(a, "a"), one(b, "b")]
}

fn request(
    contenders: Vec<Contender>,
    cases: Vec<CasePlan>,
    blocks: u32,
    out: Option<PathBuf>,
) -> CompareRequest {
    CompareRequest {
        contenders,
        cases,
        control_seconds: Some(1.0),
        blocks,
        measured_seconds: MEASURED_SECONDS,
        warm_up_seconds_min: 0.0,
        place: Place { keeper: "nothing is started".into(), folder: "nowhere".into() },
        out,
        arguments: Vec::new(),
        limits: None,
        limits_missing: Some("not measured".to_owned()),
    }
}

fn ratio(case: &Case, metric: Metric) -> MetricRatio {
    case.pairs[0].ratios.iter().find(|ratio| ratio.metric == metric).unwrap().clone()
}

fn read(folder: &Path) -> Comparison {
    serde_json::from_str(&std::fs::read_to_string(folder.join("compare.json")).unwrap()).unwrap()
}

#[test]
fn a_broker_is_compared_with_itself_from_blocks_to_files() {
    let broker = SmallBroker::start(Fault::Nothing);
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let out = folder.path().join("result");
    let all = contenders(&broker, &broker);
    let mut half = case(&all, &[]);
    "half".clone_into(&mut half.id);
    half.rate = RateChoice::HalfOfSlowest { case: 0 };
    let cases = vec![case(&all, &["producerRate=0", "inFlightMax=4"]), half];
    let request = request(all, cases, 2, Some(out.clone()));
    let mut begun = Vec::new();
    let Compared { comparison, exit } = compare(&request, &mut |event| {
        if let Event::Begins { run, runs, case, attempt: 1, .. } = event {
            begun.push(format!("{case} {run}/{runs}"));
        }
    })
    .unwrap();
    assert_eq!(exit, Exit::Done);
    assert_eq!((begun.len(), begun[0].as_str()), (12, "control 1/12"));
    assert_eq!(begun[11], "half 12/12");

    // The file is what was returned, and each run has a folder of its own.
    let shape = |comparison: &Comparison| {
        let all = comparison.control.iter().chain(&comparison.cases);
        all.map(|case| (case.id.clone(), case.runs.len(), case.pairs[0].ratios.len()))
            .collect::<Vec<_>>()
    };
    assert_eq!(shape(&read(&out)), shape(&comparison));
    assert!(out.join("report.html").is_file());
    for run in comparison.cases.iter().flat_map(|case| &case.runs) {
        assert!(run.counts && run.report.as_ref().unwrap()["verification"]["is_verified"] == true);
        assert!(out.join(run.folder.as_ref().unwrap()).join("result.json").is_file());
    }

    let control = comparison.control.as_ref().unwrap();
    assert_eq!(control.subjects, ["a#1", "a#2"]);
    assert_eq!(ratio(control, Metric::AcknowledgedBytes).ratio.unwrap().observations, 2);

    let [saturation, half] = &comparison.cases[..] else { panic!("two cases") };
    let order: Vec<&str> = saturation.runs.iter().map(|run| run.subject.as_str()).collect();
    assert_eq!(order, ["a", "b", "b", "a"]);
    assert_eq!((saturation.load.as_str(), half.load.as_str()), ("closed", "open"));
    let closed = &saturation.pairs[0].ratios;
    assert!(closed.iter().all(|ratio| ratio.metric != Metric::ResponseP99), "a closed loop");
    let rates: Vec<f64> =
        half.runs.iter().map(|run| run.offered_records_per_second.unwrap()).collect();
    assert!(rates.iter().all(|rate| *rate == rates[0] && *rate >= 1.0), "{rates:?}");
    assert!(ratio(half, Metric::ResponseP50).ratio.is_some());
    // What is due is the same in each run, and each of its records has a latency or was never sent: how many are
    // acknowledged within the second is the machine's affair.
    for run in &half.runs {
        let report = run.report.as_ref().unwrap();
        let timed = report["latencies"]["response"]["samples"].as_u64().unwrap();
        let unsent = report["throughput"]["unsent_records"].as_u64().unwrap();
        let due = rates[0] * MEASURED_SECONDS;
        assert!((due - (timed + unsent) as f64).abs() <= 2.0, "{due} {timed} {unsent}");
    }
    assert_eq!((broker.topics(), broker.deleted()), (0, 12), "no topic stays with an address");
}

/// One broker answers nobody for a second. An open loop's p99 shows that as a ratio; a closed loop would send nothing
/// meanwhile and have one slow request among thousands.
#[test]
fn a_stalling_broker_is_worse_by_its_stall() {
    let steady = SmallBroker::start(Fault::Nothing);
    let stalling = SmallBroker::start(Fault::Stall { at: 500, time: Duration::from_secs(1) });
    let all = contenders(&steady, &stalling);
    let cases = vec![case(&all, &["durationSeconds=4"])];
    let mut request = request(all, cases, 1, None);
    request.control_seconds = None;
    let compared = compare(&request, &mut |_| {}).unwrap().comparison;
    let found = ratio(&compared.cases[0], Metric::ResponseP99);
    assert!(found.b.unwrap().mean >= 250.0, "a quarter of the run's records waited: {found:?}");
    assert!(found.ratio.unwrap().mean < 0.9, "{found:?}");
    assert_eq!(found.ratio.unwrap().from, None, "one block has no interval");
    // By the rules that everybody gets, and it is not tried again until the broker is quiet.
    let runs = &compared.cases[0].runs;
    assert_eq!(runs.len(), 2);
    assert!(runs[1].counts && runs[1].remark.as_ref().unwrap().contains("did not keep up"));
}

#[test]
fn a_broker_that_alters_records_has_no_figure_and_ends_with_its_own_exit_code() {
    let honest = SmallBroker::start(Fault::Nothing);
    let altering = SmallBroker::start(Fault::Alter { at: 50 });
    let all = contenders(&honest, &altering);
    let cases = vec![case(&all, &["partitionsPerTopic=1"])];
    let mut request = request(all, cases, 1, None);
    request.control_seconds = None;
    let compared = compare(&request, &mut |_| {}).unwrap();
    assert_eq!(compared.exit, Exit::NotVerified, "although the repeat verified");
    let runs = &compared.comparison.cases[0].runs;
    let told: Vec<(&str, u32, bool)> =
        runs.iter().map(|run| (run.subject.as_str(), run.attempt, run.counts)).collect();
    assert_eq!(told, [("a", 1, false), ("b", 1, false), ("a", 2, true), ("b", 2, true)]);
    assert!(runs[1].report.is_none() && runs[1].reason.as_ref().unwrap().contains("not verify"));
}
