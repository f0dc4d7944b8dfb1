//! Lines on standard error while a run goes: each second on a terminal, each tenth elsewhere.

use std::io::{self, IsTerminal, Write};

use super::figures::{bytes, count, milliseconds};
use crate::collector::{Phase, Second};
use crate::run::Event;
use crate::workload::Workload;

/// Seconds between lines where nobody watches.
const LINE_EVERY: u64 = 10;

pub(super) struct Lines {
    every: u64,
    has_consumers: bool,
    shown: u64,
}

impl Lines {
    pub(super) fn new(workload: &Workload) -> Self {
        let every = if io::stderr().is_terminal() { 1 } else { LINE_EVERY };
        Self { every, has_consumers: workload.is_consumed(), shown: 0 }
    }

    pub(super) fn show(&mut self, event: &Event<'_>) {
        let line = match event {
            Event::Note(note) => format!("note: {note}"),
            Event::Connecting => "connecting, making topics".to_owned(),
            Event::WarmingUp => "warming up".to_owned(),
            Event::Measuring { seconds } => format!("measuring for {seconds} s"),
            Event::Draining => "waiting for what is still in flight".to_owned(),
            Event::Verifying { records } => {
                format!("verifying {} records", count(*records as f64))
            }
            Event::Used(_) => return,
            Event::Second(second) => {
                self.shown += 1;
                if !self.shown.is_multiple_of(self.every) {
                    return;
                }
                self.second(second)
            }
        };
        // Who closed it does not want to know.
        let _ = writeln!(io::stderr(), "{line}");
    }

    fn second(&self, second: &Second) -> String {
        let phase = match second.phase {
            Phase::WarmUp => "warm-up",
            Phase::Measuring => "measure",
            Phase::Draining => "drain",
        };
        let mut line = format!(
            "{:>5} s  {phase:<8} {:>9}/s  {:>10}/s  response p50 {} p99 {} max {} ms",
            second.second,
            count(second.acknowledged_records as f64),
            bytes(second.acknowledged_bytes as f64),
            milliseconds(second.response_p50_ns),
            milliseconds(second.response_p99_ns),
            milliseconds(second.response_max_ns)
        );
        if self.has_consumers {
            line += &format!(
                "  end to end p99 {} ms  backlog {}",
                milliseconds(second.end_to_end_p99_ns),
                count(second.backlog_records as f64)
            );
        }
        line
    }
}
