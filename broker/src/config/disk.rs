//! `[disk]` of the configuration file: how journals and segments are written. `corelane tune calibrate` writes it.
//!
//! ```toml
//! [disk]
//! journal-groups-in-flight = 4        # 1 to 8
//! journal-group-eager = "128KiB"      # 16KiB to 512KiB
//! segment-write = "1MiB"              # 64KiB to 1MiB
//! segment-writes-in-flight = 4        # 1 to 8
//! large-runs-in-flight = 4            # 1 to 8
//!
//! [disk.calibrated]                   # where and when it was measured; the node warns of flushes that took no time
//! ```

use std::ops::RangeInclusive;
use std::path::Path;

use engine::config::DiskConfig;
use serde::Deserialize;
use tuning::{ByteCount, CalibrationOrigin, CalibrationRecord};

use super::file::FileError;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct DiskKeys {
    journal_groups_in_flight: Option<u64>,
    journal_group_eager: Option<String>,
    segment_write: Option<String>,
    segment_writes_in_flight: Option<u64>,
    large_runs_in_flight: Option<u64>,
    /// What was measured. Any keys will do: those of other versions are no reason not to start.
    calibrated: Option<toml::Table>,
}

impl DiskKeys {
    /// What `tune calibrate` wrote. Keys that are missing, or of another kind, say nothing.
    pub(super) fn calibrated(&self) -> Option<CalibrationRecord> {
        let table = self.calibrated.as_ref()?;
        let text = |key: &str| {
            let value = table.get(key).and_then(toml::Value::as_str);
            value.unwrap_or_default().to_owned()
        };
        let number = |key: &str| {
            let value = table.get(key).and_then(toml::Value::as_integer);
            value.and_then(|number| u64::try_from(number).ok())
        };
        Some(CalibrationRecord {
            origin: CalibrationOrigin {
                device: text("device"),
                file_system: text("file-system"),
                kernel: text("kernel"),
            },
            is_flush_believable: table.get("flush-is-believable").and_then(toml::Value::as_bool),
            durable_4k_nanoseconds: number("durable-4KiB-p50-nanoseconds"),
            plain_4k_nanoseconds: number("plain-4KiB-p50-nanoseconds"),
            unix_seconds: number("measured-unix-seconds"),
        })
    }

    /// What is not given is the default.
    pub(super) fn config(self, path: &Path) -> Result<DiskConfig, FileError> {
        let default = DiskConfig::default();
        let count = |key, given: Option<u64>, range: RangeInclusive<u64>, default: usize| {
            let Some(given) = given else { return Ok(default) };
            let number = usize::try_from(given).ok().filter(|_| range.contains(&given));
            number.ok_or_else(|| wrong(path, key, given.to_string(), COUNT))
        };
        let size = |key, given: Option<String>, range: RangeInclusive<u64>, default, wanted| {
            let Some(given) = given else { return Ok(default) };
            let bytes = given.parse::<ByteCount>().ok().map(ByteCount::get);
            // The disk's blocks are 4 KiB.
            let fits = bytes.filter(|bytes| range.contains(bytes) && bytes % 4096 == 0);
            fits.ok_or_else(|| wrong(path, key, given, wanted))
        };
        let eager = size(
            "disk.journal-group-eager",
            self.journal_group_eager,
            DiskConfig::JOURNAL_GROUP_BYTES_EAGER,
            default.journal_group_bytes_eager as u64,
            "a size from \"16KiB\" to \"512KiB\", in steps of 4KiB",
        )?;
        Ok(DiskConfig {
            journal_groups_in_flight: count(
                "disk.journal-groups-in-flight",
                self.journal_groups_in_flight,
                DiskConfig::JOURNAL_GROUPS_IN_FLIGHT,
                default.journal_groups_in_flight,
            )?,
            journal_group_bytes_eager: usize::try_from(eager).expect("it is in its range"),
            segment_write_bytes: size(
                "disk.segment-write",
                self.segment_write,
                DiskConfig::SEGMENT_WRITE_BYTES,
                default.segment_write_bytes,
                "a size from \"64KiB\" to \"1MiB\", in steps of 4KiB",
            )?,
            segment_writes_in_flight: count(
                "disk.segment-writes-in-flight",
                self.segment_writes_in_flight,
                DiskConfig::SEGMENT_WRITES_IN_FLIGHT,
                default.segment_writes_in_flight,
            )?,
            large_runs_in_flight: count(
                "disk.large-runs-in-flight",
                self.large_runs_in_flight,
                DiskConfig::LARGE_RUNS_IN_FLIGHT,
                default.large_runs_in_flight,
            )?,
        })
    }
}

/// All counts have one range.
const COUNT: &str = "a number from 1 to 8";
const _: () = assert!(
    *DiskConfig::JOURNAL_GROUPS_IN_FLIGHT.end() == 8
        && *DiskConfig::SEGMENT_WRITES_IN_FLIGHT.end() == 8
        && *DiskConfig::LARGE_RUNS_IN_FLIGHT.end() == 8
);

fn wrong(path: &Path, key: &'static str, given: String, wanted: &'static str) -> FileError {
    FileError::Value { path: path.into(), key, given, wanted }
}
