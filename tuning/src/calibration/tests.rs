//! A calibration on the disk below the build folder: that it measures what the node does, not how fast.

use std::time::Duration;

use super::{Calibration, Effort};
use crate::disk_probes::tests::{folder, prepared};
use crate::disk_probes::{Bandwidth, FileState};

/// Depths and block sizes of segments were those of a file that is written over, which segments are not.
#[test]
fn each_setting_is_measured_in_the_file_state_in_which_the_node_writes() {
    let folder = folder();
    let Some(probes) = prepared(folder.path()) else { return };
    let mut told = Vec::new();
    let mut observe = |what: &str| told.push(what.to_owned());
    let time = Duration::from_millis(6);
    let measured = Calibration::measure_for(time, &probes, Effort::Quick, &mut observe);
    let measured = measured.expect("measured");
    let is_in = |sweep: &[Bandwidth], state| sweep.iter().all(|one| one.state == state);
    for segments in [&measured.large_runs, &measured.blocks, &measured.depths] {
        assert!(is_in(segments, FileState::Preallocated), "{segments:?}");
    }
    assert!(is_in(&measured.durable_depths, FileState::Prewritten));
    assert_eq!(measured.durable.len(), 3 * super::DURABLE_BYTES.len());
    assert_eq!((measured.blocks.len(), measured.depths.len(), measured.reads.len()), (5, 4, 4));
    // So short a time is too short for a fast disk's median as well, unless it is given longer.
    assert!(measured.small_durable().p50_nanoseconds.is_some(), "{:?}", measured.small_durable());
    assert!(measured.advice.journal_group_eager_bytes.is_some());
    assert_eq!(told.len(), 3 + 1 + 5, "each is told once: {told:?}");
}
