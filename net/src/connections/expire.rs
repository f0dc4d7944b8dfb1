//! What time does to connections: throttling ends, slow, stuck and idle ones are closed, and the arena
//! is asked again for a block that another core may have given back.

use runtime::clock::Monotonic;

use super::Connections;
use crate::connection::Due;
use crate::ids::ConnectionId;
use crate::seam::NetOutput;

impl Connections {
    /// When `on_deadline` has to be called at the latest.
    #[must_use]
    pub fn deadline(&self) -> Option<Monotonic> {
        match (self.deadlines.first(), self.arena_retry) {
            (Some(first), Some(retry)) => Some(first.min(retry)),
            (first, retry) => first.or(retry),
        }
    }

    /// Time has passed. Costs a look at each connection that is due, not at the others.
    pub fn on_deadline(&mut self, now: Monotonic, out: &mut NetOutput) {
        while let Some(id) = self.deadlines.pop_due(now) {
            self.look_at(now, id, out);
        }
        self.settle(now, out);
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
