//! The machine as a whole: `/proc/stat`, `/proc/pressure` and `/proc/meminfo`.

use std::path::Path;

use super::process::{TICKS_PER_SECOND, field};
use super::read;

/// Since the machine began, over all CPUs; and its memory now.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct HostUsage {
    pub busy_seconds: f64,
    pub steal_seconds: f64,
    pub total_seconds: f64,
    pub io_pressure_seconds: Option<f64>,
    pub cpu_pressure_seconds: Option<f64>,
    /// Pages that hold files, of everybody.
    pub page_cache_bytes: u64,
}

pub(super) fn usage(root: &Path) -> HostUsage {
    let pressure =
        |resource: &str| stalled_seconds(&read(&root.join("proc/pressure").join(resource)));
    HostUsage {
        io_pressure_seconds: pressure("io"),
        cpu_pressure_seconds: pressure("cpu"),
        page_cache_bytes: page_cache(&read(&root.join("proc/meminfo"))),
        ..cpu(&read(&root.join("proc/stat")))
    }
}

/// The line of all CPUs: user nice system idle iowait irq softirq steal (guest is in user already).
fn cpu(stat: &str) -> HostUsage {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu ")).unwrap_or_default();
    let ticks: Vec<f64> =
        line.split_whitespace().take(8).filter_map(|field| field.parse().ok()).collect();
    let of = |at: usize| ticks.get(at).copied().unwrap_or(0.0) / TICKS_PER_SECOND;
    let total = ticks.iter().sum::<f64>() / TICKS_PER_SECOND;
    HostUsage {
        busy_seconds: total - of(3) - of(4) - of(7),
        steal_seconds: of(7),
        total_seconds: total,
        ..HostUsage::default()
    }
}

/// Memory that belongs to files alone: what programs share is not a file's.
fn page_cache(meminfo: &str) -> u64 {
    let of = |name: &str| field(meminfo, name).unwrap_or(0) * 1024;
    of("Cached:").saturating_sub(of("Shmem:"))
}

/// Microseconds in which somebody waited.
fn stalled_seconds(pressure: &str) -> Option<f64> {
    let some = pressure.lines().find(|line| line.starts_with("some "))?;
    let total: f64 = some.rsplit_once("total=")?.1.trim().parse().ok()?;
    Some(total / 1e6)
}

#[cfg(test)]
mod tests {
    use super::{cpu, page_cache, stalled_seconds};

    #[test]
    fn counters_are_read() {
        let usage = cpu("cpu  100 0 200 300 50 10 20 30 5 0\ncpu0 1 2 3\n");
        assert_eq!(usage.total_seconds, 7.1);
        assert_eq!((usage.steal_seconds, usage.busy_seconds), (0.3, 3.3));
        let pressure = "some avg10=0.00 avg60=0.00 avg300=0.00 total=2500000\nfull avg10=0 total=1";
        assert_eq!(stalled_seconds(pressure), Some(2.5));
        assert_eq!(stalled_seconds(""), None);
        let meminfo = "MemTotal: 99 kB\nCached:   30 kB\nSwapCached: 7 kB\nShmem:  10 kB\n";
        assert_eq!((page_cache(meminfo), page_cache("")), (20 * 1024, 0));
    }
}
