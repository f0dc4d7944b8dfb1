//! Where a consumer begins.

use std::collections::BTreeMap;

use protocol::ErrorCode;

use crate::cli::client::{Client, Refusal, TopicInfo};
use crate::cli::failure::Failure;
use crate::cli::times;
use crate::cli::topic::offsets::{EARLIEST, LATEST, offsets_of};

/// What `--from` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    Beginning,
    End,
    Offset(i64),
    /// The first record with this time or a later one.
    Time(i64),
}

pub(super) fn parse(text: &str) -> Result<From, String> {
    parse_at(text, times::now_ms()).ok_or_else(|| {
        "it is beginning, end, an offset, time:2026-01-01T00:00:00Z, or -1h".to_owned()
    })
}

fn parse_at(text: &str, now_ms: i64) -> Option<From> {
    match text {
        "beginning" | "earliest" | "start" => return Some(From::Beginning),
        "end" | "latest" => return Some(From::End),
        _ => {}
    }
    if let Some(time) = text.strip_prefix("time:") {
        return times::parse(time, now_ms).map(From::Time);
    }
    if text.starts_with('-') {
        return times::parse(text, now_ms).map(From::Time);
    }
    text.parse().ok().filter(|offset| *offset >= 0).map(From::Offset)
}

impl From {
    /// The first offset to read of each partition.
    pub(super) fn positions(
        self,
        client: &mut Client,
        topic: &TopicInfo,
        partitions: &[i32],
    ) -> Result<BTreeMap<i32, i64>, Failure> {
        let timestamp = match self {
            Self::Offset(offset) => {
                return Ok(partitions.iter().map(|index| (*index, offset)).collect());
            }
            Self::Beginning => EARLIEST,
            Self::End => LATEST,
            Self::Time(time) => time,
        };
        let found = offsets_of(client, topic, partitions, timestamp)?;
        let ends = match found.values().all(Option::is_some) {
            true => BTreeMap::new(),
            // Partitions without a record of that time or later.
            false => ends(client, topic, partitions)?,
        };
        let position = |(index, offset): (i32, Option<i64>)| {
            (index, offset.or_else(|| ends.get(&index).copied()).unwrap_or(0))
        };
        Ok(found.into_iter().map(position).collect())
    }
}

/// An offset that is behind the end of every partition is a mistake, not the end.
pub(super) fn check(
    offset: i64,
    topic: &TopicInfo,
    ends: &BTreeMap<i32, i64>,
) -> Result<(), Failure> {
    let Some(last) = ends.values().max().filter(|end| offset > **end) else { return Ok(()) };
    let refusal = Refusal::of(ErrorCode::OffsetOutOfRange.code()).expect("it is an error's code");
    let said = format!("there is nothing at offset {offset}: the log ends at {last}");
    Err(refusal.failure(&format!("topic {}", topic.name), Some(&said)))
}

/// Where each partition ends now.
pub(super) fn ends(
    client: &mut Client,
    topic: &TopicInfo,
    partitions: &[i32],
) -> Result<BTreeMap<i32, i64>, Failure> {
    let ends = offsets_of(client, topic, partitions, LATEST)?;
    Ok(ends.into_iter().map(|(index, offset)| (index, offset.unwrap_or(0))).collect())
}

#[cfg(test)]
mod tests {
    use super::{From, parse_at};

    #[test]
    fn beginnings_are_words_offsets_and_times() {
        for (text, expected) in [
            ("beginning", Some(From::Beginning)),
            ("end", Some(From::End)),
            ("42", Some(From::Offset(42))),
            ("time:1970-01-02T00:00:00Z", Some(From::Time(86_400_000))),
            ("time:5", Some(From::Time(5))),
            ("-1s", Some(From::Time(9_000))),
            ("-5", None),
            ("1h", None),
            ("", None),
        ] {
            assert_eq!(parse_at(text, 10_000), expected, "{text}");
        }
    }
}
