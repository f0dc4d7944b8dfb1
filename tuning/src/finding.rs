//! One finding of `tune`: an entry of the catalogue, looked up on a machine.

use std::path::PathBuf;

use serde::Serialize;

use crate::check::{Severity, Status};
use crate::profile::Profile;
use crate::setting::Setting;

/// What is, what should be, why, and what would be written to get there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Stable and unique within one list: `kernel.version`, `disk.scheduler:vda`.
    pub id: String,
    /// The entry of the catalogue: the id without the device or the directory.
    pub entry: &'static str,
    pub group: Group,
    pub scope: Scope,
    pub title: &'static str,
    pub current: String,
    pub wanted: String,
    /// What it means in this profile if it fails.
    pub severity: Severity,
    pub status: Status,
    /// Whether the machine has such a thing at all, and this process may look at it.
    pub supported: bool,
    /// Why it is not supported, or not known.
    pub reason: Option<String>,
    pub why: &'static str,
    /// Where `current` was read.
    pub source: &'static str,
    /// What to paste into a shell, or to change where no command can.
    pub command: Option<String>,
    pub profile: Profile,
    /// Empty where `tune` changes nothing by itself.
    pub actions: Vec<Action>,
    /// Why it is changed only where that is allowed by name (`--allow-risky`).
    pub risk: Option<&'static str>,
    /// Only a new start of the machine mends it.
    pub reboot: bool,
}

/// What a finding is about, in the order in which groups are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    Kernel,
    Process,
    Cpu,
    Memory,
    Directory,
    Disk,
    Network,
    Irq,
    Service,
}

impl Group {
    pub const ALL: [Self; 9] = [
        Self::Kernel,
        Self::Process,
        Self::Cpu,
        Self::Memory,
        Self::Directory,
        Self::Disk,
        Self::Network,
        Self::Irq,
        Self::Service,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Process => "process",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Directory => "directory",
            Self::Disk => "disk",
            Self::Network => "network",
            Self::Irq => "irq",
            Self::Service => "service",
        }
    }
}

/// Which of several things of its kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "kind", content = "name", rename_all = "lowercase")]
pub enum Scope {
    Machine,
    /// This process, and what its shell, unit or container allows it.
    Process,
    Directory(PathBuf),
    Disk(String),
    Interface(String),
}

impl Scope {
    /// The name behind the colon of an id.
    pub fn name(&self) -> Option<String> {
        match self {
            Self::Machine | Self::Process => None,
            Self::Directory(path) => Some(path.display().to_string()),
            Self::Disk(name) | Self::Interface(name) => Some(name.clone()),
        }
    }
}

/// What `apply` does about a finding. There is one kind: nothing else of the machine is touched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Action {
    Write(SettingWrite),
}

/// One value to write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SettingWrite {
    #[serde(flatten)]
    pub setting: Setting,
    pub from: String,
    pub to: String,
    /// Settings that the kernel sets anew with this one; they are put back with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resets: Vec<Setting>,
}

impl Finding {
    /// Whether a node would not start.
    pub fn is_fatal(&self) -> bool {
        (self.severity, self.status) == (Severity::Fatal, Status::Failed)
    }

    /// Whether it is to be mended.
    pub fn is_warning(&self) -> bool {
        (self.severity, self.status) == (Severity::Warning, Status::Failed)
    }

    pub fn writes(&self) -> impl Iterator<Item = &SettingWrite> {
        self.actions.iter().map(|Action::Write(write)| write)
    }

    /// Whether `apply` would write anything: the profile dev changes nothing.
    pub fn is_appliable(&self) -> bool {
        !self.actions.is_empty() && self.profile != Profile::Dev
    }

    /// Whether `wanted` names it: by id, by entry, by group, or by the beginning of an entry (`cpu.`).
    pub fn is_named_by(&self, wanted: &str) -> bool {
        self.id == wanted
            || self.entry == wanted
            || self.group.name() == wanted
            || (wanted.ends_with('.') && self.entry.starts_with(wanted))
    }
}
