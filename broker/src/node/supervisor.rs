//! What a supervisor such as systemd is told over `NOTIFY_SOCKET`: that the node is ready, that it stops, and
//! that it is alive.
//!
//! Alive means that every shard answered a question since the last time: a node whose main thread runs and
//! whose shards do not is restarted, which is what a watchdog is for. A shard that does not answer is not
//! asked again, so that its mailbox does not fill up.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

use crate::limits::WATCHDOG_QUESTIONS;
use crate::shard::mail::ShardIndex;

/// Whoever started the node, if it wants to be told.
#[derive(Debug)]
pub(super) struct Supervisor {
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Watchdog>,
}

impl Supervisor {
    /// From the environment's `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`.
    pub(super) fn of_this_process() -> io::Result<Self> {
        Self::new(|name| std::env::var_os(name))
    }

    /// Nobody.
    pub(super) fn none() -> Self {
        Self { socket: None, watchdog: None }
    }

    fn new(variable: impl Fn(&str) -> Option<OsString>) -> io::Result<Self> {
        let Some(name) = variable("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Ok(Self::none());
        };
        let socket = UnixDatagram::unbound()?;
        // A supervisor that does not read must not hold up the node.
        socket.set_nonblocking(true)?;
        let number = |name: &str| variable(name)?.to_str()?.parse::<u64>().ok();
        // A process that the supervised one starts inherits its variables: they are not meant for it.
        let is_ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let within = number("WATCHDOG_USEC").filter(|micros| is_ours && *micros > 0);
        let watchdog = within.map(|micros| Watchdog::new(Duration::from_micros(micros)));
        Ok(Self { socket: Some((socket, address(&name)?)), watchdog })
    }

    pub(super) fn tell_ready(&self, status: &str) {
        self.tell(&format!("READY=1\nSTATUS={status}"));
    }

    pub(super) fn tell_stopping(&mut self) {
        self.watchdog = None;
        self.tell("STOPPING=1\nSTATUS=connections are drained, then everything is made durable");
    }

    /// When shards are to be asked; `None` where nobody wants to know.
    pub(super) fn due(&self) -> Option<Instant> {
        Some(self.watchdog.as_ref()?.due)
    }

    /// The shards to ask now.
    pub(super) fn questions(
        &mut self,
        now: Instant,
        shards: impl Iterator<Item = ShardIndex>,
    ) -> Vec<ShardIndex> {
        self.watchdog.as_mut().map_or_else(Vec::new, |watchdog| watchdog.questions(now, shards))
    }

    /// A shard has answered; the last one's answer says that the node is alive.
    pub(super) fn heard_from(&mut self, shard: ShardIndex) {
        let all_answered = self.watchdog.as_mut().is_some_and(|dog| dog.heard_from(shard));
        if all_answered {
            self.tell("WATCHDOG=1");
        }
    }

    fn tell(&self, message: &str) {
        if let Some((socket, address)) = &self.socket {
            // A supervisor that is gone has nothing to be told.
            let _ = socket.send_to_addr(message.as_bytes(), address);
        }
    }
}

/// `/run/systemd/notify`, or `@name` without a file.
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes() {
        [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest),
        [b'/', ..] => SocketAddr::from_pathname(name),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "NOTIFY_SOCKET is neither a path nor a name that begins with @",
        )),
    }
}

/// When shards are asked, and who has not answered.
#[derive(Debug)]
struct Watchdog {
    every: Duration,
    due: Instant,
    unanswered: BTreeSet<ShardIndex>,
}

impl Watchdog {
    fn new(within: Duration) -> Self {
        Self {
            every: within / WATCHDOG_QUESTIONS,
            due: Instant::now(),
            unanswered: BTreeSet::new(),
        }
    }

    fn questions(
        &mut self,
        now: Instant,
        shards: impl Iterator<Item = ShardIndex>,
    ) -> Vec<ShardIndex> {
        if now < self.due {
            return Vec::new();
        }
        self.due = now + self.every;
        if !self.unanswered.is_empty() {
            return Vec::new();
        }
        self.unanswered = shards.collect();
        self.unanswered.iter().copied().collect()
    }

    /// Whether this was the last answer of a round.
    fn heard_from(&mut self, shard: ShardIndex) -> bool {
        self.unanswered.remove(&shard) && self.unanswered.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::io::ErrorKind;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};
    use std::time::{Duration, Instant};

    use super::{Supervisor, Watchdog};
    use crate::shard::mail::ShardIndex;

    /// A supervisor that listens without a file, and what the node knows of it.
    fn listening(name: &str, variables: &[(&str, &str)]) -> (UnixDatagram, Supervisor) {
        let name = format!("corelane-test-{name}-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        socket.set_nonblocking(true).unwrap();
        let supervisor = Supervisor::new(|variable| {
            let found = variables.iter().find(|(known, _)| *known == variable);
            match variable {
                "NOTIFY_SOCKET" => Some(OsString::from(format!("@{name}"))),
                _ => found.map(|(_, value)| OsString::from(value)),
            }
        });
        (socket, supervisor.unwrap())
    }

    fn heard(socket: &UnixDatagram) -> Option<String> {
        let mut buffer = [0; 256];
        let length = socket.recv(&mut buffer).ok()?;
        Some(String::from_utf8(buffer[..length].to_vec()).unwrap())
    }

    #[test]
    fn a_supervisor_hears_of_the_beginning_the_life_and_the_end() {
        let (socket, mut supervisor) = listening("life", &[("WATCHDOG_USEC", "1000000")]);
        supervisor.tell_ready("serving");
        assert_eq!(heard(&socket).as_deref(), Some("READY=1\nSTATUS=serving"));
        let shards = [ShardIndex(0), ShardIndex(1)];
        assert_eq!(supervisor.questions(Instant::now(), shards.into_iter()), shards);
        supervisor.heard_from(ShardIndex(1));
        assert_eq!(heard(&socket), None, "one shard has not answered");
        supervisor.heard_from(ShardIndex(0));
        assert_eq!(heard(&socket).as_deref(), Some("WATCHDOG=1"));
        supervisor.tell_stopping();
        assert!(heard(&socket).unwrap().starts_with("STOPPING=1\n"));
        assert_eq!(supervisor.due(), None);
    }

    #[test]
    fn a_shard_that_does_not_answer_is_not_asked_again_and_the_node_is_not_alive() {
        let mut watchdog = Watchdog::new(Duration::from_secs(60));
        let shards = || [ShardIndex(0), ShardIndex(1)].into_iter();
        let begun = watchdog.due;
        assert_eq!(watchdog.questions(begun, shards()).len(), 2);
        assert!(!watchdog.heard_from(ShardIndex(0)));
        assert_eq!(watchdog.questions(begun + Duration::from_secs(1), shards()), []);
        assert_eq!(watchdog.questions(begun + Duration::from_secs(16), shards()), []);
        assert!(!watchdog.heard_from(ShardIndex(0)), "an answer to somebody else's question");
        assert!(watchdog.heard_from(ShardIndex(1)), "late is better than never");
        assert_eq!(watchdog.questions(begun + Duration::from_secs(32), shards()).len(), 2);
    }

    #[test]
    fn without_a_supervisor_nothing_is_told_and_nobody_is_asked() {
        let mut supervisor = Supervisor::new(|_| None).unwrap();
        supervisor.tell_ready("serving");
        assert_eq!(supervisor.due(), None);
        assert_eq!(supervisor.questions(Instant::now(), [ShardIndex(0)].into_iter()), []);
        supervisor.tell_stopping();
        let error = Supervisor::new(|name| (name == "NOTIFY_SOCKET").then(|| "vsock:2:1".into()));
        assert_eq!(error.unwrap_err().kind(), ErrorKind::InvalidInput);
    }

    #[test]
    fn another_processs_watchdog_is_not_ours() {
        let other = [("WATCHDOG_USEC", "1000000"), ("WATCHDOG_PID", "1")];
        let (_socket, supervisor) = listening("other", &other);
        assert_eq!(supervisor.due(), None);
        let own = std::process::id().to_string();
        let ours = [("WATCHDOG_USEC", "1000000"), ("WATCHDOG_PID", own.as_str())];
        let (_socket, supervisor) = listening("ours", &ours);
        assert!(supervisor.due().is_some());
    }
}
