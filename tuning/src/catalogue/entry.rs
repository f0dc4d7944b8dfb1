//! An entry of the catalogue: what can be said of a check before any machine is looked at.

use serde::Serialize;

use crate::check::{Severity, Status};
use crate::finding::{Action, Finding, Group, Scope, SettingWrite};
use crate::profile::Profile;

/// One kind of check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// `disk.scheduler`; a finding about one disk is `disk.scheduler:vda`.
    pub id: &'static str,
    pub group: Group,
    pub title: &'static str,
    /// What it means if it fails on a server, and where is measured.
    pub prod: Severity,
    pub bench: Severity,
    /// One sentence.
    pub why: &'static str,
    /// What to know before changing it: what others do, what it costs, how to measure it.
    pub lesson: &'static str,
    /// The files that are read.
    pub source: &'static str,
    pub risk: Option<&'static str>,
    pub reboot: bool,
    /// A container sees the setting of its host and cannot change it.
    pub of_host: bool,
}

impl Entry {
    /// What most entries are: a setting of the machine that may be changed at any time.
    pub(crate) const fn of(id: &'static str, group: Group, title: &'static str) -> Self {
        Self {
            id,
            group,
            title,
            prod: Severity::Info,
            bench: Severity::Info,
            why: "",
            lesson: "",
            source: "",
            risk: None,
            reboot: false,
            of_host: true,
        }
    }

    pub fn severity(&self, profile: Profile) -> Severity {
        profile.weighs(self.prod, self.bench)
    }

    pub(crate) fn finding(
        &'static self,
        profile: Profile,
        scope: Scope,
        seen: Observation,
    ) -> Finding {
        let id = match scope.name() {
            Some(name) => format!("{}:{name}", self.id),
            None => self.id.to_owned(),
        };
        let (status, supported, reason) = match seen.verdict {
            Verdict::Passed => (Status::Passed, true, None),
            Verdict::Failed => (Status::Failed, true, None),
            Verdict::Unknown(reason) => (Status::Unknown, true, Some(reason)),
            Verdict::Unsupported(reason) => (Status::Unknown, false, Some(reason)),
        };
        let is_failed = status == Status::Failed;
        let on_host = self.of_host && profile == Profile::Container;
        let command = seen.command.filter(|_| is_failed);
        // Doctor's checks say so themselves.
        let is_said = |command: &String| command.starts_with(ON_HOST);
        Finding {
            id,
            entry: self.id,
            group: self.group,
            scope,
            title: self.title,
            current: seen.current,
            wanted: seen.wanted,
            severity: self.severity(profile),
            status,
            supported,
            reason: match on_host && is_failed {
                true => Some("a setting of the host: `tune` it there".to_owned()),
                false => reason,
            },
            why: self.why,
            source: self.source,
            command: command.map(|command| match on_host && !is_said(&command) {
                true => format!("{ON_HOST}{command}"),
                false => command,
            }),
            profile,
            actions: match is_failed && !on_host {
                true => seen.writes.into_iter().map(Action::Write).collect(),
                false => Vec::new(),
            },
            risk: self.risk,
            reboot: self.reboot || seen.needs_reboot,
        }
    }
}

pub(crate) const ON_HOST: &str = "on the host: ";

/// What was seen of an entry on a machine.
#[derive(Clone, Debug)]
pub(crate) struct Observation {
    pub(crate) current: String,
    pub(crate) wanted: String,
    pub(crate) verdict: Verdict,
    /// What mends it; counts only where the verdict is `Failed`.
    pub(crate) writes: Vec<SettingWrite>,
    pub(crate) command: Option<String>,
    pub(crate) needs_reboot: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    Passed,
    Failed,
    /// There is such a thing, and it cannot be read, or only by others.
    Unknown(String),
    /// There is no such thing here.
    Unsupported(String),
}

impl Verdict {
    pub(crate) fn of(passed: bool) -> Self {
        if passed { Self::Passed } else { Self::Failed }
    }
}

/// What a report wants: nothing.
const NOTHING: &str = "–";

impl Observation {
    pub(crate) fn new(current: impl ToString, wanted: impl Into<String>, verdict: Verdict) -> Self {
        let (current, wanted) = (current.to_string(), wanted.into());
        Self { current, wanted, verdict, writes: Vec::new(), command: None, needs_reboot: false }
    }

    pub(crate) fn unsupported(reason: impl Into<String>) -> Self {
        Self::new(NOTHING, NOTHING, Verdict::Unsupported(reason.into()))
    }

    pub(crate) fn unknown(reason: impl Into<String>) -> Self {
        Self::new("unknown", NOTHING, Verdict::Unknown(reason.into()))
    }

    /// Worth knowing when numbers are compared; nothing is wanted of it.
    pub(crate) fn report(current: impl ToString) -> Self {
        Self::new(current, NOTHING, Verdict::Passed)
    }

    pub(crate) fn with_command(mut self, command: impl Into<String>) -> Self {
        self.command = Some(command.into());
        self
    }

    /// What is written, and the same as a command to paste.
    pub(crate) fn with_writes(mut self, writes: Vec<SettingWrite>) -> Self {
        self.command = command_of(&writes);
        self.writes = writes;
        self
    }
}

/// The shell's way to the same.
fn command_of(writes: &[SettingWrite]) -> Option<String> {
    let first = writes.first()?;
    let path = first.setting.path();
    if let Some(name) = sysctl_name(path) {
        return Some(format!("sudo sysctl -w {name}='{}'", first.to));
    }
    let value = &first.to;
    if writes.iter().any(|write| write.to != *value) {
        return None;
    }
    match writes {
        [_] => Some(format!("echo {value} | sudo tee {path}")),
        _ => Some(format!("echo {value} | sudo tee {}", pattern_of(writes))),
    }
}

/// `/proc/sys/net/core/somaxconn` as `net.core.somaxconn`.
pub(crate) fn sysctl_name(path: &str) -> Option<String> {
    Some(path.strip_prefix("/proc/sys/")?.replace('/', "."))
}

/// What the shell makes these paths from, if no more than a part of each differs; else all of them.
fn pattern_of(writes: &[SettingWrite]) -> String {
    let paths: Vec<&str> = writes.iter().map(|write| write.setting.path()).collect();
    let parts: Vec<Vec<&str>> = paths.iter().map(|path| path.split('/').collect()).collect();
    let first = &parts[0];
    if parts.iter().any(|other| other.len() != first.len()) {
        return paths.join(" ");
    }
    let part = |at: usize| {
        let part = first[at];
        if parts.iter().all(|other| other[at] == part) {
            return part.to_owned();
        }
        let stem = part.trim_end_matches(|c: char| c.is_ascii_digit());
        match parts.iter().all(|other| other[at].starts_with(stem)) {
            true => format!("{stem}[0-9]*"),
            false => "*".to_owned(),
        }
    };
    (0..first.len()).map(part).collect::<Vec<_>>().join("/")
}
