//! A machine under examination: its files, the facts read from them, and the ways in which entries look
//! at settings.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use runtime::probe::CardFacts;

use crate::catalogue::entry::{Entry, Observation, Verdict};
use crate::directory::DirectoryFacts;
use crate::finding::{Finding, Scope, SettingWrite};
use crate::host::{HostFacts, RingProbe};
use crate::host_root::HostRoot;
use crate::limits::FINDING_TEXT_MAX;
use crate::profile::Profile;
use crate::setting::{Form, Setting, same};

/// What the catalogue is looked up on.
pub(crate) struct Machine<'facts> {
    pub(crate) host: &'facts HostRoot,
    pub(crate) facts: &'facts HostFacts,
    pub(crate) ring: RingProbe,
    pub(crate) cards: &'facts BTreeMap<String, CardFacts>,
    pub(crate) directories: &'facts [DirectoryFacts],
    /// The node's configuration, where one was looked into, and whether a calibration is written there.
    pub(crate) config: Option<&'facts Path>,
    pub(crate) is_calibrated: bool,
    pub(crate) profile: Profile,
}

impl Machine<'_> {
    pub(crate) fn finding(&self, entry: &'static Entry, seen: Observation) -> Finding {
        self.scoped(entry, Scope::Machine, seen)
    }

    pub(crate) fn scoped(&self, entry: &'static Entry, scope: Scope, seen: Observation) -> Finding {
        entry.finding(self.profile, scope, seen)
    }

    /// One setting against what is wanted of it.
    pub(crate) fn setting(&self, path: &str, form: Form, want: Want<'_>) -> Observation {
        self.settings(&[path.to_owned()], form, want)
    }

    /// Several files of which the same is wanted: one for each policy, each CPU.
    pub(crate) fn settings(&self, paths: &[String], form: Form, want: Want<'_>) -> Observation {
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        let mut writes = Vec::new();
        for path in paths {
            let setting = Setting::new(path.clone(), form).expect("an entry names harmless files");
            let from = match setting.read(self.host) {
                Ok(value) => value,
                Err(error) => return unreadable(path, &error),
            };
            *seen.entry(from.clone()).or_default() += 1;
            match want.judge(&from) {
                Some(true) => {}
                Some(false) => {
                    let to = want.target(&from);
                    writes.push(SettingWrite { setting, from, to, resets: Vec::new() });
                }
                None => return Observation::unknown(format!("`{from}` is no value of {path}")),
            }
        }
        let verdict = Verdict::of(writes.is_empty());
        Observation::new(summary(&seen), want.to_string(), verdict).with_writes(writes)
    }

    /// The file's words, for a report.
    pub(crate) fn told(&self, path: &str) -> Observation {
        match self.host.reading(path) {
            Ok(text) => Observation::report(text.split_whitespace().collect::<Vec<_>>().join(" ")),
            Err(error) => unreadable(path, &error),
        }
    }
}

/// What is wanted of a setting, and what is written where it is not so.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Want<'text> {
    Word(&'text str),
    /// The first is written; the others will do.
    OneOf(&'text [&'text str]),
    AtLeast(i64),
    /// No more than the first number; the second is written.
    AtMost(i64, i64),
    /// The last of several numbers (`tcp_rmem`).
    LastAtLeast(i64),
}

impl Want<'_> {
    /// `None` where the value is not of the kind.
    fn judge(&self, value: &str) -> Option<bool> {
        let number = |text: &str| text.trim().parse::<i64>().ok();
        match *self {
            Self::Word(word) => Some(same(value, word)),
            Self::OneOf(words) => Some(words.iter().any(|word| same(value, word))),
            Self::AtLeast(least) => Some(number(value)? >= least),
            Self::AtMost(most, _) => Some(number(value)? <= most),
            Self::LastAtLeast(least) => Some(number(value.split_whitespace().last()?)? >= least),
        }
    }

    fn target(&self, value: &str) -> String {
        match *self {
            Self::Word(word) => word.to_owned(),
            Self::OneOf(words) => words[0].to_owned(),
            Self::AtLeast(number) | Self::AtMost(_, number) => number.to_string(),
            Self::LastAtLeast(least) => {
                let before = value.trim_end().trim_end_matches(|c: char| c.is_ascii_digit());
                format!("{before}{least}")
            }
        }
    }
}

impl std::fmt::Display for Want<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Self::Word(word) => formatter.write_str(word),
            Self::OneOf(words) => formatter.write_str(&words.join(" or ")),
            Self::AtLeast(least) => write!(formatter, "{least} or more"),
            Self::AtMost(0, _) => formatter.write_str("0"),
            Self::AtMost(most, _) => write!(formatter, "{most} or less"),
            Self::LastAtLeast(least) => write!(formatter, "… … {least} or more"),
        }
    }
}

/// Why a file tells nothing.
pub(crate) fn unreadable(path: &str, error: &io::Error) -> Observation {
    match error.kind() {
        io::ErrorKind::NotFound => Observation::unsupported(format!("there is no {path} here")),
        io::ErrorKind::PermissionDenied => {
            Observation::unknown(format!("only root may read {path}"))
        }
        _ => Observation::unknown(format!("{path}: {error}")),
    }
}

/// `powersave`; `performance (3), powersave (1)` where files differ.
fn summary(seen: &BTreeMap<String, usize>) -> String {
    let blank = |value: &str| value.split_whitespace().collect::<Vec<_>>().join(" ");
    match seen.len() {
        0 => "none".to_owned(),
        1 => seen.keys().next().map(|value| blank(value)).unwrap_or_default(),
        _ => {
            let parts = seen.iter().map(|(value, count)| format!("{} ({count})", blank(value)));
            shortened(parts.collect::<Vec<_>>().join(", "))
        }
    }
}

pub(crate) fn shortened(text: String) -> String {
    match text.char_indices().nth(FINDING_TEXT_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}
