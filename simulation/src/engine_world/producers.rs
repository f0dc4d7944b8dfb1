//! Idempotent producers: up to five batches in flight, sent again in order until each is acknowledged.

use std::collections::VecDeque;

use broker::engine::request::AppendError;
use broker::protocol::record_batch::{Producer, increment_sequence};
use broker::protocol::{ProducerEpoch, ProducerId};
use bytes::Bytes;

use super::{EngineWorld, LogKey};
use crate::batches::{BatchNumber, BatchShape};
use crate::log::LogState;
use crate::violation::{Checked, Checker};

/// Batches that a producer has in flight at most, and that a partition remembers of it.
const IN_FLIGHT_MAX: usize = 5;

/// Sequences of some producers begin here, so that they wrap.
const SEQUENCE_NEAR_WRAP: i32 = i32::MAX - 6;

#[derive(Debug, Default)]
pub(super) struct Producers {
    clients: Vec<Client>,
}

#[derive(Debug)]
struct Client {
    /// `None`: its partition is gone.
    log: Option<LogKey>,
    id: ProducerId,
    epoch: ProducerEpoch,
    next_sequence: i32,
    /// In order of their sequences.
    unacknowledged: VecDeque<Pending>,
    /// The last ones acknowledged: their duplicates are still recognised.
    recent: VecDeque<BatchNumber>,
    /// Something failed: all that is unacknowledged is sent again once nothing is in flight.
    resends: bool,
}

#[derive(Debug)]
struct Pending {
    number: BatchNumber,
    bytes: Bytes,
    in_flight: u32,
    acknowledged: bool,
    /// Everything before it was acknowledged when it was sent: it cannot be out of order.
    is_first: bool,
}

impl Producers {
    pub(super) fn are_busy(&self) -> bool {
        self.clients.iter().any(|client| client.log.is_some() && !client.unacknowledged.is_empty())
    }

    pub(super) fn count(&self) -> usize {
        self.clients.iter().filter(|client| client.log.is_some()).count()
    }

    /// The node is gone, and with it every answer that was due.
    pub(super) fn disconnect(&mut self) {
        for client in &mut self.clients {
            client.resends = true;
            for pending in &mut client.unacknowledged {
                pending.in_flight = 0;
            }
        }
    }

    /// The partition is no more.
    pub(super) fn leave(&mut self, log: LogKey) {
        for client in self.clients.iter_mut().filter(|client| client.log == Some(log)) {
            client.log = None;
        }
    }
}

impl EngineWorld {
    /// A new producer for `log`.
    pub(super) fn add_producer(&mut self, log: LogKey) {
        let id = ProducerId(1_000 + self.producers.clients.len() as i64);
        let next_sequence = if self.random.one_in(3) { SEQUENCE_NEAR_WRAP } else { 0 };
        self.producers.clients.push(Client {
            log: Some(log),
            id,
            epoch: ProducerEpoch(0),
            next_sequence,
            unacknowledged: VecDeque::new(),
            recent: VecDeque::new(),
            resends: false,
        });
    }

    fn any_client(&mut self) -> Option<usize> {
        let count = self.producers.clients.len() as u64;
        let at = (count > 0).then(|| self.random.below(count) as usize)?;
        self.producers.clients[at].log.is_some().then_some(at)
    }

    /// Some producer sends its next batch, if it may.
    pub(super) fn produce(&mut self) {
        let Some(at) = self.any_client() else { return };
        let client = &self.producers.clients[at];
        let Some(log) = client.log else { return };
        if client.resends
            || client.unacknowledged.len() >= IN_FLIGHT_MAX
            || self.logs[log.0].shard().is_none()
        {
            return;
        }
        let records = 1 + self.random.below(4) as usize;
        let bytes = self.draw_bytes(log);
        let timestamp = self.clock().wall.0;
        let client = &mut self.producers.clients[at];
        let producer =
            Producer { id: client.id, epoch: client.epoch, base_sequence: client.next_sequence };
        let is_keyed = self.logs[log.0].config.cleanup_compact;
        let shape = BatchShape { records, bytes, producer: Some(producer), timestamp, is_keyed };
        client.next_sequence = increment_sequence(client.next_sequence, records as i32);
        let (number, bytes) = self.batches.make(&mut self.random, &shape);
        let is_first = client.unacknowledged.is_empty();
        client.unacknowledged.push_back(Pending {
            number,
            bytes: bytes.clone(),
            in_flight: 1,
            acknowledged: false,
            is_first,
        });
        self.send(log, number, bytes, Some(at));
    }

    /// Some producer sends a batch a second time although it need not: in flight, or acknowledged.
    pub(super) fn produce_again(&mut self) {
        let Some(at) = self.any_client() else { return };
        let client = &mut self.producers.clients[at];
        let Some(log) = client.log.filter(|log| self.logs[log.0].shard().is_some()) else { return };
        if client.resends {
            return;
        }
        let all = client.recent.len() + client.unacknowledged.len();
        // Older ones may have left the partition's memory.
        let known = all.min(IN_FLIGHT_MAX) as u64;
        if known == 0 {
            return;
        }
        let chosen = all - 1 - self.random.below(known) as usize;
        let (number, bytes) = if chosen < client.recent.len() {
            let number = client.recent[chosen];
            let Some(bytes) = self.logs[log.0].bytes_of(number) else { return };
            (number, bytes)
        } else {
            let pending = &mut client.unacknowledged[chosen - client.recent.len()];
            pending.in_flight += 1;
            (pending.number, pending.bytes.clone())
        };
        self.send(log, number, bytes, Some(at));
        self.tally.duplicates += 1;
    }

    /// A producer whose batches are all acknowledged begins a new epoch; one of the old epoch shows up
    /// once more and must be refused.
    pub(super) fn bump_producer(&mut self) {
        let Some(at) = self.any_client() else { return };
        let client = &mut self.producers.clients[at];
        let Some(log) = client.log.filter(|log| self.logs[log.0].shard().is_some()) else { return };
        if !client.unacknowledged.is_empty() {
            return;
        }
        client.epoch.0 += 1;
        client.next_sequence = 0;
        client.recent.clear();
        self.trace.number(at as u64);
        self.note(|world| format!("producer {at} of {} begins an epoch", world.logs[log.0].name));
    }

    /// Producers that had an error send everything again, in order, once nothing is in flight.
    pub(super) fn resend_due(&mut self) {
        for at in 0..self.producers.clients.len() {
            let client = &mut self.producers.clients[at];
            let Some(log) = client.log.filter(|log| self.logs[log.0].shard().is_some()) else {
                continue;
            };
            if !client.resends || client.unacknowledged.iter().any(|pending| pending.in_flight > 0)
            {
                continue;
            }
            client.resends = false;
            let mut due = Vec::new();
            for (place, pending) in client.unacknowledged.iter_mut().enumerate() {
                pending.in_flight = 1;
                pending.is_first = place == 0;
                due.push((pending.number, pending.bytes.clone()));
            }
            self.tally.duplicates += due.len() as u64;
            for (number, bytes) in due {
                self.send(log, number, bytes, Some(at));
            }
        }
    }

    /// An answer for a producer's batch; true if the error is one it could expect.
    pub(super) fn on_produced(
        &mut self,
        at: usize,
        number: BatchNumber,
        error: Option<&AppendError>,
    ) -> Checked {
        let client = &mut self.producers.clients[at];
        let log = client.log;
        let found = client.unacknowledged.iter_mut().find(|pending| pending.number == number);
        let is_first = found.as_ref().is_some_and(|pending| pending.is_first);
        if let Some(pending) = found {
            pending.in_flight = pending.in_flight.saturating_sub(1);
            pending.acknowledged |= error.is_none();
            client.resends |= error.is_some();
        }
        while client.unacknowledged.front().is_some_and(|pending| pending.acknowledged) {
            let pending = client.unacknowledged.pop_front().expect("it was just looked at");
            client.recent.push_back(pending.number);
            if client.recent.len() > IN_FLIGHT_MAX {
                client.recent.pop_front();
            }
        }
        let is_alive = log.is_some_and(|log| self.logs[log.0].state != LogState::Damaged);
        match error {
            Some(
                AppendError::OutOfOrderSequence { .. } | AppendError::InvalidProducerEpoch { .. },
            ) if is_first && is_alive => Err(Checker::ExactlyOnce.violated(format!(
                "{number:?} of producer {at} is the next in its sequence: {error:?}"
            ))),
            _ => Ok(()),
        }
    }
}
