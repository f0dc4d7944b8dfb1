//! What is shown while a run goes, on standard error: a live view for who watches a terminal, lines elsewhere.

use std::io::{self, IsTerminal, Write};

use super::live::{Screen, View};
use crate::collector::{Phase, Second};
use crate::figures::{bytes, count, milliseconds};
use crate::run::Event;
use crate::workload::Workload;

/// Seconds between lines where nobody watches.
const LINE_EVERY: u64 = 10;

/// How progress is to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watching {
    /// Where standard error is a terminal, a live view.
    Live,
    /// Lines everywhere.
    Plain,
}

pub(super) struct Progress {
    has_consumers: bool,
    every: u64,
    shown: u64,
    live: Option<(Screen, View)>,
}

impl Progress {
    pub(super) fn new(workload: &Workload, watching: Watching) -> Self {
        Self::of(&workload.name, workload.is_consumed(), watching)
    }

    /// Of runs of different workloads: each is a part.
    pub(super) fn of_several(name: &str, watching: Watching) -> Self {
        Self::of(name, true, watching)
    }

    fn of(name: &str, has_consumers: bool, watching: Watching) -> Self {
        let is_terminal = io::stderr().is_terminal();
        let is_live = is_terminal && watching == Watching::Live;
        Self {
            has_consumers,
            every: if is_terminal { 1 } else { LINE_EVERY },
            shown: 0,
            live: is_live.then(|| (Screen::default(), View::new(name, has_consumers))),
        }
    }

    /// What the next runs are a part of.
    pub(super) fn part(&mut self, part: &str) {
        match &mut self.live {
            Some((_, view)) => view.begin(part),
            None => self.line(part),
        }
    }

    /// A line that stays.
    pub(super) fn line(&mut self, text: &str) {
        match &mut self.live {
            Some((screen, view)) => screen.print_above(text, view),
            // Who closed it does not want to know.
            None => drop(writeln!(io::stderr(), "{text}")),
        }
    }

    pub(super) fn show(&mut self, event: &Event<'_>) {
        match event {
            Event::Note(note) => self.line(&format!("note: {note}")),
            _ => match &mut self.live {
                Some((screen, view)) => {
                    view.take(event);
                    screen.draw(view);
                }
                None => self.plain(event),
            },
        }
    }

    fn plain(&mut self, event: &Event<'_>) {
        let line = match event {
            Event::Note(_) | Event::Used(_) => return,
            Event::Bound(bound) => {
                format!("limit: {}/s, {}", bytes(bound.bytes_per_second), bound.limit)
            }
            Event::Connecting => "connecting, making topics".to_owned(),
            Event::WarmingUp => "warming up".to_owned(),
            Event::Measuring { seconds } => format!("measuring for {seconds} s"),
            Event::Draining => "waiting for what is still in flight".to_owned(),
            Event::Verifying { records } => {
                format!("verifying {} records", count(*records as f64))
            }
            Event::Second(second) => {
                self.shown += 1;
                if !self.shown.is_multiple_of(self.every) {
                    return;
                }
                self.second(second)
            }
        };
        self.line(&line);
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
