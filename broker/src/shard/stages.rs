//! Where the time of a produce request goes: a histogram for each stage on its way.
//!
//! | stage | from | to | counted on |
//! |---|---|---|---|
//! | `queue` | its last byte was received | its handler began | the connection's shard |
//! | `decode` | its handler began | its batches leave for their owners | the owner's |
//! | `hop` | they left | they arrived at another shard | the owner's |
//! | `admit` | arrived | in the log's memory, with offsets: it may have to wait for some | the owner's |
//! | `journal_wait` | in memory | its journal group is given to the disk | the owner's |
//! | `durable_write` | given to the disk | durable, and all groups before it | the owner's |
//! | `watermark` | durable | readable, and the answer leaves | the owner's |
//! | `hop_back` | the answer left | it arrived at another shard | the connection's |
//! | `total` | the last byte was received | the response is ready to be sent | the connection's |
//!
//! The stages before and behind, a frame's bytes and the response's, are counted by `net`, for all requests alike.
//! A shard reads the clock a few times a turn: what it did to a whole batch of requests counts for each of them.

use engine::request::AppendMoments;
use runtime::clock::Monotonic;
use runtime::durations::Durations;

use super::requests::Stages;

#[derive(Clone, Debug, Default)]
pub struct ProduceStages {
    pub queue: Durations,
    pub decode: Durations,
    pub hop: Durations,
    pub admit: Durations,
    pub journal_wait: Durations,
    pub durable_write: Durations,
    pub watermark: Durations,
    pub hop_back: Durations,
    pub total: Durations,
}

impl ProduceStages {
    /// In the order of a request's way.
    pub fn named(&self) -> [(&'static str, &Durations); 9] {
        [
            ("queue", &self.queue),
            ("decode", &self.decode),
            ("hop", &self.hop),
            ("admit", &self.admit),
            ("journal_wait", &self.journal_wait),
            ("durable_write", &self.durable_write),
            ("watermark", &self.watermark),
            ("hop_back", &self.hop_back),
            ("total", &self.total),
        ]
    }

    /// A batch came to its owner; from another shard if it was posted.
    pub(crate) fn arrived(
        &mut self,
        dispatched: Monotonic,
        posted: Option<Monotonic>,
        now: Monotonic,
    ) {
        self.decode.record(dispatched, posted.unwrap_or(now));
        if let Some(posted) = posted {
            self.hop.record(posted, now);
        }
    }

    /// Its acknowledgement is about to leave.
    pub(crate) fn appended(&mut self, arrived: Monotonic, at: &AppendMoments, now: Monotonic) {
        self.admit.record(arrived, at.accepted);
        if at.durable == at.accepted {
            // Nothing was waited for: memory suffices, or it was a duplicate.
            return;
        }
        self.journal_wait.record(at.accepted, at.submitted);
        self.durable_write.record(at.submitted, at.durable);
        self.watermark.record(at.durable, now);
    }

    pub(crate) fn answered(&mut self, of: &Stages, now: Monotonic) {
        self.queue.record(of.received, of.dispatched);
        self.total.record(of.received, now);
    }
}
