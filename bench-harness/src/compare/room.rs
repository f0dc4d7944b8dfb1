//! Whether the disk has room for the next run.

use std::path::Path;

use crate::failure::Failure;
use crate::limits::{COMPARE_BYTES_PER_SECOND_ASSUMED, COMPARE_DISK_FREE_BYTES_MIN};
use crate::warm_up;
use crate::workload::{Rate, Workload};

/// What a run leaves on the disk at the most. `fastest`: what the same broker got
/// acknowledged in a second of the same case.
pub(super) fn bytes_written(workload: &Workload, fastest: Option<f64>) -> u64 {
    let rate = match workload.rate {
        Rate::Open { records_per_second } => records_per_second * workload.record_bytes as f64,
        Rate::Closed => fastest.unwrap_or(COMPARE_BYTES_PER_SECOND_ASSUMED),
    };
    let seconds = warm_up::longest(&workload.own) + workload.duration_seconds;
    (rate * seconds) as u64 + workload.backlog_bytes + COMPARE_DISK_FREE_BYTES_MIN
}

/// Nothing is deleted beneath a run.
pub(super) fn has_room(folder: &Path, needed: u64) -> Result<(), Failure> {
    let parent = folder.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("."));
    let Ok(space) = rustix::fs::statvfs(parent) else { return Ok(()) };
    let free = space.f_bavail * space.f_frsize;
    if free >= needed {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{} has {} GB free, and the next run writes up to {}; name a folder on a larger disk with \
         --data-dir, or measure for a shorter time with --duration",
        parent.display(),
        free / 1_000_000_000,
        needed.div_ceil(1_000_000_000)
    )))
}

#[cfg(test)]
mod tests {
    use super::bytes_written;
    use crate::workload::{Source, Workload, shipped};

    #[test]
    fn the_room_that_a_run_needs_follows_from_its_rate_and_its_longest_warm_up() {
        let workload = |name: &str, settings: &[&str]| {
            let settings: Vec<String> = settings.iter().map(|text| (*text).to_owned()).collect();
            let source =
                Source { text: shipped::find(name).unwrap(), directory: None, settings: &settings };
            Workload::parse(&source).unwrap()
        };
        let seconds = ["warmUp=20", "durationSeconds=10"];
        let closed = workload("saturate-1k", &seconds);
        assert_eq!(bytes_written(&closed, None), 19_000_000_000);
        assert_eq!(bytes_written(&closed, Some(2e9)), 64_000_000_000, "as fast as it was before");
        let open = ["producerRate=1000000", "messageSize=1000", "durationSeconds=10", "warmUp=20"];
        assert_eq!(bytes_written(&workload("telemetry-1k", &open), Some(9e9)), 34_000_000_000);
        let stable = ["producerRate=1000000", "messageSize=1000", "durationSeconds=10"];
        assert_eq!(bytes_written(&workload("telemetry-1k", &stable), None), 44_000_000_000);
    }
}
