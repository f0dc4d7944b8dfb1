//! The requests of one connection that have not been answered towards the peer: the queue that puts
//! responses back into request order, whatever order they are given in.
//!
//! ```text
//!   first                          next
//!   │                              │
//!   ▼                              ▼
//!   pending  ready  ready  pending          the two ready ones wait for the pending one before them
//! ```

use std::collections::VecDeque;

use bytes::Bytes;

use crate::ids::Sequence;
use crate::request_memory::Charge;

/// What follows once an answer has left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Then {
    Continue,
    Close,
}

/// The answer to a request: no parts where the request wants none (acks=0).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) parts: Vec<Bytes>,
    pub(crate) bytes: usize,
    /// Of these, records: they are expected in log memory.
    pub(crate) record_bytes: usize,
    pub(crate) then: Then,
}

impl Answer {
    pub(crate) fn new(parts: Vec<Bytes>, then: Then) -> Self {
        let bytes = parts.iter().map(Bytes::len).sum();
        Self { parts, bytes, record_bytes: 0, then }
    }

    pub(crate) fn with_records(parts: Vec<Bytes>, record_bytes: usize) -> Self {
        Self { record_bytes, ..Self::new(parts, Then::Continue) }
    }
}

#[derive(Debug)]
struct Request {
    /// `None` once given back, early or with the answer.
    charge: Option<Charge>,
    answer: Option<Answer>,
}

/// The unanswered requests of one connection, oldest first.
#[derive(Debug, Default)]
pub(crate) struct RequestOrder {
    first: u64,
    requests: VecDeque<Request>,
}

impl RequestOrder {
    pub(crate) fn len(&self) -> usize {
        self.requests.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// Whether the broker still owes an answer.
    pub(crate) fn has_pending(&self) -> bool {
        self.requests.iter().any(|request| request.answer.is_none())
    }

    pub(crate) fn push(&mut self, charge: Charge) -> Sequence {
        self.requests.push_back(Request { charge: Some(charge), answer: None });
        Sequence(self.first + crate::metrics::count(self.requests.len() - 1))
    }

    /// Whether every request before this one is answered.
    pub(crate) fn is_oldest(&self, sequence: Sequence) -> bool {
        let mut pending = (self.first..).zip(&self.requests).filter(|of| of.1.answer.is_none());
        pending.next().is_none_or(|(oldest, _)| oldest >= sequence.0)
    }

    /// Takes an answer. Each request has exactly one: a second is a fault of the broker.
    pub(crate) fn answer(&mut self, sequence: Sequence, answer: Answer) -> Option<Charge> {
        let request = self.request_mut(sequence);
        assert!(request.answer.is_none(), "request {sequence:?} is answered twice");
        request.answer = Some(answer);
        request.charge.take()
    }

    /// Gives a request's memory back before its answer.
    pub(crate) fn release(&mut self, sequence: Sequence) -> Option<Charge> {
        self.request_mut(sequence).charge.take()
    }

    /// The next answer in request order, once it is there.
    pub(crate) fn pop_ready(&mut self) -> Option<Answer> {
        self.requests.front()?.answer.as_ref()?;
        self.first += 1;
        self.requests.pop_front()?.answer
    }

    /// Response bytes that wait for an older request's answer.
    pub(crate) fn ready_bytes(&self) -> usize {
        self.requests.iter().filter_map(|request| request.answer.as_ref()).map(|a| a.bytes).sum()
    }

    /// The connection is gone: what was answered is dropped, what was not keeps its memory.
    pub(crate) fn drop_answers(&mut self) {
        for answer in self.requests.iter_mut().filter_map(|request| request.answer.as_mut()) {
            *answer = Answer::new(Vec::new(), Then::Continue);
        }
    }

    pub(crate) fn charges(&self) -> impl Iterator<Item = &Charge> {
        self.requests.iter().filter_map(|request| request.charge.as_ref())
    }

    /// The room that a burst of requests left behind, given back when the connection falls idle.
    pub(crate) fn shrink(&mut self) {
        if self.requests.is_empty() {
            self.requests.shrink_to(0);
        }
    }

    fn request_mut(&mut self, sequence: Sequence) -> &mut Request {
        let place =
            sequence.0.checked_sub(self.first).and_then(|place| usize::try_from(place).ok());
        place
            .and_then(|place| self.requests.get_mut(place))
            .expect("only a request that was received and not yet answered is named")
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, Bytes, RequestOrder, Sequence, Then};
    use crate::limits::Limits;
    use crate::request_memory::RequestMemory;

    fn filled(requests: usize) -> RequestOrder {
        let arena = runtime::memory::Arena::new(2 << 20).unwrap();
        let mut memory = RequestMemory::new(&Limits::default(), arena);
        let mut order = RequestOrder::default();
        for _ in 0..requests {
            let connection = crate::ids::ConnectionId::new(0, 0);
            let _ = order.push(memory.reserve_small(connection, 10).unwrap());
        }
        order
    }

    fn text(text: &'static str) -> Answer {
        Answer::new(vec![Bytes::from_static(text.as_bytes())], Then::Continue)
    }

    #[test]
    fn answers_leave_in_request_order() {
        let mut order = filled(3);
        assert!(order.answer(Sequence(2), text("ccc")).is_some());
        assert!(order.answer(Sequence(1), text("bb")).is_some());
        assert_eq!((order.pop_ready(), order.ready_bytes()), (None, 5));
        assert!(order.answer(Sequence(0), text("a")).is_some());
        assert_eq!(order.pop_ready(), Some(text("a")));
        assert_eq!(order.pop_ready(), Some(text("bb")));
        assert_eq!(order.pop_ready(), Some(text("ccc")));
        assert_eq!((order.pop_ready(), order.is_empty()), (None, true));
    }

    #[test]
    fn memory_given_back_early_is_not_given_back_again() {
        let mut order = filled(1);
        assert!(order.release(Sequence(0)).is_some());
        assert!(order.answer(Sequence(0), text("a")).is_none());
    }

    #[test]
    #[should_panic(expected = "answered twice")]
    fn a_second_answer_is_a_fault() {
        let mut order = filled(2);
        let _ = order.answer(Sequence(1), text("b"));
        let _ = order.answer(Sequence(1), text("b"));
    }
}
