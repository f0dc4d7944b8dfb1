//! Ctrl-C in a run. A program of its own: a signal is the whole process's.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps nothing")]

#[expect(dead_code, reason = "other tests make other things go wrong")]
#[path = "run/small_broker.rs"]
mod small_broker;

use bench_harness::failure::Exit;
use bench_harness::interruption;
use bench_harness::run::{Event, RunRequest, run};
use bench_harness::workload::{Source, Workload};
use rustix::process::{Signal, getpid, kill_process};
use small_broker::{Fault, SmallBroker};

/// Longer than anybody waits for a test.
const WORKLOAD: &str = "
name: long
topics: 2
partitionsPerTopic: 1
messageSize: 100
subscriptionsPerTopic: 1
consumerPerSubscription: 1
producersPerTopic: 1
producerRate: 100
testDurationMinutes: 60
corelane: {warmUp: 0}
";

#[test]
fn a_run_that_is_interrupted_ends_without_a_result_and_removes_its_topics() {
    interruption::listen().unwrap();
    let broker = SmallBroker::start(Fault::Nothing);
    let source = Source { text: WORKLOAD, directory: None, settings: &[] };
    let request = RunRequest {
        workload: Workload::parse(&source).unwrap(),
        bootstrap: broker.bootstrap(),
        label: "small".to_owned(),
        broker_process: None,
        metrics: None,
        keep_topics: false,
        out: None,
        arguments: Vec::new(),
        limits: None,
    };
    let failure = run(&request, &mut |event| {
        if matches!(event, Event::Measuring { .. }) {
            kill_process(getpid(), Signal::INT).unwrap();
        }
    })
    .unwrap_err();
    assert_eq!(failure.exit, Exit::Interrupted, "{failure}");
    assert_eq!((broker.topics(), broker.deleted()), (0, 2));
}
