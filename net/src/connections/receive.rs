//! Bytes to frames: the framing of one connection, with what it needs of the shard.

use bytes::{Buf, Bytes};
use runtime::clock::Monotonic;

use crate::close_reason::CloseReason;
use crate::connection::{Armed, Connection, Framing, Waiting};
use crate::frame_size::{SIZE_BYTES, frame_length};
use crate::limits::Limits;
use crate::metrics::{Metrics, count};
use crate::request_memory::{Charge, Lane, RequestMemory, Shortage};
use crate::seam::{Frame, NetEffect, NetOutput};

/// Whether the data at hand may hold more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Continue,
    /// More bytes are needed, or a turn, or memory.
    Stop,
}

/// Whose memory the data at hand is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// A small buffer that must go back soon.
    Driver,
    /// Our own copy.
    SetAside,
}

/// One connection's framing and the parts of the shard's state that it moves.
pub(super) struct Intake<'a> {
    pub(super) now: Monotonic,
    pub(super) connection: &'a mut Connection,
    pub(super) memory: &'a mut RequestMemory,
    pub(super) metrics: &'a mut Metrics,
    pub(super) limits: &'a Limits,
    pub(super) out: &'a mut NetOutput,
}

impl Intake<'_> {
    pub(super) fn on_received(&mut self, data: Bytes) -> Result<(), CloseReason> {
        let inbound = &mut self.connection.inbound;
        assert_eq!(inbound.armed, Armed::Receive, "bytes that no receive asked for");
        inbound.armed = Armed::Nothing;
        assert!(inbound.set_aside.is_empty());
        self.metrics.bytes_received += count(data.len());
        self.connection.clocks.active = self.now;
        let data = self.connection.transform.incoming(data);
        self.take(data, Origin::Driver)
    }

    pub(super) fn on_filled(
        &mut self,
        block: runtime::memory::Block,
        filled: usize,
    ) -> Result<(), CloseReason> {
        let inbound = &mut self.connection.inbound;
        assert_eq!(inbound.armed, Armed::ReceiveInto, "a block that no receive asked for");
        inbound.armed = Armed::Nothing;
        self.connection.clocks.active = self.now;
        let framing = std::mem::replace(&mut inbound.framing, Framing::START);
        let Framing::Body { length, received, charge } = framing else {
            panic!("a block came back to a connection that lent none");
        };
        assert!(received < filled && filled <= length, "{received} < {filled} <= {length}");
        self.metrics.bytes_received += count(filled - received);
        if filled < length {
            self.receive_into(block, filled, length, charge);
            return Ok(());
        }
        self.complete(block.freeze(length), charge);
        Ok(())
    }

    /// Goes on with what was set aside: a turn has come, memory is back, or time has passed.
    pub(super) fn resume(&mut self) -> Result<(), CloseReason> {
        let data = std::mem::take(&mut self.connection.inbound.set_aside);
        self.take(data, Origin::SetAside)
    }

    fn take(&mut self, mut data: Bytes, origin: Origin) -> Result<(), CloseReason> {
        while self.step(&mut data)? == Step::Continue {}
        let framing = &self.connection.inbound.framing;
        if framing.begun().is_none() || matches!(framing, Framing::Sized { .. }) {
            // Between frames, or made to wait: no clock runs against the peer.
            self.connection.clocks.frame_due = None;
        }
        if !data.is_empty() && origin == Origin::Driver {
            // The buffer it came in goes back to the driver, however long this takes. At most
            // SMALL_FRAME_BYTES_MAX for a connection, because nothing more is received meanwhile.
            self.metrics.bytes_set_aside += count(data.len());
            data = Bytes::copy_from_slice(&data);
        }
        self.connection.inbound.set_aside = data;
        Ok(())
    }

    fn step(&mut self, data: &mut Bytes) -> Result<Step, CloseReason> {
        match &mut self.connection.inbound.framing {
            Framing::Head { bytes, have } => {
                let taken = data.len().min(SIZE_BYTES - *have);
                bytes[*have..*have + taken].copy_from_slice(&data[..taken]);
                *have += taken;
                data.advance(taken);
                if *have < SIZE_BYTES {
                    return Ok(Step::Stop);
                }
                let bytes = *bytes;
                let length = frame_length(bytes, self.limits.request_bytes_max)?;
                if !self.memory.could_hold(length) {
                    return Err(CloseReason::SizeBeyondMemory { size: i32::from_be_bytes(bytes) });
                }
                self.connection.inbound.framing = Framing::Sized { length };
                self.connection.clocks.frame_begun = self.now;
                // The clock of the head ends here; the body's, longer for a larger one, starts with it.
                self.connection.clocks.frame_due = None;
                Ok(Step::Continue)
            }
            Framing::Sized { length } => {
                let length = *length;
                Ok(self.begin(length, data))
            }
            Framing::Small { .. } => Ok(self.go_on(data)),
            Framing::Body { .. } => {
                assert!(data.is_empty(), "bytes beside the block that is being filled");
                Ok(Step::Stop)
            }
        }
    }

    /// A frame's size is known: takes it if its turn and its memory are there.
    fn begin(&mut self, length: usize, data: &mut Bytes) -> Step {
        let connection = &mut *self.connection;
        if !connection.takes_requests(self.limits) {
            // It would only hold up the others in the queue.
            if let Some(waiting) = connection.inbound.waiting.take() {
                self.memory.leave_queue(connection.id, waiting.lane);
            }
            return Step::Stop;
        }
        match self.memory.lane_of(length) {
            Lane::Small => match self.memory.reserve_small(connection.id, length) {
                Ok(charge) => self.begin_small(length, data, charge),
                Err(shortage) => self.wait(Lane::Small, shortage),
            },
            lane @ (Lane::Large | Lane::Huge) => {
                match self.memory.reserve_block(connection.id, length) {
                    Ok((charge, block)) => self.begin_large(length, data, charge, block),
                    Err(shortage) => self.wait(lane, shortage),
                }
            }
        }
    }

    fn begin_small(&mut self, length: usize, data: &mut Bytes, charge: Charge) -> Step {
        self.connection.inbound.waiting = None;
        if data.len() >= length {
            let frame = data.split_to(length);
            self.complete(frame, charge);
            return Step::Continue;
        }
        // The one allocation of the receive path: a small frame that arrived in pieces. At most
        // SMALL_FRAME_BYTES_MAX, reserved above; exact, so that it becomes the frame without a copy.
        let mut frame = Vec::with_capacity(length);
        frame.extend_from_slice(data);
        data.clear();
        self.metrics.frames_reassembled += 1;
        self.connection.inbound.framing = Framing::Small { frame, length, charge };
        Step::Stop
    }

    fn begin_large(
        &mut self,
        length: usize,
        data: &mut Bytes,
        charge: Charge,
        mut block: runtime::memory::Block,
    ) -> Step {
        self.connection.inbound.waiting = None;
        self.metrics.frames_large += 1;
        let prefix = data.len().min(length);
        block[..prefix].copy_from_slice(&data[..prefix]);
        data.advance(prefix);
        if prefix == length {
            self.complete(block.freeze(length), charge);
            return Step::Continue;
        }
        self.receive_into(block, prefix, length, charge);
        Step::Stop
    }

    fn receive_into(
        &mut self,
        block: runtime::memory::Block,
        from: usize,
        to: usize,
        charge: Charge,
    ) {
        let connection = self.connection.id;
        let inbound = &mut self.connection.inbound;
        assert_eq!(inbound.armed, Armed::Nothing, "a connection receives one thing at a time");
        inbound.armed = Armed::ReceiveInto;
        inbound.framing = Framing::Body { length: to, received: from, charge };
        self.out.effects.push(NetEffect::ReceiveInto { connection, block, from, to });
    }

    fn go_on(&mut self, data: &mut Bytes) -> Step {
        let Framing::Small { frame, length, .. } = &mut self.connection.inbound.framing else {
            panic!("only a small frame is put together");
        };
        let taken = data.len().min(*length - frame.len());
        frame.extend_from_slice(&data[..taken]);
        data.advance(taken);
        if frame.len() < *length {
            return Step::Stop;
        }
        let framing = std::mem::replace(&mut self.connection.inbound.framing, Framing::START);
        let Framing::Small { frame, charge, .. } = framing else {
            panic!("only a small frame is put together");
        };
        self.complete(Bytes::from(frame), charge);
        Step::Continue
    }

    #[cold]
    fn wait(&mut self, lane: Lane, shortage: Shortage) -> Step {
        let connection = &mut *self.connection;
        if connection.inbound.waiting.is_none() {
            connection.inbound.waiting = Some(Waiting { lane, since: self.now });
            self.memory.join_queue(connection.id, lane);
            self.metrics.memory_waits += 1;
            if shortage == Shortage::Arena {
                self.metrics.arena_waits += 1;
            }
        }
        Step::Stop
    }

    fn complete(&mut self, bytes: Bytes, charge: Charge) {
        self.connection.inbound.framing = Framing::START;
        self.connection.clocks.frame_due = None;
        self.metrics.frames_received += 1;
        self.metrics.receive.record(self.connection.clocks.frame_begun, self.now);
        let sequence = self.connection.requests.push(charge);
        self.out.frames.push(Frame { connection: self.connection.id, sequence, bytes });
    }
}
