//! What users have: consumers of librdkafka in a group of their own, beside all the members that cost nothing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::Message;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

const GROUP: &str = "real";
const POLL: Duration = Duration::from_millis(50);
const SETTLE: Duration = Duration::from_secs(60);

/// Which partitions a client has, and how often that changed.
#[derive(Default)]
struct Share {
    partitions: AtomicU64,
    rebalances: AtomicU64,
}

struct Context(Arc<Share>);

impl ClientContext for Context {}

impl ConsumerContext for Context {
    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        self.0.rebalances.fetch_add(1, Ordering::Relaxed);
        let count = match rebalance {
            Rebalance::Assign(partitions) => partitions.count(),
            Rebalance::Revoke(_) | Rebalance::Error(_) => 0,
        };
        self.0.partitions.store(count as u64, Ordering::Relaxed);
    }
}

pub(crate) struct Team {
    shares: Vec<Arc<Share>>,
    /// (partition, offset) of all that is read.
    read: Receiver<(i32, i64)>,
    stops: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    bootstrap: String,
    topic: String,
}

impl Team {
    pub(crate) fn start(bootstrap: &str, topic: &str, clients: usize) -> Self {
        let (tell, read) = channel();
        let stops = Arc::new(AtomicBool::new(false));
        let shares: Vec<Arc<Share>> = (0..clients).map(|_| Arc::default()).collect();
        let threads = shares.iter().map(|share| {
            let consumer: BaseConsumer<Context> = ClientConfig::new()
                .set("bootstrap.servers", bootstrap)
                .set("broker.address.family", "v4")
                .set("group.id", GROUP)
                .set("auto.offset.reset", "earliest")
                .set("enable.auto.commit", "true")
                .set("auto.commit.interval.ms", "1000")
                .create_with_context(Context(Arc::clone(share)))
                .unwrap();
            consumer.subscribe(&[topic]).unwrap();
            let (tell, stops) = (tell.clone(), Arc::clone(&stops));
            std::thread::spawn(move || {
                while !stops.load(Ordering::Relaxed) {
                    if let Some(Ok(record)) = consumer.poll(POLL) {
                        let _ = tell.send((record.partition(), record.offset()));
                    }
                }
            })
        });
        let threads = threads.collect();
        let (bootstrap, topic) = (bootstrap.to_owned(), topic.to_owned());
        Self { shares, read, stops, threads, bootstrap, topic }
    }

    /// Waits until the clients share all partitions evenly.
    pub(crate) fn settle(&self, partitions: u64) {
        let (begun, each) = (Instant::now(), partitions / self.shares.len() as u64);
        let has_its_share = |share: &Arc<Share>| share.partitions.load(Ordering::Relaxed) == each;
        while !self.shares.iter().all(has_its_share) {
            assert!(begun.elapsed() < SETTLE, "the real clients do not settle");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn rebalances(&self) -> u64 {
        self.shares.iter().map(|share| share.rebalances.load(Ordering::Relaxed)).sum()
    }

    /// Produces records; gives how many of them were read, and how many of these more than once.
    pub(crate) fn reads(&self, records: usize) -> (usize, u64) {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .set("broker.address.family", "v4")
            .create()
            .unwrap();
        for at in 0..records {
            let key = at.to_string();
            producer.send(BaseRecord::to(&self.topic).payload("value").key(&key)).unwrap();
        }
        producer.flush(SETTLE).unwrap();
        let (mut read, mut again) = (BTreeSet::new(), 0);
        while read.len() < records
            && let Ok(place) = self.read.recv_timeout(SETTLE)
        {
            again += u64::from(!read.insert(place));
        }
        (read.len(), again)
    }

    pub(crate) fn stop(self) {
        self.stops.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}
