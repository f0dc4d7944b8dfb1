//! `used.csv`: what broker, client, host and disk used, one line a second of the run.

use std::fmt::{Display, Write};

use crate::accounting::UsedSecond;

const HEAD: &str = "second,broker_cpu_percent,client_cpu_percent,host_cpu_percent,steal_percent,\
broker_memory_bytes,device_written_bytes,device_read_bytes\n";

/// What is not known is an empty field.
#[must_use]
pub fn csv(seconds: &[UsedSecond]) -> String {
    let mut text = HEAD.to_owned();
    for used in seconds {
        let cpu = used.broker_cpu_percent.map(|percent| format!("{percent:.1}"));
        let _ = writeln!(
            text,
            "{},{},{:.1},{:.1},{:.2},{},{},{}",
            used.second,
            cpu.unwrap_or_default(),
            used.client_cpu_percent,
            used.host_cpu_percent,
            used.steal_percent,
            known(used.broker_memory_bytes),
            known(used.device_written_bytes),
            known(used.device_read_bytes)
        );
    }
    text
}

fn known(value: Option<impl Display>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::csv;
    use crate::accounting::UsedSecond;

    #[test]
    fn every_line_has_the_fields_of_the_head_also_where_nothing_is_known() {
        let known = UsedSecond {
            second: 3,
            broker_cpu_percent: Some(50.0),
            broker_memory_bytes: Some(1),
            ..UsedSecond::default()
        };
        let text = csv(&[UsedSecond::default(), known]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], "0,,0.0,0.0,0.00,,,");
        assert_eq!(lines[2], "3,50.0,0.0,0.0,0.00,1,,");
        assert_eq!(lines[0].split(',').count(), lines[1].split(',').count());
    }
}
