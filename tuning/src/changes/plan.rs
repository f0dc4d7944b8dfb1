//! Which writes, and what is left out and why. Making a plan changes nothing.

use std::fmt;
use std::path::Path;

use serde::Serialize;

use crate::catalogue::entries;
use crate::changes::apply::boot_id;
use crate::changes::change::Change;
use crate::changes::journal::Journal;
use crate::changes::journal_error::JournalError;
use crate::changes::kept::to_keep;
use crate::changes::overruled::{Overruled, overruled};
use crate::changes::owned_files::OwnedFile;
use crate::check::{Severity, Status};
use crate::finding::{Finding, Group, SettingWrite};
use crate::host_root::HostRoot;
use crate::profile::Profile;

/// What is wanted of a plan.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// Ids, entries, groups (`disk`), or beginnings of entries (`cpu.`). None: every finding that is
    /// fatal or a warning.
    pub names: Vec<String>,
    pub allow_risky: bool,
    /// Keep it over a start of the machine.
    pub persist: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    pub profile: Profile,
    pub checks: Vec<PlannedCheck>,
    pub skipped: Vec<Skipped>,
    pub persist: bool,
    /// Ids of all findings that the choice is about, those in order already, too: what `persist` keeps.
    #[serde(skip)]
    pub asked: Vec<String>,
    /// Another tuner at work: nothing is applied beside it.
    pub conflict: Option<String>,
}

/// A finding, and what is written for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedCheck {
    pub id: String,
    pub title: &'static str,
    pub why: &'static str,
    pub severity: Severity,
    pub risk: Option<&'static str>,
    pub writes: Vec<SettingWrite>,
}

/// A finding that is not mended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Skipped {
    pub id: String,
    pub severity: Severity,
    pub reason: String,
}

/// A file of ours, as it would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedFile {
    pub path: &'static str,
    pub from: Option<String>,
    pub to: String,
    /// Why it cannot be written.
    pub refused: Option<String>,
    /// What of it has no effect at a start of the machine.
    pub overruled: Vec<Overruled>,
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanError {
    NoSuchCheck {
        name: String,
    },
    /// There is such an entry, but nothing on this machine that it is about.
    NothingHere {
        name: String,
    },
}

impl fmt::Display for PlanError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchCheck { name } => write!(
                formatter,
                "there is no check `{name}`; see what there is with `corelane tune list`"
            ),
            Self::NothingHere { name } => write!(
                formatter,
                "this machine has nothing that `{name}` is about; see `corelane tune check --all`, and \
                 give the data directories with --data-dir"
            ),
        }
    }
}

impl std::error::Error for PlanError {}

impl Plan {
    pub fn new(findings: &[Finding], profile: Profile, choice: &Choice) -> Result<Self, PlanError> {
        for name in &choice.names {
            known(findings, name)?;
        }
        let mut plan = Self {
            profile,
            checks: Vec::new(),
            skipped: Vec::new(),
            persist: choice.persist && profile != Profile::Dev,
            asked: Vec::new(),
            conflict: conflict(findings).filter(|_| !choice.allow_risky),
        };
        let is_named = |finding: &Finding| choice.names.iter().any(|n| finding.is_named_by(n));
        for finding in findings {
            let is_asked = match choice.names.is_empty() {
                true => finding.severity <= Severity::Warning,
                false => is_named(finding),
            };
            if !is_asked {
                continue;
            }
            plan.asked.push(finding.id.clone());
            if choice.names.is_empty() && finding.status != Status::Failed {
                continue;
            }
            match reason_to_skip(finding, choice) {
                Some(reason) => plan.skipped.push(Skipped {
                    id: finding.id.clone(),
                    severity: finding.severity,
                    reason,
                }),
                None => plan.checks.push(PlannedCheck {
                    id: finding.id.clone(),
                    title: finding.title,
                    why: finding.why,
                    severity: finding.severity,
                    risk: finding.risk,
                    writes: finding.writes().cloned().collect(),
                }),
            }
        }
        Ok(plan)
    }

    /// The files that would keep what this plan and those before it wrote. Empty without `persist`.
    pub fn files(&self, host: &HostRoot, state: &Path) -> Result<Vec<PlannedFile>, JournalError> {
        if !self.persist {
            return Ok(Vec::new());
        }
        let journal = Journal::read(state)?;
        let boot = boot_id(host);
        let mut settings = to_keep(host, journal.live(), &self.asked, boot.as_deref());
        let writes = self.checks.iter().flat_map(|check| &check.writes);
        settings.extend(writes.map(|w| (w.setting.path().to_owned(), w.to.clone())));
        let files = OwnedFile::ALL.into_iter().filter_map(|file| {
            let to = file.content(host, &settings)?;
            let from = std::fs::read_to_string(host.place(file.path())).ok();
            let refused = match Change::of_file(host, file, to.clone()) {
                Ok(change) => change.map(|_| None)?,
                Err(error) => Some(error.to_string()),
            };
            let overruled = match file {
                OwnedFile::Sysctl => overruled(host, &settings),
                OwnedFile::Udev | OwnedFile::Tmpfiles => Vec::new(),
            };
            Some(PlannedFile { path: file.path(), from, to, refused, overruled })
        });
        Ok(files.collect())
    }
}

fn known(findings: &[Finding], name: &str) -> Result<(), PlanError> {
    if findings.iter().any(|finding| finding.is_named_by(name)) {
        return Ok(());
    }
    let name = name.to_owned();
    let id = name.split_once(':').map_or(name.as_str(), |(id, _)| id);
    let is_entry = entries().iter().any(|entry| entry.id == id);
    let is_group = Group::ALL.iter().any(|group| group.name() == name);
    Err(match is_entry || is_group {
        true => PlanError::NothingHere { name },
        false => PlanError::NoSuchCheck { name },
    })
}

fn reason_to_skip(finding: &Finding, choice: &Choice) -> Option<String> {
    if finding.status == Status::Passed {
        return Some("in order already".to_owned());
    }
    if finding.status == Status::Unknown {
        return Some(finding.reason.clone().unwrap_or_else(|| "not known".to_owned()));
    }
    if finding.actions.is_empty() {
        let command = finding.command.as_deref();
        return Some(match command {
            Some(command) => format!("by hand: {command}"),
            None => "nothing that could be written mends it".to_owned(),
        });
    }
    if !finding.is_appliable() {
        return Some(format!(
            "profile {} changes nothing: give another with --profile",
            finding.profile
        ));
    }
    let risk = finding.risk.filter(|_| !choice.allow_risky)?;
    Some(format!("risky ({risk}): only with --allow-risky"))
}

fn conflict(findings: &[Finding]) -> Option<String> {
    let tuners = findings.iter().find(|finding| finding.entry == "service.other_tuners")?;
    (tuners.status == Status::Failed).then(|| tuners.current.clone())
}
