//! Kafka's value syntax and ranges: text to a typed value, and back to the text that is shown.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use super::{
    definition::{ConfigDefinition, ConfigKind, Scale, ValidValues},
    error::ConfigError,
};

/// A value that passed its property's type and range.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ConfigValue<'a> {
    Boolean(bool),
    Integer(i64),
    Ratio(f64),
    Text(&'a str),
    List(Vec<&'a str>),
}

impl ConfigValue<'_> {
    /// The value as Kafka prints it: without the blanks and the spelling of the input.
    pub(crate) fn to_text(&self) -> String {
        match self {
            Self::Boolean(value) => value.to_string(),
            Self::Integer(value) => value.to_string(),
            Self::Ratio(value) => format!("{value:?}"),
            Self::Text(value) => (*value).to_string(),
            Self::List(values) => values.join(","),
        }
    }
}

/// Parses a value and checks its range.
pub(crate) fn parse<'a>(
    definition: &ConfigDefinition,
    text: &'a str,
) -> Result<ConfigValue<'a>, ConfigError> {
    let value = parse_type(definition, text.trim())?;
    check_range(definition, &value)?;
    Ok(value)
}

/// The parts of a list as `APPEND` and `SUBTRACT` see them: empty ones do not count.
pub(crate) fn list_parts(text: &str) -> Vec<&str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect()
}

/// A synonym's number in the property's unit; a negative time means "no limit" and stays -1.
pub(crate) fn scaled(scale: Scale, text: &str) -> Option<String> {
    let factor = match scale {
        Scale::Same => return Some(text.trim().to_string()),
        Scale::HoursToMillis => 3_600_000,
        Scale::MinutesToMillis => 60_000,
    };
    let number: i64 = text.trim().parse().ok()?;
    let millis = if number < 0 { -1 } else { number.saturating_mul(factor) };
    Some(millis.to_string())
}

fn parse_type<'a>(
    definition: &ConfigDefinition,
    text: &'a str,
) -> Result<ConfigValue<'a>, ConfigError> {
    let name = definition.name;
    let kind = definition.kind;
    let not_a_number = || ConfigError::NotANumber { name, value: text.to_string(), kind };
    match kind {
        ConfigKind::Boolean if text.eq_ignore_ascii_case("true") => Ok(ConfigValue::Boolean(true)),
        ConfigKind::Boolean if text.eq_ignore_ascii_case("false") => {
            Ok(ConfigValue::Boolean(false))
        }
        ConfigKind::Boolean => Err(ConfigError::NotABoolean { name, value: text.to_string() }),
        ConfigKind::Short => match text.parse::<i16>() {
            Ok(value) => Ok(ConfigValue::Integer(value.into())),
            Err(_) => Err(not_a_number()),
        },
        ConfigKind::Int => match text.parse::<i32>() {
            Ok(value) => Ok(ConfigValue::Integer(value.into())),
            Err(_) => Err(not_a_number()),
        },
        ConfigKind::Long => match text.parse::<i64>() {
            Ok(value) => Ok(ConfigValue::Integer(value)),
            Err(_) => Err(not_a_number()),
        },
        ConfigKind::Double => match text.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(ConfigValue::Ratio(value)),
            Ok(_) | Err(_) => Err(not_a_number()),
        },
        ConfigKind::String | ConfigKind::Password => Ok(ConfigValue::Text(text)),
        ConfigKind::List if text.is_empty() => Ok(ConfigValue::List(Vec::new())),
        ConfigKind::List => Ok(ConfigValue::List(text.split(',').map(str::trim).collect())),
    }
}

fn check_range(definition: &ConfigDefinition, value: &ConfigValue<'_>) -> Result<(), ConfigError> {
    let name = definition.name;
    match definition.valid {
        ValidValues::Any => Ok(()),
        ValidValues::AtLeast(min) => check_min(name, value, min),
        ValidValues::Between(min, max) => {
            check_min(name, value, min)?;
            check_max(name, value, max)
        }
        ValidValues::BetweenOr(min, max, or) => match value {
            ConfigValue::Integer(number) if (min..=max).contains(number) || *number == or => Ok(()),
            _ => Err(ConfigError::OutsideRange { name, value: value.to_text(), min, max, or }),
        },
        ValidValues::OneOf(allowed) => match value {
            ConfigValue::Text(text) if allowed.contains(text) => Ok(()),
            _ => Err(ConfigError::NotOneOf { name, value: value.to_text(), allowed }),
        },
        ValidValues::ListOf(allowed) => check_list(name, value, allowed),
        ValidValues::ThrottledReplicas => check_throttled_replicas(name, value),
        ValidValues::OffsetReset => match value {
            ConfigValue::Text(text) if is_offset_reset(text) => Ok(()),
            _ => Err(ConfigError::NotAnOffsetReset { name, value: value.to_text() }),
        },
    }
}

fn is_offset_reset(text: &str) -> bool {
    let duration = text.strip_prefix("by_duration:");
    matches!(text, "earliest" | "latest") || duration.is_some_and(is_duration)
}

/// A duration of ISO 8601 as `PnDTnHnMn.nS` has it: at least one part, each once, in this order.
fn is_duration(text: &str) -> bool {
    let text = text.to_ascii_uppercase();
    let Some(rest) = text.strip_prefix('P') else { return false };
    let (date, time) = match rest.split_once('T') {
        Some((date, time)) => (date, Some(time)),
        None => (rest, None),
    };
    let has_days = part(date, 'D');
    let Some(time) = time else { return has_days == Some("") && !date.is_empty() };
    if !matches!(has_days, Some("")) || time.is_empty() {
        return false;
    }
    let after_hours = part(time, 'H');
    let after_minutes = after_hours.and_then(|rest| part(rest, 'M'));
    let Some(seconds) = after_minutes else { return false };
    let Some(seconds) = seconds.strip_suffix('S') else { return seconds.is_empty() };
    let (whole, fraction) = seconds.split_once(['.', ',']).unwrap_or((seconds, ""));
    let is_fraction = fraction.len() <= 9 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    is_count(whole) && is_fraction
}

/// What follows a part of a duration, also where the part is left out; `None`: it is no number.
fn part(text: &str, unit: char) -> Option<&str> {
    match text.split_once(unit) {
        Some((number, rest)) => is_count(number).then_some(rest),
        None => Some(text),
    }
}

fn is_count(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<i64>().is_ok()
}

fn check_min(name: &'static str, value: &ConfigValue<'_>, min: i64) -> Result<(), ConfigError> {
    let holds = match value {
        ConfigValue::Integer(number) => *number >= min,
        ConfigValue::Ratio(number) => *number >= bound_of_ratio(min),
        ConfigValue::Boolean(_) | ConfigValue::Text(_) | ConfigValue::List(_) => true,
    };
    if holds { Ok(()) } else { Err(ConfigError::TooSmall { name, value: value.to_text(), min }) }
}

fn check_max(name: &'static str, value: &ConfigValue<'_>, max: i64) -> Result<(), ConfigError> {
    let holds = match value {
        ConfigValue::Integer(number) => *number <= max,
        ConfigValue::Ratio(number) => *number <= bound_of_ratio(max),
        ConfigValue::Boolean(_) | ConfigValue::Text(_) | ConfigValue::List(_) => true,
    };
    if holds { Ok(()) } else { Err(ConfigError::TooLarge { name, value: value.to_text(), max }) }
}

/// Bounds of ratios are small whole numbers.
fn bound_of_ratio(bound: i64) -> f64 {
    f64::from(i32::try_from(bound).expect("the tables bound ratios by 0 and 1"))
}

fn check_list(
    name: &'static str,
    value: &ConfigValue<'_>,
    allowed: &'static [&'static str],
) -> Result<(), ConfigError> {
    let ConfigValue::List(values) = value else { unreachable!("only lists have list ranges") };
    for (at, part) in values.iter().enumerate() {
        if values[..at].contains(part) {
            return Err(ConfigError::DuplicateListValue { name });
        }
    }
    for part in values {
        if part.is_empty() {
            return Err(ConfigError::EmptyListValue { name });
        }
        if !allowed.contains(part) {
            return Err(ConfigError::NotOneOf { name, value: (*part).to_string(), allowed });
        }
    }
    Ok(())
}

fn check_throttled_replicas(
    name: &'static str,
    value: &ConfigValue<'_>,
) -> Result<(), ConfigError> {
    let ConfigValue::List(values) = value else { unreachable!("only lists have list ranges") };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let is_replica = |part: &&str| match part.split_once(':') {
        Some((partition, broker)) => is_number(partition) && is_number(broker),
        None => part.is_empty(),
    };
    if values.iter().all(is_replica) || values[..] == ["*"] {
        return Ok(());
    }
    Err(ConfigError::NotThrottledReplicas { name, value: format!("[{}]", values.join(", ")) })
}
