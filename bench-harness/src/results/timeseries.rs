//! `timeseries.csv`: one line a second of the run, warm-up and draining included.

use std::fmt::Write;

use crate::collector::{Phase, Second};

const HEAD: &str = "second,phase,acknowledged_records,acknowledged_bytes,consumed_records,\
consumed_bytes,caught_up_bytes,backlog_records,response_p50_us,response_p99_us,response_max_us,\
service_p99_us,schedule_delay_p99_us,end_to_end_p50_us,end_to_end_p99_us,end_to_end_max_us\n";

#[must_use]
pub fn csv(seconds: &[Second]) -> String {
    let mut text = HEAD.to_owned();
    for second in seconds {
        let phase = match second.phase {
            Phase::WarmUp => "warm_up",
            Phase::Measuring => "measuring",
            Phase::Draining => "draining",
        };
        let counts = [
            second.acknowledged_records,
            second.acknowledged_bytes,
            second.consumed_records,
            second.consumed_bytes,
            second.caught_up_bytes,
            second.backlog_records,
        ];
        let latencies = [
            second.response_p50_ns,
            second.response_p99_ns,
            second.response_max_ns,
            second.service_p99_ns,
            second.schedule_delay_p99_ns,
            second.end_to_end_p50_ns,
            second.end_to_end_p99_ns,
            second.end_to_end_max_ns,
        ];
        let _ = write!(text, "{},{phase}", second.second);
        for count in counts {
            let _ = write!(text, ",{count}");
        }
        for latency in latencies {
            let _ = write!(text, ",{:.1}", latency as f64 / 1e3);
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::csv;
    use crate::collector::Collector;
    use crate::recorder::Window;

    #[test]
    fn every_line_has_the_fields_of_the_head() {
        let mut collector = Collector::new(1);
        collector.measure(1, 2);
        collector.add(&Window { index: 2, ..Window::default() });
        collector.close_until(3);
        let text = csv(&collector.seconds);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4);
        let fields = |line: &str| line.split(',').count();
        assert!(lines.iter().all(|line| fields(line) == fields(lines[0])));
        assert!(lines[2].starts_with("1,measuring,0,"));
    }
}
