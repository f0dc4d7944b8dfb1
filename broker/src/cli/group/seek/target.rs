//! Where a group is to go on.

use std::collections::BTreeMap;

use clap::Args;

use crate::cli::client::{Client, TopicInfo};
use crate::cli::failure::Failure;
use crate::cli::group::logs::Log;
use crate::cli::times;
use crate::cli::topic::offsets::offsets_of;

/// Exactly one of these.
#[derive(Args, Clone, Debug, Default)]
#[group(required = true, multiple = false)]
pub(super) struct Target {
    /// To the first record that is there.
    #[arg(long)]
    to_earliest: bool,

    /// Behind the last record: what comes from now on.
    #[arg(long)]
    to_latest: bool,

    /// To this offset.
    #[arg(long, value_name = "OFFSET", value_parser = clap::value_parser!(i64).range(0..))]
    to_offset: Option<i64>,

    /// To the first record of this time or later: 2026-01-01T00:00:00Z, or milliseconds since 1970.
    #[arg(long, value_name = "TIME", value_parser = time)]
    to_time: Option<i64>,

    /// So far back from now: 15m, 1h, 7d.
    #[arg(long, value_name = "DURATION", value_parser = ago)]
    by_duration: Option<i64>,

    /// So many offsets on from where it is, or back.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    shift: Option<i64>,
}

fn time(text: &str) -> Result<i64, String> {
    let parsed = times::parse(text, times::now_ms()).filter(|ms| *ms >= 0);
    parsed.ok_or_else(|| "it is 2026-01-01T00:00:00Z, or milliseconds since 1970".to_owned())
}

/// The time that was so long ago.
fn ago(text: &str) -> Result<i64, String> {
    let duration = times::duration_ms(text);
    let since = duration.map(|duration| times::now_ms().saturating_sub(duration).max(0));
    since.ok_or_else(|| "it is a number with a unit: 90s, 15m, 1h, 7d".to_owned())
}

pub(super) const CLAMPED_TO_START: &str = "outside of the log: moved to its start";
pub(super) const CLAMPED_TO_END: &str = "outside of the log: moved to its end";
pub(super) const NO_SUCH_TIME: &str = "no record of that time or later: moved to the log's end";
pub(super) const NOTHING_TO_SHIFT: &str = "nothing is committed: not moved";

impl Target {
    /// The first records of the time that is meant; nothing where none is.
    pub(super) fn offsets_of_time(
        &self,
        client: &mut Client,
        topic: &TopicInfo,
        partitions: &[i32],
    ) -> Result<BTreeMap<i32, Option<i64>>, Failure> {
        match self.to_time.or(self.by_duration) {
            Some(time) => offsets_of(client, topic, partitions, time),
            None => Ok(BTreeMap::new()),
        }
    }

    /// The new offset of one partition, and what is special about it. `None`: it stays as it is.
    pub(super) fn of(
        &self,
        log: Log,
        old: Option<i64>,
        of_time: Option<i64>,
    ) -> (Option<i64>, Option<&'static str>) {
        if self.to_earliest {
            return (Some(log.start), None);
        }
        if self.to_latest {
            return (Some(log.end), None);
        }
        if self.to_time.or(self.by_duration).is_some() {
            return match of_time {
                Some(offset) => clamped(offset, log),
                None => (Some(log.end), Some(NO_SUCH_TIME)),
            };
        }
        if let Some(shift) = self.shift {
            return match old {
                Some(old) => clamped(old.saturating_add(shift), log),
                None => (None, Some(NOTHING_TO_SHIFT)),
            };
        }
        clamped(self.to_offset.expect("the command line has one of them"), log)
    }
}

fn clamped(offset: i64, log: Log) -> (Option<i64>, Option<&'static str>) {
    if offset < log.start {
        (Some(log.start), Some(CLAMPED_TO_START))
    } else if offset > log.end {
        (Some(log.end), Some(CLAMPED_TO_END))
    } else {
        (Some(offset), None)
    }
}

#[cfg(test)]
mod tests {
    use super::{CLAMPED_TO_END, CLAMPED_TO_START, Log, NO_SUCH_TIME, NOTHING_TO_SHIFT, Target};

    #[test]
    fn a_target_stays_inside_of_the_log_and_says_so() {
        let log = Log { start: 10, end: 20 };
        let none = Target::default();
        let to = |offset| Target { to_offset: Some(offset), ..none.clone() };
        let shift = |by| Target { shift: Some(by), ..none.clone() };
        let at = |time| Target { to_time: Some(time), ..none.clone() };
        let (start, end) = (Some(CLAMPED_TO_START), Some(CLAMPED_TO_END));
        for (what, target, old, of_time, expected) in [
            (
                "earliest",
                Target { to_earliest: true, ..none.clone() },
                None,
                None,
                (Some(10), None),
            ),
            ("latest", Target { to_latest: true, ..none.clone() }, None, None, (Some(20), None)),
            ("inside", to(15), Some(12), None, (Some(15), None)),
            ("below", to(9), None, None, (Some(10), start)),
            ("the end is inside", to(20), None, None, (Some(20), None)),
            ("above", to(21), None, None, (Some(20), end)),
            ("back", shift(-2), Some(15), None, (Some(13), None)),
            ("too far back", shift(-6), Some(15), None, (Some(10), start)),
            ("farther than numbers go", shift(i64::MAX), Some(15), None, (Some(20), end)),
            ("from nowhere", shift(1), None, None, (None, Some(NOTHING_TO_SHIFT))),
            ("a time", at(5), None, Some(17), (Some(17), None)),
            ("a time to come", at(5), None, None, (Some(20), Some(NO_SUCH_TIME))),
        ] {
            assert_eq!(target.of(log, old, of_time), expected, "{what}");
        }
    }
}
