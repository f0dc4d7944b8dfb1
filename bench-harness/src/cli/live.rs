//! The live view of a run in a terminal: a few lines that are drawn anew each second, in place.
//!
//! `View` is what is known and how it looks, without a terminal; `Screen` puts it there. The terminal's state is never
//! changed (no raw mode, no second screen, no hidden cursor), and the cursor always rests below the view: a run that
//! ends by Ctrl-C or a panic leaves nothing to be restored.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{self, Write};

use crate::accounting::UsedSecond;
use crate::bounds::Bound;
use crate::collector::{Phase, Second};
use crate::figures::{bytes, count, milliseconds};
use crate::run::Event;

/// Seconds of a sparkline.
const SPARKS: usize = 60;
const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Cells of a bar.
const BAR: usize = 20;
/// Where a terminal does not say how wide it is.
const COLUMNS_DEFAULT: usize = 80;

/// A run as it goes.
pub(super) struct View {
    name: String,
    part: String,
    has_consumers: bool,
    phase: String,
    /// Of the measured time: seconds in all, and those that are over.
    measuring: Option<(f64, u64)>,
    rates: VecDeque<u64>,
    latencies: VecDeque<u64>,
    second: Option<Second>,
    used: Option<UsedSecond>,
    bound: Option<Bound>,
}

impl View {
    pub(super) fn new(name: &str, has_consumers: bool) -> Self {
        Self {
            name: name.to_owned(),
            part: String::new(),
            has_consumers,
            phase: String::new(),
            measuring: None,
            rates: VecDeque::new(),
            latencies: VecDeque::new(),
            second: None,
            used: None,
            bound: None,
        }
    }

    /// Another run begins.
    pub(super) fn begin(&mut self, part: &str) {
        part.clone_into(&mut self.part);
        self.measuring = None;
        self.rates.clear();
        self.latencies.clear();
        (self.second, self.used, self.bound) = (None, None, None);
    }

    pub(super) fn take(&mut self, event: &Event<'_>) {
        match event {
            Event::Note(_) => {}
            Event::Bound(bound) => self.bound = Some((*bound).clone()),
            Event::Connecting => "connecting, making topics".clone_into(&mut self.phase),
            Event::WarmingUp => "warming up".clone_into(&mut self.phase),
            Event::Measuring { seconds } => {
                "measuring".clone_into(&mut self.phase);
                self.measuring = Some((*seconds, 0));
            }
            Event::Draining => "waiting for what is in flight".clone_into(&mut self.phase),
            Event::Verifying { records } => {
                self.phase = format!("verifying {} records", count(*records as f64));
            }
            Event::Second(second) => {
                if let (Some((_, over)), Phase::Measuring) = (&mut self.measuring, second.phase) {
                    *over += 1;
                }
                push(&mut self.rates, second.acknowledged_records);
                push(&mut self.latencies, second.response_p99_ns);
                self.second = Some((*second).clone());
            }
            Event::Used(used) => self.used = Some(**used),
        }
    }

    /// At most so many columns wide.
    pub(super) fn lines(&self, columns: usize) -> Vec<String> {
        let mut lines = vec![self.head(), self.time()];
        if let Some(second) = &self.second {
            lines.push(format!(
                "  acknowledged  {:>9}/s  {:>9}/s  {}",
                count(second.acknowledged_records as f64),
                bytes(second.acknowledged_bytes as f64),
                sparkline(&self.rates)
            ));
            lines.extend(self.bound.as_ref().map(|bound| of_limit(second, bound)));
            lines.push(format!(
                "  response      p50 {}  p99 {}  max {} ms  {}",
                milliseconds(second.response_p50_ns),
                milliseconds(second.response_p99_ns),
                milliseconds(second.response_max_ns),
                sparkline(&self.latencies)
            ));
            if self.has_consumers {
                lines.push(format!(
                    "  end to end    p50 {}  p99 {} ms  backlog {} records",
                    milliseconds(second.end_to_end_p50_ns),
                    milliseconds(second.end_to_end_p99_ns),
                    count(second.backlog_records as f64)
                ));
            }
        }
        if let Some(used) = &self.used {
            lines.push(cpu(used));
            lines.extend(memory_and_device(used));
        }
        lines.iter().map(|line| line.chars().take(columns).collect()).collect()
    }

    fn head(&self) -> String {
        if self.part.is_empty() {
            return self.name.clone();
        }
        format!("{} · {}", self.name, self.part)
    }

    fn time(&self) -> String {
        match self.measuring {
            Some((seconds, over)) if self.phase == "measuring" => {
                let left = (seconds - over as f64).max(0.0);
                let bar = bar(over as f64 / seconds.max(1.0));
                format!("  {}     {bar}  {left:.0} s left", self.phase)
            }
            _ => format!("  {}", self.phase),
        }
    }
}

/// How near to what cannot be exceeded.
fn of_limit(second: &Second, bound: &Bound) -> String {
    let share = second.acknowledged_bytes as f64 / bound.bytes_per_second;
    format!("  of limit      {}  {:.0} % of {}", bar(share), share * 100.0, bound.limit)
}

/// A share of 1 is full.
fn bar(share: f64) -> String {
    let full = (share * BAR as f64) as usize;
    (0..BAR).map(|cell| if cell < full { '█' } else { '░' }).collect()
}

fn cpu(used: &UsedSecond) -> String {
    let broker = used.broker_cpu_percent.map(|broker| format!("broker {broker:.0} %  "));
    format!(
        "  CPU           {}client {:.0} %  everything {:.0} % of a core  steal {:.1} %",
        broker.unwrap_or_default(),
        used.client_cpu_percent,
        used.host_cpu_percent,
        used.steal_percent
    )
}

/// Where the broker's process is on this machine.
fn memory_and_device(used: &UsedSecond) -> Option<String> {
    let memory = used.broker_memory_bytes?;
    let device = used
        .device_written_bytes
        .map(|written| format!("  device {}/s written", bytes(written as f64)));
    Some(format!("  broker        memory {}{}", bytes(memory as f64), device.unwrap_or_default()))
}

fn push(values: &mut VecDeque<u64>, value: u64) {
    if values.len() == SPARKS {
        values.pop_front();
    }
    values.push_back(value);
}

/// One character a value; the largest is full.
fn sparkline(values: &VecDeque<u64>) -> String {
    let largest = values.iter().copied().max().unwrap_or(0).max(1);
    let level = |value: &u64| LEVELS[((value * (LEVELS.len() as u64 - 1)) / largest) as usize];
    values.iter().map(level).collect()
}

/// Where the view is drawn: standard error, below everything that was printed.
#[derive(Default)]
pub(super) struct Screen {
    /// Of the last drawing.
    lines: usize,
}

impl Screen {
    pub(super) fn draw(&mut self, view: &View) {
        let lines = view.lines(columns().saturating_sub(1));
        let text = self.over_the_last(&[], &lines);
        self.lines = lines.len();
        // Who closed it does not want to know.
        let _ = io::stderr().write_all(text.as_bytes());
    }

    /// A line that stays, above the view.
    pub(super) fn print_above(&mut self, text: &str, view: &View) {
        let lines = view.lines(columns().saturating_sub(1));
        let text = self.over_the_last(&[text.to_owned()], &lines);
        self.lines = lines.len();
        let _ = io::stderr().write_all(text.as_bytes());
    }

    /// Up to where the last drawing began, then everything anew; what was longer is erased.
    fn over_the_last(&self, above: &[String], lines: &[String]) -> String {
        let mut text = String::new();
        if self.lines > 0 {
            let _ = write!(text, "\x1b[{}A", self.lines);
        }
        text.push_str("\x1b[J");
        for line in above.iter().chain(lines) {
            text.push_str(line);
            text.push('\n');
        }
        text
    }
}

fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(io::stderr());
    let columns = size.map_or(0, |size| usize::from(size.ws_col));
    if columns == 0 { COLUMNS_DEFAULT } else { columns }
}

#[cfg(test)]
mod tests {
    use super::{SPARKS, Screen, View};
    use crate::accounting::UsedSecond;
    use crate::bounds::Bound;
    use crate::collector::Collector;
    use crate::recorder::{Counts, Window};
    use crate::run::Event;

    fn seen(seconds: u64) -> View {
        let mut collector = Collector::new(1);
        collector.measure(0, seconds);
        for index in 0..seconds {
            let counts = Counts { acknowledged_records: 1_000 + index, ..Counts::default() };
            collector.add(&Window { index, counts, ..Window::default() });
        }
        collector.close_until(seconds);
        let mut view = View::new("smoke", true);
        view.take(&Event::Measuring { seconds: 40.0 });
        for second in &collector.seconds {
            view.take(&Event::Second(second));
        }
        view
    }

    #[test]
    fn the_view_has_a_spark_for_each_second_and_the_time_that_is_left() {
        let view = seen(30);
        let lines = view.lines(200);
        assert_eq!(lines[0], "smoke");
        assert!(lines[1].ends_with("10 s left"), "{}", lines[1]);
        assert_eq!(lines[1].matches('█').count(), 15);
        let rate = lines.iter().find(|line| line.contains("acknowledged")).unwrap();
        assert_eq!(rate.chars().filter(|c| ('▁'..='█').contains(c)).count(), 30);
        let long = seen(100).lines(200);
        assert_eq!(long[2].chars().filter(|c| ('▁'..='█').contains(c)).count(), SPARKS);
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_unknown_values_are_left_out() {
        let mut view = seen(60);
        view.take(&Event::Used(&UsedSecond::default()));
        assert!(view.lines(40).iter().all(|line| line.chars().count() <= 40));
        let cpu = view.lines(200).pop().unwrap();
        assert!(cpu.contains("client 0 %") && !cpu.contains("broker"), "{cpu}");
    }

    #[test]
    fn the_view_says_how_much_of_the_limit_is_reached() {
        let mut view = seen(5);
        assert!(view.lines(200).iter().all(|line| !line.contains("of limit")));
        let bound = Bound { limit: "loopback.throughput".to_owned(), bytes_per_second: 200.0 };
        view.take(&Event::Bound(&bound));
        let mut second = view.second.clone().unwrap();
        second.acknowledged_bytes = 50;
        view.take(&Event::Second(&second));
        let lines = view.lines(200);
        let line = lines.iter().find(|line| line.contains("of limit")).unwrap();
        assert!(line.ends_with("25 % of loopback.throughput"), "{line}");
        assert_eq!(line.matches('█').count(), 5);
    }

    #[test]
    fn another_run_begins_with_an_empty_view() {
        let mut view = seen(10);
        view.begin("run 2");
        view.take(&Event::Connecting);
        assert_eq!(view.lines(80), ["smoke · run 2", "  connecting, making topics"]);
    }

    /// The cursor rests below the view: whatever ends the program leaves the terminal as it was.
    #[test]
    fn a_drawing_replaces_the_last_one_and_changes_nothing_else_of_the_terminal() {
        let screen = Screen { lines: 3 };
        let text = screen.over_the_last(&["note".to_owned()], &["view".to_owned()]);
        assert_eq!(text, "\x1b[3A\x1b[Jnote\nview\n");
        assert_eq!(Screen::default().over_the_last(&[], &["a".to_owned()]), "\x1b[Ja\n");
    }
}
