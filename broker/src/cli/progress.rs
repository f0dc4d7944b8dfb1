//! How far long work has come: one line on a terminal's standard error, rewritten in place.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use tuning::ByteCount;

/// Often enough to look alive, rare enough to cost nothing.
const INTERVAL: Duration = Duration::from_millis(100);

pub(crate) struct Progress {
    what: &'static str,
    bytes: u64,
    bytes_total: u64,
    began: Instant,
    shown: Option<Instant>,
    is_terminal: bool,
}

impl Progress {
    /// `bytes_total` of 0 is unknown.
    pub(crate) fn new(what: &'static str, bytes_total: u64) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        Self { what, bytes: 0, bytes_total, began: Instant::now(), shown: None, is_terminal }
    }

    pub(crate) fn add(&mut self, bytes: u64) {
        self.bytes += bytes;
        let due = self.shown.unwrap_or(self.began).elapsed() >= INTERVAL;
        if self.is_terminal && due {
            self.shown = Some(Instant::now());
            eprint!("\r\x1b[K{}", self.text());
            // Nothing depends on whether somebody sees it.
            let _ = std::io::stderr().flush();
        }
    }

    fn text(&self) -> String {
        let done = ByteCount(self.bytes);
        let seconds = self.began.elapsed().as_secs().max(1);
        let speed = ByteCount(self.bytes / seconds);
        match self.bytes_total {
            0 => format!("{} {done}, {speed}/s", self.what),
            total => {
                let percent = self.bytes.saturating_mul(100) / total;
                let total = ByteCount(total);
                format!("{} {done} of {total} ({percent} %), {speed}/s", self.what)
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown.is_some() {
            eprint!("\r\x1b[K");
        }
    }
}
