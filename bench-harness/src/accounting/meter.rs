//! What broker, client, host and disk used second by second: for charts, and for who watches.

use serde::Serialize;

use super::Snapshot;
use crate::limits::WINDOWS_MAX;
use crate::recorder::WINDOW_NS;

/// One second. CPU is in percent of one core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct UsedSecond {
    /// Of the run's clock.
    pub second: u64,
    pub broker_cpu_percent: Option<f64>,
    pub client_cpu_percent: f64,
    /// Everything on the machine, broker and client included.
    pub host_cpu_percent: f64,
    /// Of all CPUs' time.
    pub steal_percent: f64,
    pub broker_memory_bytes: Option<u64>,
    /// Of the whole device below the broker's files.
    pub device_written_bytes: Option<u64>,
    pub device_read_bytes: Option<u64>,
}

/// Turns counters into what was used between two readings.
#[derive(Debug, Default)]
pub struct Meter {
    before: Option<(u64, Snapshot)>,
    pub seconds: Vec<UsedSecond>,
}

impl Meter {
    /// Whether a second has begun that was not read yet.
    #[must_use]
    pub fn is_due(&self, now_ns: u64) -> bool {
        let second = now_ns / WINDOW_NS;
        self.before.as_ref().is_none_or(|(at_ns, _)| at_ns / WINDOW_NS != second)
            && self.seconds.len() < WINDOWS_MAX
    }

    /// Gives the second that is over; the first reading gives none.
    pub fn read(&mut self, now_ns: u64, now: Snapshot) -> Option<UsedSecond> {
        let (before_ns, before) = self.before.replace((now_ns, now.clone()))?;
        let seconds = now_ns.saturating_sub(before_ns) as f64 / WINDOW_NS as f64;
        if seconds <= 0.0 {
            return None;
        }
        let used = now.since(&before, seconds);
        let percent = |cpu_seconds: f64| cpu_seconds / seconds * 100.0;
        let rate = |bytes: u64| (bytes as f64 / seconds) as u64;
        let second = UsedSecond {
            second: (now_ns / WINDOW_NS).saturating_sub(1),
            broker_cpu_percent: used.broker_cpu_seconds.map(percent),
            client_cpu_percent: percent(used.client_cpu_seconds),
            host_cpu_percent: percent(used.host_cpu_seconds),
            steal_percent: used.steal_percent,
            broker_memory_bytes: now.broker.map(|broker| broker.resident_bytes),
            device_written_bytes: used.device_written_bytes.map(rate),
            device_read_bytes: used.device_read_bytes.map(rate),
        };
        self.seconds.push(second);
        Some(second)
    }
}

#[cfg(test)]
mod tests {
    use super::Meter;
    use crate::accounting::{DeviceUsage, ProcessUsage, Snapshot};
    use crate::recorder::WINDOW_NS;

    fn snapshot(cpu_seconds: f64, written_bytes: u64) -> Snapshot {
        Snapshot {
            broker: Some(ProcessUsage {
                cpu_seconds,
                resident_bytes: 77,
                ..ProcessUsage::default()
            }),
            device: Some(DeviceUsage { written_bytes, ..DeviceUsage::default() }),
            ..Snapshot::default()
        }
    }

    #[test]
    fn a_second_is_what_was_used_since_the_reading_before() {
        let mut meter = Meter::default();
        assert!(meter.is_due(0));
        assert_eq!(meter.read(WINDOW_NS / 2, snapshot(1.0, 100)), None);
        assert!(!meter.is_due(WINDOW_NS - 1) && meter.is_due(WINDOW_NS));
        // Half a second later than a whole one: the rate is still that of a second.
        let used = meter.read(2 * WINDOW_NS, snapshot(4.0, 1_600)).unwrap();
        assert_eq!(used.second, 1);
        assert_eq!(used.broker_cpu_percent, Some(200.0));
        assert_eq!(used.device_written_bytes, Some(1_000));
        assert_eq!(used.broker_memory_bytes, Some(77));
        assert_eq!(meter.seconds, [used]);
    }
}
