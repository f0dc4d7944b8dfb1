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
    /// udev, whenever a disk or a network card appears.
    Udev,
    /// systemd-tmpfiles, which can write a value too: all else below `/sys`.
    Tmpfiles,
}

const HEADER: &str =
    "# Written by `corelane tune apply --persist`; `corelane tune rollback` removes it.\n";

/// What stands there instead when the file is left to somebody.
const HANDED_OVER: &str = "# Once of `corelane tune`, which leaves it alone now.\n";

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
        } else if device_attribute(path).is_some() {
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

    /// The same text as somebody else's; `None` where it is that already.
    pub(crate) fn handed_over(text: &str) -> Option<String> {
        text.strip_prefix(HEADER).map(|rest| format!("{HANDED_OVER}{rest}"))
    }

    /// Whether a content of ours keeps this setting with this value.
    pub(crate) fn says(self, host: &HostRoot, text: &str, path: &str, value: &str) -> bool {
        let line = self.line(host, path, value);
        text.lines().any(|there| there == line.trim_end_matches('\n'))
    }

    /// The content that keeps these settings; of two values of one setting the later counts. `None`
    /// where none of them belongs here and no file of ours is there.
    pub(crate) fn content(self, host: &HostRoot, settings: &[(String, String)]) -> Option<String> {
        let mut kept: Vec<&(String, String)> = Vec::new();
        for setting in settings.iter().filter(|(path, _)| Self::of_setting(path) == self) {
            kept.retain(|(path, _)| *path != setting.0);
            kept.push(setting);
        }
        if kept.is_empty() {
            let is_there = Self::present(host).iter().any(|(file, _)| *file == self);
            return is_there.then(|| HEADER.to_owned());
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
                let device = device_attribute(path).expect("a path of a device");
                let (actions, found) = match device.subsystem {
                    "block" => ("add|change", disk_match(host, device.name)),
                    // A card gets its name after it was added: that is a move.
                    _ => ("add|change|move", format!("KERNEL==\"{}\"", device.name)),
                };
                format!(
                    "ACTION==\"{actions}\", SUBSYSTEM==\"{}\", {found}, ATTR{{{}}}=\"{value}\"\n",
                    device.subsystem, device.attribute
                )
            }
            Self::Tmpfiles => format!("w {path} - - - - {value}\n"),
        }
    }
}

/// A setting of a device as udev names it: `/sys/block/vda/queue/nomerges` as `block`, `vda` and
/// `queue/nomerges`. Others are there before any program runs.
struct DeviceAttribute<'path> {
    subsystem: &'static str,
    name: &'path str,
    attribute: &'path str,
}

fn device_attribute(path: &str) -> Option<DeviceAttribute<'_>> {
    let folders = [("block", "/sys/block/"), ("net", "/sys/class/net/")];
    folders.into_iter().find_map(|(subsystem, folder)| {
        let (name, attribute) = path.strip_prefix(folder)?.split_once('/')?;
        Some(DeviceAttribute { subsystem, name, attribute })
    })
}

/// Names of disks may change places at a start; an identity does not.
fn disk_match(host: &HostRoot, disk: &str) -> String {
    let is_plain = |text: &String| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || ".-_:".contains(c))
    };
    let told = |file: &str| host.text(format!("/sys/block/{disk}/{file}")).filter(is_plain);
    if let Some(identity) = told("wwid") {
        format!("ATTR{{wwid}}==\"{identity}\"")
    } else if let Some(identity) = told("device/wwid") {
        // Of SCSI it is the device's above, which is above the disk's partitions, too.
        format!("ENV{{DEVTYPE}}==\"disk\", ATTRS{{wwid}}==\"{identity}\"")
    } else if let Some(serial) = told("serial") {
        format!("ATTR{{serial}}==\"{serial}\"")
    } else {
        format!("KERNEL==\"{disk}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::disk_match;
    use crate::recorded_tree::RecordedTree;

    /// Names alone were what SCSI and virtual disks were known by.
    #[test]
    fn a_disk_is_matched_by_what_stays() {
        for (file, content, expected) in [
            ("wwid", "eui.00a0", "ATTR{wwid}==\"eui.00a0\""),
            ("device/wwid", "naa.5002", "ENV{DEVTYPE}==\"disk\", ATTRS{wwid}==\"naa.5002\""),
            ("serial", "vol-1", "ATTR{serial}==\"vol-1\""),
            // Blanks and quotes would mean something in a rule.
            ("device/wwid", "t10.ATA     Disk", "KERNEL==\"sda\""),
            ("size", "8", "KERNEL==\"sda\""),
        ] {
            let tree = RecordedTree::unpack("").with(&format!("/sys/block/sda/{file}"), content);
            assert_eq!(disk_match(&tree.root(), "sda"), expected);
        }
    }
}
