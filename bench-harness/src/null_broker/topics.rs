//! Which topics there are: one thread has them, connections ask it and remember what it said. A partition is its next
//! offset and nothing else.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use crate::limits::PARTITIONS_MAX;

/// A topic, also while it is being deleted and somebody still writes to it.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) name: String,
    next_offsets: Vec<AtomicI64>,
    is_deleted: AtomicBool,
}

impl Topic {
    pub(super) fn partitions(&self) -> usize {
        self.next_offsets.len()
    }

    pub(super) fn is_deleted(&self) -> bool {
        self.is_deleted.load(Ordering::Relaxed)
    }

    /// Gives the first of so many offsets; `None` where there is no such partition.
    pub(super) fn assign(&self, partition: i32, count: i64) -> Option<i64> {
        Some(self.partition(partition)?.fetch_add(count, Ordering::Relaxed))
    }

    pub(super) fn next_offset(&self, partition: i32) -> Option<i64> {
        Some(self.partition(partition)?.load(Ordering::Relaxed))
    }

    fn partition(&self, partition: i32) -> Option<&AtomicI64> {
        self.next_offsets.get(usize::try_from(partition).ok()?)
    }
}

/// Why a topic is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotCreated {
    Exists,
    /// None, or more than a run has.
    Partitions,
}

enum Question {
    Create { name: String, partitions: i32, reply: Sender<Result<(), NotCreated>> },
    Delete { name: String, reply: Sender<bool> },
    Find { name: String, reply: Sender<Option<Arc<Topic>>> },
    All { reply: Sender<Vec<Arc<Topic>>> },
}

/// Asks the thread that has them, which ends with the last of these.
#[derive(Clone)]
pub(super) struct Topics {
    questions: Sender<Question>,
    producer_ids: Arc<AtomicI64>,
}

impl Topics {
    pub(super) fn start() -> io::Result<Self> {
        let (questions, asked) = channel();
        std::thread::Builder::new().name("null-topics".to_owned()).spawn(move || keep(&asked))?;
        Ok(Self { questions, producer_ids: Arc::default() })
    }

    pub(super) fn create(&self, name: &str, partitions: i32) -> Result<(), NotCreated> {
        self.ask(|reply| Question::Create { name: name.to_owned(), partitions, reply })
    }

    pub(super) fn delete(&self, name: &str) -> bool {
        self.ask(|reply| Question::Delete { name: name.to_owned(), reply })
    }

    pub(super) fn find(&self, name: &str) -> Option<Arc<Topic>> {
        self.ask(|reply| Question::Find { name: name.to_owned(), reply })
    }

    pub(super) fn all(&self) -> Vec<Arc<Topic>> {
        self.ask(|reply| Question::All { reply })
    }

    pub(super) fn next_producer_id(&self) -> i64 {
        self.producer_ids.fetch_add(1, Ordering::Relaxed)
    }

    fn ask<T>(&self, question: impl FnOnce(Sender<T>) -> Question) -> T {
        let (reply, answer) = channel();
        let sent = self.questions.send(question(reply));
        sent.expect("the thread with the topics goes on as long as somebody can ask");
        answer.recv().expect("every question is answered")
    }
}

fn keep(questions: &Receiver<Question>) {
    let mut topics: BTreeMap<String, Arc<Topic>> = BTreeMap::new();
    for question in questions {
        // Who asked and does not wait any more needs no answer.
        let _ = match question {
            Question::Create { name, partitions, reply } => {
                reply.send(create(&mut topics, name, partitions)).is_ok()
            }
            Question::Delete { name, reply } => {
                let deleted = topics.remove(&name);
                if let Some(topic) = &deleted {
                    topic.is_deleted.store(true, Ordering::Relaxed);
                }
                reply.send(deleted.is_some()).is_ok()
            }
            Question::Find { name, reply } => reply.send(topics.get(&name).cloned()).is_ok(),
            Question::All { reply } => reply.send(topics.values().cloned().collect()).is_ok(),
        };
    }
}

fn create(
    topics: &mut BTreeMap<String, Arc<Topic>>,
    name: String,
    partitions: i32,
) -> Result<(), NotCreated> {
    if topics.contains_key(&name) {
        return Err(NotCreated::Exists);
    }
    // Kafka's -1 is the broker's default, which is 1.
    let count = usize::try_from(if partitions == -1 { 1 } else { partitions }).unwrap_or(0);
    let present: usize = topics.values().map(|topic| topic.partitions()).sum();
    if count == 0 || present + count > PARTITIONS_MAX {
        return Err(NotCreated::Partitions);
    }
    let next_offsets = (0..count).map(|_| AtomicI64::new(0)).collect();
    let topic = Topic { name: name.clone(), next_offsets, is_deleted: AtomicBool::new(false) };
    topics.insert(name, Arc::new(topic));
    Ok(())
}
