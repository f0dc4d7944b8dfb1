//! Whether the disk has room for the next run.

use std::path::Path;

use crate::failure::Failure;
use crate::limits::{COMPARE_BYTES_PER_SECOND_ASSUMED, COMPARE_DISK_FREE_BYTES_MIN};
use crate::warm_up;
use crate::workload::{Rate, Workload};

/// Runs differ in how soon a warm-up has settled.
const LONGER_THAN_BEFORE: f64 = 1.5;

/// What a run leaves on the disk, and what must be free beside that. `before`: bytes that one of the same broker and case
/// had acknowledged.
pub(super) fn bytes_wanted(workload: &Workload, before: Option<f64>) -> u64 {
    let written = before.map(|bytes| bytes * LONGER_THAN_BEFORE).unwrap_or_else(|| {
        let offered = match workload.rate {
            Rate::Open { records_per_second } => records_per_second * workload.record_bytes as f64,
            Rate::Closed => f64::INFINITY,
        };
        let seconds = warm_up::shortest(&workload.own) + workload.duration_seconds;
        offered.min(COMPARE_BYTES_PER_SECOND_ASSUMED) * seconds + workload.backlog_bytes as f64
    });
    (written as u64).saturating_add(COMPARE_DISK_FREE_BYTES_MIN)
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
        "{} has {} GB free, and the next run may need {}; name a folder on a larger disk with \
         --data-dir, or measure for a shorter time with --duration",
        parent.display(),
        free / 1_000_000_000,
        needed.div_ceil(1_000_000_000)
    )))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{bytes_wanted, has_room};
    use crate::workload::{Source, Workload, shipped};

    #[test]
    fn a_disk_that_is_too_small_is_refused_with_what_helps() {
        let folder = Path::new("nowhere/yet");
        assert!(has_room(folder, 0).is_ok());
        let refused = has_room(folder, u64::MAX).unwrap_err();
        assert!(refused.sentence.contains("--data-dir"), "{refused}");
    }

    #[test]
    fn the_room_that_a_run_wants_is_what_one_before_it_took_or_is_assumed() {
        let workload = |name: &str, settings: &[&str]| {
            let settings: Vec<String> = settings.iter().map(|text| (*text).to_owned()).collect();
            let source =
                Source { text: shipped::find(name).unwrap(), directory: None, settings: &settings };
            Workload::parse(&source).unwrap()
        };
        let closed = workload("saturate-1k", &["warmUp=20", "durationSeconds=10"]);
        assert_eq!(bytes_wanted(&closed, None), 19_000_000_000);
        assert_eq!(bytes_wanted(&closed, Some(40e9)), 64_000_000_000);
        let open = |rate: &str| {
            let settings = [rate, "messageSize=1000", "durationSeconds=10", "warmUpSecondsMin=20"];
            bytes_wanted(&workload("telemetry-1k", &settings), None)
        };
        assert_eq!(open("producerRate=100000"), 7_000_000_000);
        assert_eq!(
            open("producerRate=10000000"),
            19_000_000_000,
            "nobody takes ten gigabytes a second"
        );
    }
}
