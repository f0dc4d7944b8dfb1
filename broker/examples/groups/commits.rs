//! Offset commits at a steady rate, over several connections, until told to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use protocol::Str;
use protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetCommitResponse,
};

use crate::member::Line;

const COMMIT: i16 = 8;
const CONNECTIONS: u32 = 4;
/// Requests that a connection sends at once.
const BURST: u32 = 20;

pub(crate) struct Commits {
    stops: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
    begun: Instant,
}

impl Commits {
    /// One offset a request, of a consumer that is in no group's membership.
    pub(crate) fn start(bootstrap: &str, topic: &str, partitions: i32, per_second: u32) -> Self {
        let (stops, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let threads = (0..CONNECTIONS).map(|at| {
            let mut line = Line::connect(bootstrap);
            let (stops, answered) = (Arc::clone(&stops), Arc::clone(&answered));
            let (group, topic) = (format!("commits-{at}"), topic.to_owned());
            let pause = Duration::from_secs(1) * BURST * CONNECTIONS / per_second;
            std::thread::spawn(move || {
                line.find_coordinator(&group);
                let (mut offset, mut due) = (0, Instant::now());
                while !stops.load(Ordering::Relaxed) {
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                    due += pause;
                    let requests = (0..BURST).map(|_| {
                        offset += 1;
                        commit(&group, &topic, offset, partitions)
                    });
                    line.send(COMMIT, requests.collect::<Vec<_>>());
                    for _ in 0..BURST {
                        let answer: OffsetCommitResponse = line.receive(COMMIT);
                        assert_eq!(answer.topics[0].partitions[0].error_code, 0, "committed");
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        });
        let threads = threads.collect();
        Self { stops, answered, threads, begun: Instant::now() }
    }

    /// Commits a second that were answered.
    pub(crate) fn stop(self) -> f64 {
        let elapsed = self.begun.elapsed().as_secs_f64();
        let answered = self.answered.load(Ordering::Relaxed);
        self.stops.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        answered as f64 / elapsed
    }
}

fn commit(group: &str, topic: &str, offset: i64, partitions: i32) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition {
        partition_index: i32::try_from(offset).unwrap_or(0) % partitions,
        committed_offset: offset,
        ..OffsetCommitRequestPartition::default()
    };
    OffsetCommitRequest {
        group_id: Str::from(group),
        generation_id_or_member_epoch: -1,
        topics: vec![OffsetCommitRequestTopic {
            name: Str::from(topic),
            partitions: vec![partition],
        }],
        ..OffsetCommitRequest::default()
    }
}
