//! The files below `/etc` that keep settings over a start of the machine. They are ours alone: nobody
//! else's file is ever edited, and to undo them is to remove them.

use serde::{Deserialize, Serialize};

use crate::catalogue::sysctl_name;
use crate::host_root::HostRoot;

/// Which program reads it at the start of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OwnedFile {
    /// systemd-sysctl: what is below `/proc/sys`.
    Sysctl,
    /// udev, whenever a disk appears.
    Udev,
    /// systemd-tmpfiles, which can write a value too: all else below `/sys`.
    Tmpfiles,
}

const HEADER: &str =
    "# Written by `corelane tune apply --persist`; `corelane tune rollback` removes it.\n";

impl OwnedFile {
    pub const ALL: [Self; 3] = [Self::Sysctl, Self::Udev, Self::Tmpfiles];

    pub fn path(self) -> &'static str {
        match self {
            Self::Sysctl => "/etc/sysctl.d/61-corelane-tune.conf",
            Self::Udev => "/etc/udev/rules.d/61-corelane-tune.rules",
            Self::Tmpfiles => "/etc/tmpfiles.d/corelane-tune.conf",
        }
    }

    /// Where a setting is kept.
    pub(crate) fn of_setting(path: &str) -> Self {
        if path.starts_with("/proc/sys/") {
            Self::Sysctl
        } else if disk_attribute(path).is_some() {
            Self::Udev
        } else {
            Self::Tmpfiles
        }
    }

    /// Those that are there and ours, with their content.
    pub(crate) fn present(host: &HostRoot) -> Vec<(Self, String)> {
        let files = Self::ALL.into_iter().filter_map(|file| {
            let text = std::fs::read_to_string(host.place(file.path())).ok()?;
            Self::is_ours(&text).then_some((file, text))
        });
        files.collect()
    }

    pub(crate) fn is_ours(text: &str) -> bool {
        text.starts_with(HEADER)
    }

    /// The content that keeps these settings; of two values of one setting the later counts. `None`
    /// where none of them belongs here.
    pub(crate) fn content(self, host: &HostRoot, settings: &[(String, String)]) -> Option<String> {
        let mut kept: Vec<&(String, String)> = Vec::new();
        for setting in settings.iter().filter(|(path, _)| Self::of_setting(path) == self) {
            kept.retain(|(path, _)| *path != setting.0);
            kept.push(setting);
        }
        if kept.is_empty() {
            return None;
        }
        let lines = kept.into_iter().map(|(path, value)| self.line(host, path, value));
        Some(HEADER.to_owned() + &lines.collect::<String>())
    }

    fn line(self, host: &HostRoot, path: &str, value: &str) -> String {
        match self {
            Self::Sysctl => {
                let name = sysctl_name(path).expect("a path below /proc/sys");
                format!("{name} = {value}\n")
            }
            Self::Udev => {
                let (disk, attribute) = disk_attribute(path).expect("a path of a disk");
                format!(
                    "ACTION==\"add|change\", SUBSYSTEM==\"block\", {}, ATTR{{{attribute}}}=\"{value}\"\n",
                    disk_match(host, disk)
                )
            }
            Self::Tmpfiles => format!("w {path} - - - - {value}\n"),
        }
    }
}

/// `/sys/block/vda/queue/nomerges` as `vda` and `queue/nomerges`.
fn disk_attribute(path: &str) -> Option<(&str, &str)> {
    path.strip_prefix("/sys/block/")?.split_once('/')
}

/// Names of disks may change places at a start; an identity does not.
fn disk_match(host: &HostRoot, disk: &str) -> String {
    let identity = host.text(format!("/sys/block/{disk}/wwid"));
    let is_plain = |text: &String| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || ".-_:".contains(c))
    };
    match identity.filter(is_plain) {
        Some(identity) => format!("ATTR{{wwid}}==\"{identity}\""),
        None => format!("KERNEL==\"{disk}\""),
    }
}
