//! What is shown on standard error while brokers are compared: a line when a run begins and one when it is done, and
//! the live view of the run for who watches a terminal.

use std::io::{self, Write};

use super::progress::{Progress, Watching};
use crate::compare::Event;
use crate::figures::{bytes, milliseconds};
use crate::results::comparison::CaseRun;

pub(super) struct CompareLines {
    progress: Progress,
}

impl CompareLines {
    pub(super) fn new(watching: Watching) -> Self {
        Self { progress: Progress::of_several("compare", watching) }
    }

    pub(super) fn show(&mut self, event: &Event<'_>) {
        match event {
            Event::Case { title, runs } => self.progress.line(&format!("\n{title}: {runs} runs")),
            Event::Begins { run, runs, case, subject, attempt, seconds_left } => {
                let which = match attempt {
                    1 => format!("run {run} of {runs}"),
                    _ => format!("the block again (attempt {attempt})"),
                };
                let left = time(*seconds_left);
                let part = format!("{which}: {subject}, {case}; about {left} left");
                self.progress.part(&part);
            }
            Event::Run(event) => self.progress.show(event),
            Event::Done(run) => self.progress.line(&done(run)),
        }
    }
}

/// Who closed standard error does not want to know.
pub(super) fn tell(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

fn done(run: &CaseRun) -> String {
    let mut line = "  ".to_owned();
    if let Some(report) = &run.report {
        let rate = report["throughput"]["acknowledged_bytes_per_second"].as_f64();
        line += &format!("{}/s", bytes(rate.unwrap_or(0.0)));
        let percentiles = report["latencies"]["response"]["percentiles"].as_array();
        let p99 = percentiles.into_iter().flatten().find(|found| found["percent"] == 99.0);
        if let Some(p99) = p99.filter(|_| report["load"] == "open") {
            let p99 = p99["nanoseconds"].as_u64().unwrap_or(0);
            line += &format!(", response p99 {} ms", milliseconds(p99));
        }
        if let Some(cpu) = report["broker"]["cpu_seconds_per_gigabyte"].as_f64() {
            line += &format!(", {cpu:.2} CPU-s/GB");
        }
        line += ", verified";
    }
    match &run.reason {
        None => line,
        Some(reason) => format!("{line}\n  DOES NOT COUNT: {reason}"),
    }
}

fn time(seconds: f64) -> String {
    match seconds {
        short if short < 90.0 => format!("{short:.0} s"),
        long if long < 5_400.0 => format!("{:.0} min", long / 60.0),
        hours => format!("{:.1} h", hours / 3_600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::time;

    #[test]
    fn times_are_as_people_say_them() {
        assert_eq!([time(75.0), time(900.0), time(9_000.0)], ["75 s", "15 min", "2.5 h"]);
    }
}
