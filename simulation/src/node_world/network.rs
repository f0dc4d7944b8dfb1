//! A virtual connection: bytes take their time, arrive in pieces, and are sent in pieces. Keeps the
//! contract between `net`'s core and its driver.

use std::collections::VecDeque;

use broker::net::{CloseReason, ConnectionId, NetEffect, NetEvent, SendMode};
use broker::runtime::memory::Block;
use bytes::{Buf, Bytes, BytesMut};

use crate::random::Random;

/// A piece takes up to this long, either way.
const LATENCY_NS: u64 = 200_000;
/// What one receive brings at most: a buffer of the driver.
const RECEIVE_BYTES_MAX: u64 = 16 << 10;

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    pub(super) shard: usize,
    /// Pieces of the client's that have not arrived, in order.
    on_the_way: VecDeque<(u64, Bytes)>,
    /// Arrived and not received by the shard.
    arrived: BytesMut,
    receiving: Option<Receiving>,
    sending: Option<Sending>,
    /// Bytes of a zero-copy send that the kernel still holds.
    held: usize,
    /// Sent by the shard and not read by the client.
    sent: BytesMut,
    closing: Option<u64>,
    pub(super) is_closed: bool,
}

#[derive(Debug)]
enum Receiving {
    Small,
    Into { block: Block, from: usize, to: usize },
}

#[derive(Debug)]
struct Sending {
    due: u64,
    rest: VecDeque<Bytes>,
    mode: SendMode,
}

impl Connection {
    pub(super) fn new(id: ConnectionId, shard: usize) -> Self {
        Self {
            id,
            shard,
            on_the_way: VecDeque::new(),
            arrived: BytesMut::new(),
            receiving: None,
            sending: None,
            held: 0,
            sent: BytesMut::new(),
            closing: None,
            is_closed: false,
        }
    }

    /// The client sends: in one piece or several.
    pub(super) fn client_sends(&mut self, now: u64, random: &mut Random, mut bytes: Bytes) {
        while !bytes.is_empty() {
            let length =
                if random.one_in(4) { 1 + random.below(bytes.len() as u64) } else { u64::MAX };
            let piece = bytes.split_to(bytes.len().min(length as usize));
            let after = self.on_the_way.back().map_or(now, |last| last.0);
            self.on_the_way.push_back((after.max(now + random.below(LATENCY_NS)), piece));
        }
    }

    /// The next whole frame that the shard sent, without its size.
    pub(super) fn next_frame(&mut self) -> Option<Bytes> {
        let size = u32::from_be_bytes(*self.sent.first_chunk()?) as usize;
        if self.sent.len() < 4 + size {
            return None;
        }
        self.sent.advance(4);
        Some(self.sent.split_to(size).freeze())
    }

    pub(super) fn perform(&mut self, now: u64, random: &mut Random, effect: NetEffect) {
        match effect {
            NetEffect::Receive { .. } => self.receive(Receiving::Small),
            NetEffect::ReceiveInto { block, from, to, .. } => {
                self.receive(Receiving::Into { block, from, to });
            }
            NetEffect::Send { parts, mode, .. } => {
                assert!(self.sending.is_none(), "one send at a time");
                let due = now + random.below(LATENCY_NS);
                self.sending = Some(Sending { due, rest: parts.into(), mode });
            }
            NetEffect::Close { .. } => self.closing = Some(now + random.below(LATENCY_NS)),
        }
    }

    fn receive(&mut self, receiving: Receiving) {
        assert!(self.receiving.is_none(), "one receive at a time");
        self.receiving = Some(receiving);
    }

    /// When something happens next, by itself.
    pub(super) fn deadline(&self) -> Option<u64> {
        if self.is_closed {
            return None;
        }
        let arrives = self.on_the_way.front().map(|piece| piece.0);
        let is_there = self.receiving.is_some() && !self.arrived.is_empty();
        let released = (self.held > 0).then_some(0);
        [self.closing, arrives, is_there.then_some(0), released]
            .into_iter()
            .chain([self.sending.as_ref().map(|sending| sending.due)])
            .flatten()
            .min()
    }

    /// What has happened by now, one thing at a time.
    pub(super) fn take_event(&mut self, now: u64, random: &mut Random) -> Option<NetEvent> {
        if self.is_closed {
            return None;
        }
        let connection = self.id;
        while self.on_the_way.front().is_some_and(|piece| piece.0 <= now) {
            let (_, piece) = self.on_the_way.pop_front().expect("it was just looked at");
            self.arrived.extend_from_slice(&piece);
        }
        if self.closing.is_some_and(|due| due <= now) {
            self.is_closed = true;
            (self.receiving, self.sending) = (None, None);
            return Some(NetEvent::Closed { connection, reason: CloseReason::Requested });
        }
        if self.held > 0 {
            let bytes = std::mem::take(&mut self.held);
            return Some(NetEvent::Released { connection, bytes, copied: random.one_in(50) });
        }
        if self.sending.as_ref().is_some_and(|sending| sending.due <= now) {
            return Some(self.send_some(now, random));
        }
        if self.arrived.is_empty() {
            return None;
        }
        let receiving = self.receiving.take()?;
        Some(self.received(receiving, random))
    }

    fn received(&mut self, receiving: Receiving, random: &mut Random) -> NetEvent {
        let connection = self.id;
        let bound = if random.one_in(4) { 1 + random.below(RECEIVE_BYTES_MAX) } else { u64::MAX };
        match receiving {
            Receiving::Small => {
                let bytes = bound.min(RECEIVE_BYTES_MAX).min(self.arrived.len() as u64);
                let data = self.arrived.split_to(bytes as usize).freeze();
                NetEvent::Received { connection, data }
            }
            Receiving::Into { mut block, from, to } => {
                let bytes = bound.min((to - from) as u64).min(self.arrived.len() as u64) as usize;
                block[from..from + bytes].copy_from_slice(&self.arrived.split_to(bytes));
                NetEvent::Filled { connection, block, filled: from + bytes }
            }
        }
    }

    /// A part of the send, or all that is left of it.
    fn send_some(&mut self, now: u64, random: &mut Random) -> NetEvent {
        let sending = self.sending.as_mut().expect("callers saw that it is due");
        let is_whole = !random.one_in(4);
        let mut bytes = 0;
        while let Some(part) = sending.rest.pop_front() {
            self.sent.extend_from_slice(&part);
            bytes += part.len();
            if !is_whole && bytes > 0 {
                break;
            }
        }
        if sending.mode == SendMode::ZeroCopy {
            self.held += bytes;
        }
        sending.due = now + random.below(LATENCY_NS);
        if sending.rest.is_empty() {
            self.sending = None;
        }
        NetEvent::Sent { connection: self.id, bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::Connection;
    use crate::random::Random;
    use broker::net::{ConnectionId, NetEffect, NetEvent};
    use bytes::Bytes;

    #[test]
    fn bytes_arrive_in_order_when_somebody_receives() {
        for seed in 0..50 {
            let mut random = Random::new(seed);
            let mut connection = Connection::new(ConnectionId::new(1, 1), 0);
            let data: Vec<u8> = (0..100_000u32).map(|at| at as u8).collect();
            connection.client_sends(0, &mut random, Bytes::from(data.clone()));
            let (mut now, mut received) = (0, Vec::new());
            while received.len() < data.len() {
                let id = connection.id;
                if connection.receiving.is_none() {
                    let effect = NetEffect::Receive { connection: id };
                    connection.perform(now, &mut random, effect);
                }
                now = now.max(connection.deadline().expect("there is more to come"));
                if let Some(NetEvent::Received { data, .. }) =
                    connection.take_event(now, &mut random)
                {
                    received.extend_from_slice(&data);
                }
            }
            assert_eq!(received, data);
        }
    }
}
