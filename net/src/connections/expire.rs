//! What time does to connections: throttling ends, slow, stuck and idle ones are closed, and the arena
//! is asked again for a block that another core may have given back.

use runtime::clock::Monotonic;

use super::Connections;
use crate::close_reason::CloseReason;
use crate::connection::{Connection, Due};
use crate::ids::ConnectionId;
use crate::request_memory::Charge;
use crate::seam::NetOutput;

impl Connections {
    /// When `on_deadline` has to be called at the latest.
    #[must_use]
    pub fn deadline(&self) -> Option<Monotonic> {
        [self.deadlines.first(), self.arena_retry, self.pressed_look].into_iter().flatten().min()
    }

    /// Time has passed. Costs a look at each connection that is due, not at the others.
    pub fn on_deadline(&mut self, now: Monotonic, out: &mut NetOutput) {
        while let Some(id) = self.deadlines.pop_due(now) {
            self.look_at(now, id, out);
        }
        if self.pressed_look.is_some_and(|at| at <= now) {
            self.pressed_look = None;
            self.close_lagging(now, out);
        }
        self.settle(now, out);
    }

    /// Memory is short: who holds some for a frame whose bytes do not come gives it back. Otherwise a few
    /// clients that announce much and send nothing would keep everybody out for `slow_frame_ms_max`, again
    /// and again. Linear in connections, ten times a second while memory is short.
    #[cold]
    fn close_lagging(&mut self, now: Monotonic, out: &mut NetOutput) {
        let lags = |connection: &&Connection| {
            let lane = connection.inbound.framing.charge().map(Charge::lane);
            lane.is_some_and(|lane| self.memory.is_pressed(lane))
                && connection.lags_from(&self.limits).is_some_and(|at| at <= now)
        };
        let lagging: Vec<_> = self.table.iter().filter(lags).map(|found| found.id).collect();
        for id in lagging {
            self.begin_close(id, CloseReason::SlowFrame, out);
        }
    }

    fn look_at(&mut self, now: Monotonic, id: ConnectionId, out: &mut NetOutput) {
        let connection = self.table.get_mut(id).expect("a connection leaves its entry with it");
        connection.clocks.entry = None;
        let Some((at, due)) = connection.due(&self.limits) else { return };
        if at > now {
            // It was active since the entry was made. A quiet one is looked at once in `idle_ms_max`:
            // time to give back what a burst has left.
            if connection.is_quiet() {
                connection.requests.shrink();
            }
            return self.deadlines.set(id, &mut connection.clocks.entry, Some(at));
        }
        match due {
            Due::Unmute => {
                connection.clocks.muted_until = None;
                // Something else may be due as well: then it is looked at again at once.
                let due = connection.due(&self.limits).map(|(at, _)| at);
                self.deadlines.set(id, &mut connection.clocks.entry, due);
                self.advance(now, id, out);
                self.touch(id);
            }
            Due::Close(reason) => self.begin_close(id, reason, out),
        }
    }

    /// Throttles a connection: it gets no new request until then. Its response is given as always, and
    /// leaves at once.
    pub fn mute_until(&mut self, connection: ConnectionId, until: Monotonic) {
        let Some(found) = self.table.get_mut(connection) else { return };
        if !found.is_open() {
            return;
        }
        self.metrics.muted += 1;
        let muted = &mut found.clocks.muted_until;
        *muted = Some(muted.map_or(until, |earlier| earlier.max(until)));
        self.touch(connection);
    }
}
