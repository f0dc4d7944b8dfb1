//! What is written into the configuration, and of which disk.

use std::fs;
use std::path::{Path, PathBuf};

use broker::config::ConfigOutline;
use tuning::{Calibration, CalibrationOrigin, DiskAdvice, Effort, FlushTrust, Samples};

use super::super::super::output::{Format, Output};
use super::super::super::tests::directory;
use super::{CalibrateArgs, Outcome, record};

const BEFORE: &str = "# ours\n";

fn calibration(flush: FlushTrust, is_steady: bool) -> Calibration {
    Calibration {
        effort: Effort::Quick,
        durable: Vec::new(),
        plain: Samples::default(),
        durable_depths: Vec::new(),
        large_runs: Vec::new(),
        blocks: Vec::new(),
        depths: Vec::new(),
        reads: Vec::new(),
        advice: DiskAdvice {
            journal_groups_in_flight: 3,
            journal_group_eager_bytes: None,
            segment_write_bytes: 256 << 10,
            segment_writes_in_flight: 2,
            large_runs_in_flight: 2,
        },
        flush,
        is_steady,
    }
}

fn args(config: Option<&Path>) -> CalibrateArgs {
    CalibrateArgs {
        dirs: Vec::new(),
        config: config.map(Path::to_path_buf),
        quick: true,
        thorough: false,
        dry_run: false,
    }
}

/// Whether it succeeds, and what is in the file afterwards.
fn reported(
    calibration: Calibration,
    format: Format,
    change: fn(&mut CalibrateArgs),
) -> (bool, String) {
    let folder = directory();
    let file = folder.path().join("corelane.toml");
    fs::write(&file, BEFORE).unwrap();
    let mut args = args(Some(&file));
    change(&mut args);
    let record = record(&calibration, CalibrationOrigin::default());
    let outcome = Outcome { directory: folder.path(), calibration, record };
    let done = args.report(&outcome, Some(BEFORE), &mut Output::new(format));
    (done.is_ok(), fs::read_to_string(&file).unwrap())
}

#[test]
fn only_a_steady_result_that_is_meant_to_be_written_is_written() {
    let dry_run = |args: &mut CalibrateArgs| args.dry_run = true;
    for format in [Format::Text, Format::Json] {
        let steady = || calibration(FlushTrust::Believable, true);
        let (is_done, text) = reported(steady(), format, |_| ());
        assert!(is_done && text.starts_with(BEFORE) && text.contains("[disk]"), "{text}");
        let (is_done, text) = reported(steady(), format, dry_run);
        assert_eq!((is_done, text.as_str()), (true, BEFORE));
        let unsteady = calibration(FlushTrust::Believable, false);
        let (is_done, text) = reported(unsteady, format, |_| ());
        assert_eq!((is_done, text.as_str()), (false, BEFORE));
    }
}

#[test]
fn a_flush_that_is_not_believed_is_written_as_such() {
    for (flush, believed) in [
        (FlushTrust::Believable, true),
        (FlushTrust::TooFast, false),
        (FlushTrust::CostsNothing, false),
    ] {
        let (is_done, text) = reported(calibration(flush, true), Format::Text, |_| ());
        let outline = ConfigOutline::parse(Path::new("corelane.toml"), &text).unwrap();
        let record = outline.calibrated.expect("a record");
        assert_eq!((is_done, record.is_flush_believable), (true, Some(believed)));
    }
}

/// `./corelane-data` was measured, whatever the file said.
#[test]
fn the_disk_of_the_configuration_is_measured_unless_another_is_given() {
    let config = Path::new("corelane.toml");
    let text = "data-dir = [\"/mnt/a\", \"/mnt/b\"]\n";
    let directory = |args: &CalibrateArgs, text| args.directory(text).unwrap();
    assert_eq!(directory(&args(Some(config)), Some(text)), Path::new("/mnt/a"));
    assert_eq!(directory(&args(Some(config)), Some("")), Path::new("./corelane-data"));
    assert_eq!(directory(&args(None), None), Path::new("./corelane-data"));
    let given = CalibrateArgs { dirs: vec![PathBuf::from("/mnt/c")], ..args(Some(config)) };
    assert_eq!(directory(&given, Some(text)), Path::new("/mnt/c"));
}
