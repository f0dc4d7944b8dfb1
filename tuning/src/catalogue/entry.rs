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
        let is_elsewhere = matches!(seen.verdict, Verdict::Elsewhere(_));
        let (status, supported, reason) = match seen.verdict {
            Verdict::Passed => (Status::Passed, true, None),
            Verdict::Failed => (Status::Failed, true, None),
            Verdict::Unknown(reason) => (Status::Unknown, true, Some(reason)),
            Verdict::Unsupported(reason) | Verdict::Elsewhere(reason) => {
                (Status::Unknown, false, Some(reason))
            }
        };
        let is_failed = status == Status::Failed;
        let on_host = self.of_host && profile == Profile::Container;
        let command = seen.command.filter(|_| is_failed || is_elsewhere);
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
    /// What mends it, or, where the verdict is `Elsewhere`, what tells.
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
    /// Only the device itself tells, and asking it takes more than reading a file: the command does.
    Elsewhere(String),
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

    pub(crate) fn elsewhere(reason: impl Into<String>) -> Self {
        Self::new(NOTHING, NOTHING, Verdict::Elsewhere(reason.into()))
    }

    /// Worth knowing when numbers are compared; nothing is wanted of it.
    pub(crate) fn report(current: impl ToString) -> Self {
        Self::new(current, NOTHING, Verdict::Passed)
    }

    pub(crate) fn wanting(mut self, wanted: impl Into<String>) -> Self {
        self.wanted = wanted.into();
        self
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

/// The shell's way to the same: each value into exactly the files that `apply` writes it into.
fn command_of(writes: &[SettingWrite]) -> Option<String> {
    let mut by_value: Vec<(&str, Vec<&str>)> = Vec::new();
    for write in writes {
        let path = write.setting.path();
        match by_value.iter_mut().find(|(value, _)| *value == write.to.as_str()) {
            Some((_, paths)) => paths.push(path),
            None => by_value.push((write.to.as_str(), vec![path])),
        }
    }
    let commands = by_value.iter().map(|(value, paths)| write_command(value, paths));
    let commands: Vec<String> = commands.collect();
    (!commands.is_empty()).then(|| commands.join(" && "))
}

fn write_command(value: &str, paths: &[&str]) -> String {
    let sysctl = match paths {
        [path] => sysctl_name(path),
        _ => None,
    };
    match sysctl {
        Some(name) => format!("sudo sysctl -w {name}='{value}'"),
        None => format!("echo {value} | sudo tee {}", braced(paths)),
    }
}

/// `/proc/sys/net/core/somaxconn` as `net.core.somaxconn`.
pub(crate) fn sysctl_name(path: &str) -> Option<String> {
    Some(path.strip_prefix("/proc/sys/")?.replace('/', "."))
}

/// These paths and no others, short where braces (of bash and zsh) make them: `policy{1..3}`. A pattern of
/// file names would take in what else is there, and write into files that are in order as they are.
fn braced(paths: &[&str]) -> String {
    let parts: Vec<Vec<&str>> = paths.iter().map(|path| path.split('/').collect()).collect();
    let depth = parts.first().map_or(0, Vec::len);
    if parts.iter().any(|other| other.len() != depth) {
        return paths.join(" ");
    }
    let names_at = |at: usize| {
        let mut names: Vec<&str> = parts.iter().map(|parts| parts[at]).collect();
        names.sort_unstable();
        names.dedup();
        names
    };
    let names: Vec<Vec<&str>> = (0..depth).map(names_at).collect();
    // Braces make every combination; the paths differ, so as many as these are these.
    match names.iter().map(Vec::len).product::<usize>() == paths.len() {
        true => names.iter().map(|names| alternatives(names)).collect::<Vec<_>>().join("/"),
        false => paths.join(" "),
    }
}

/// One name as it is; several in braces.
fn alternatives(names: &[&str]) -> String {
    let [first, _, ..] = names else { return names.concat() };
    let stem = first.trim_end_matches(|c: char| c.is_ascii_digit());
    let number = |name: &&str| name.strip_prefix(stem)?.parse::<u32>().ok();
    let numbers: Option<Vec<u32>> = names.iter().map(number).collect();
    let Some(mut numbers) = numbers else { return format!("{{{}}}", names.join(",")) };
    numbers.sort_unstable();
    let (least, most) = (numbers[0], numbers[numbers.len() - 1]);
    if u64::from(most - least) + 1 == numbers.len() as u64 {
        return format!("{stem}{{{least}..{most}}}");
    }
    let numbers: Vec<String> = numbers.iter().map(u32::to_string).collect();
    format!("{stem}{{{}}}", numbers.join(","))
}

#[cfg(test)]
mod tests {
    use super::braced;

    #[test]
    fn braces_make_these_paths_and_no_others() {
        let cases: [(&[&str], &str); 7] = [
            (&["/a/cpu0/b"], "/a/cpu0/b"),
            (&["/a/cpu1/b", "/a/cpu2/b", "/a/cpu10/b"], "/a/cpu{1,2,10}/b"),
            (&["/a/p9/b", "/a/p10/b", "/a/p11/b"], "/a/p{9..11}/b"),
            (&["/c0/s2/d", "/c0/s3/d", "/c1/s2/d", "/c1/s3/d"], "/c{0..1}/s{2..3}/d"),
            (&["/c0/s2/d", "/c0/s3/d", "/c1/s2/d"], "/c0/s2/d /c0/s3/d /c1/s2/d"),
            (&["/a/eth0/b", "/a/lan/b"], "/a/{eth0,lan}/b"),
            (&["/a", "/a/b"], "/a /a/b"),
        ];
        for (paths, expected) in cases {
            assert_eq!(braced(paths), expected);
        }
    }
}
