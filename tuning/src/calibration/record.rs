//! What the node's configuration keeps of a calibration, and whether it still holds.

use serde::Serialize;

use super::CalibrationOrigin;
use crate::check::{Check, Severity, Status};
use crate::limits::CALIBRATION_DAYS_MAX;

/// `[disk.calibrated]`: of which disk, when, and what was seen of its flushes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CalibrationRecord {
    pub origin: CalibrationOrigin,
    /// `None` where the file does not say.
    pub is_flush_believable: Option<bool>,
    /// Medians of 4 KiB on the prewritten file, made durable and not.
    pub durable_4k_nanoseconds: Option<u64>,
    pub plain_4k_nanoseconds: Option<u64>,
    pub unix_seconds: Option<u64>,
}

/// What is here now, to compare with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CalibrationNow {
    pub origin: CalibrationOrigin,
    pub unix_seconds: u64,
}

const DAY_SECONDS: u64 = 24 * 3600;

impl CalibrationRecord {
    /// Whether nobody knows that what is acknowledged here outlives a power cut.
    #[must_use]
    pub fn is_flush_doubted(&self) -> bool {
        self.is_flush_believable == Some(false)
    }

    /// Whether what was measured holds for what is here, and what it said of durability.
    #[must_use]
    pub fn check(&self, now: &CalibrationNow) -> Check {
        let mut findings = self.origin.differences(&now.origin);
        findings.extend(self.age(now.unix_seconds));
        let is_stale = !findings.is_empty();
        findings.extend(self.doubt());
        let is_passed = findings.is_empty();
        let mend = match (is_stale, is_passed) {
            (_, true) => None,
            (true, false) => Some("corelane tune calibrate"),
            (false, false) => Some("ask who runs the host whether flushes reach the disk"),
        };
        Check {
            id: "disk.calibration".to_owned(),
            title: "what `tune calibrate` measured",
            current: match is_passed {
                true => "measured on this disk, under this kernel".to_owned(),
                false => findings.join("; "),
            },
            wanted: "the same disk, file system and kernel, and flushes that can be believed"
                .to_owned(),
            why: "block sizes and depths of one disk may be wrong for another, and a power cut takes what a \
                  flush only promised",
            mend: mend.map(str::to_owned),
            severity: Severity::Warning,
            status: if is_passed { Status::Passed } else { Status::Failed },
        }
    }

    fn age(&self, now_seconds: u64) -> Option<String> {
        let days = now_seconds.saturating_sub(self.unix_seconds?) / DAY_SECONDS;
        (days > CALIBRATION_DAYS_MAX).then(|| format!("measured {days} days ago"))
    }

    fn doubt(&self) -> Option<String> {
        if !self.is_flush_doubted() {
            return None;
        }
        let micros = |nanoseconds: u64| nanoseconds as f64 / 1e3;
        let told = match (self.durable_4k_nanoseconds, self.plain_4k_nanoseconds) {
            (Some(durable), Some(plain)) => format!(
                ": 4 KiB took {:.1} µs to be durable and {:.1} µs to be written",
                micros(durable),
                micros(plain)
            ),
            (Some(durable), None) => format!(": 4 KiB took {:.1} µs", micros(durable)),
            (None, _) => String::new(),
        };
        Some(format!("durability of this device is unverified{told}"))
    }
}

#[cfg(test)]
mod tests {
    use super::{CalibrationNow, CalibrationRecord};
    use crate::calibration::CalibrationOrigin;
    use crate::check::Status;

    const MEASURED: u64 = 1_800_000_000;

    fn record() -> CalibrationRecord {
        CalibrationRecord {
            origin: CalibrationOrigin {
                device: "vda 100 GiB".to_owned(),
                file_system: "ext4".to_owned(),
                kernel: "6.12.1".to_owned(),
            },
            is_flush_believable: Some(true),
            unix_seconds: Some(MEASURED),
            ..CalibrationRecord::default()
        }
    }

    fn now(days: u64) -> CalibrationNow {
        CalibrationNow { origin: record().origin, unix_seconds: MEASURED + days * 24 * 3600 }
    }

    #[test]
    fn another_disk_or_kernel_is_told_with_what_mends_it() {
        let then = record();
        assert_eq!(then.check(&now(1)).status, Status::Passed);
        let origin = CalibrationOrigin {
            device: "nvme0n1 1 TiB".to_owned(),
            kernel: "6.18.0".to_owned(),
            ..then.origin.clone()
        };
        let check = then.check(&CalibrationNow { origin, ..now(1) });
        assert_eq!(check.status, Status::Failed);
        assert_eq!(
            check.current,
            "device was vda 100 GiB, is nvme0n1 1 TiB; kernel was 6.12.1, is 6.18.0"
        );
        assert_eq!(check.mend.as_deref(), Some("corelane tune calibrate"));
    }

    #[test]
    fn an_old_result_is_told_and_one_without_a_time_is_not() {
        let check = record().check(&now(800));
        assert_eq!(check.current, "measured 800 days ago");
        assert_eq!(check.mend.as_deref(), Some("corelane tune calibrate"));
        let untimed = CalibrationRecord { unix_seconds: None, ..record() };
        assert_eq!(untimed.check(&now(800)).status, Status::Passed);
        let ahead = CalibrationNow { unix_seconds: 0, ..now(0) };
        assert_eq!(record().check(&ahead).status, Status::Passed, "a clock that was set back");
    }

    /// It was written into the file, and nobody read it.
    #[test]
    fn an_unbelievable_flush_is_told_for_as_long_as_the_result_stands() {
        let doubted = CalibrationRecord {
            is_flush_believable: Some(false),
            durable_4k_nanoseconds: Some(3_000),
            ..record()
        };
        let check = doubted.check(&now(1));
        assert_eq!(check.status, Status::Failed);
        assert_eq!(check.current, "durability of this device is unverified: 4 KiB took 3.0 µs");
        assert!(check.mend.is_some_and(|mend| mend.starts_with("ask who runs the host")));
        let unsaid = CalibrationRecord { is_flush_believable: None, ..record() };
        assert_eq!(unsaid.check(&now(1)).status, Status::Passed);
    }
}
