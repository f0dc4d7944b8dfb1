//! Points in time as people write them: RFC 3339, or how long ago.

use std::time::{SystemTime, UNIX_EPOCH};

const MS_PER_DAY: i64 = 86_400_000;

/// Milliseconds since 1970, by this machine's clock.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// 0 where the clock is before 1970.
pub(crate) fn unix_seconds() -> u64 {
    u64::try_from(now_ms() / 1000).unwrap_or(0)
}

/// `2026-01-01T00:00:00.000Z`; the number itself where it is no usual time.
pub(crate) fn shown(ms: i64) -> String {
    let (year, month, day) = civil_from_days(ms.div_euclid(MS_PER_DAY));
    if ms < 0 || !(1970..=9999).contains(&year) {
        return ms.to_string();
    }
    let in_day = ms.rem_euclid(MS_PER_DAY);
    let (seconds, millis) = (in_day / 1000, in_day % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// `2026-01-01T00:00:00Z`, `2026-01-01T01:00:00.5+01:00`, `2026-01-01`, `-90s`, `-15m`, `-1h`, `-7d`, or
/// milliseconds since 1970.
pub(crate) fn parse(text: &str, now_ms: i64) -> Option<i64> {
    if let Some(ago) = text.strip_prefix('-') {
        return now_ms.checked_sub(duration_ms(ago)?);
    }
    if let Ok(ms) = text.parse::<i64>() {
        return Some(ms);
    }
    rfc3339(text)
}

/// `90s`, `15m`, `1h`, `7d`, `500ms`.
pub(crate) fn duration_ms(text: &str) -> Option<i64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let scale = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => MS_PER_DAY,
        _ => return None,
    };
    number.parse::<i64>().ok()?.checked_mul(scale)
}

fn rfc3339(text: &str) -> Option<i64> {
    let (date, rest) = text.split_at_checked(10)?;
    let mut parts = date.split('-');
    let mut part = |length: usize| number(parts.next()?, length);
    let (year, month, day) = (part(4)?, part(2)?, part(2)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let days = days_from_civil(year, month, day);
    if civil_from_days(days) != (year, month, day) {
        return None;
    }
    let midnight = days * MS_PER_DAY;
    if rest.is_empty() {
        return Some(midnight);
    }
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (clock, zone) = rest.split_at(rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len()));
    Some(midnight + clock_ms(clock)? - zone_ms(zone)?)
}

fn clock_ms(text: &str) -> Option<i64> {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let mut parts = clock.split(':');
    let (hour, minute) = (number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    let second = parts.next().map_or(Some(0), |part| number(part, 2))?;
    if parts.next().is_some() || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let digits: String = fraction.chars().chain("000".chars()).take(3).collect();
    Some((hour * 3600 + minute * 60 + second) * 1000 + number(&digits, 3)?)
}

/// No zone is taken as UTC.
fn zone_ms(text: &str) -> Option<i64> {
    let sign = match text.chars().next() {
        None | Some('Z' | 'z') => return (text.len() <= 1).then_some(0),
        Some('-') => -1,
        Some(_) => 1,
    };
    let (hour, minute) = text[1..].split_once(':')?;
    Some(sign * (number(hour, 2)? * 60 + number(minute, 2)?) * 60_000)
}

fn number(text: &str, length: usize) -> Option<i64> {
    let plain = text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

/// Days since 1970 of a date of the Gregorian calendar; years begin in March, so that the leap day is
/// the last of its year.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::{parse, shown};

    #[test]
    fn times_are_read_as_they_are_shown() {
        for ms in [0, 951_782_400_000, 1_767_225_600_000, 1_709_164_799_999, 253_402_300_799_999] {
            assert_eq!(parse(&shown(ms), 0), Some(ms), "{}", shown(ms));
        }
        assert_eq!(shown(1_767_225_600_000), "2026-01-01T00:00:00.000Z");
        assert_eq!(shown(-1), "-1");
    }

    #[test]
    fn zones_fractions_and_durations_are_understood() {
        let now = 10_000_000;
        for (text, expected) in [
            ("2026-01-01", Some(1_767_225_600_000)),
            ("2026-01-01T00:00:00Z", Some(1_767_225_600_000)),
            ("2026-01-01T01:00:00+01:00", Some(1_767_225_600_000)),
            ("2025-12-31 22:30:00.25-01:30", Some(1_767_225_600_250)),
            ("1767225600000", Some(1_767_225_600_000)),
            ("-1h", Some(now - 3_600_000)),
            ("-90s", Some(now - 90_000)),
            ("-5", None),
            ("2026-02-30", None),
            ("2026-13-01", None),
            ("2026-01-01T25:00:00Z", None),
            ("yesterday", None),
            ("ääääääääää", None),
        ] {
            assert_eq!(parse(text, now), expected, "{text}");
        }
    }
}
