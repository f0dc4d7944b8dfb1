//! The mount that holds a path, from `/proc/self/mountinfo`.

use std::path::{Path, PathBuf};

use crate::host_root::HostRoot;

/// One line of `mountinfo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    pub(crate) device: DeviceNumber,
    /// The folder of the file system that is mounted here: `/`, or a bind mount's source.
    pub(crate) root: PathBuf,
    pub(crate) mount_point: PathBuf,
    pub(crate) kind: String,
    pub(crate) source: String,
    /// Options of the mount, then of the file system.
    pub(crate) options: Vec<String>,
}

/// A device as the kernel numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DeviceNumber {
    pub(crate) major: u32,
    pub(crate) minor: u32,
}

impl Mount {
    /// All mounts in mounting order: of two on one mount point the later hides the earlier.
    pub(crate) fn all(host: &HostRoot) -> Vec<Self> {
        let text = host.text("/proc/self/mountinfo").unwrap_or_default();
        text.lines().filter_map(Self::parse).collect()
    }

    /// The mount that an absolute path without links and `..` lies on.
    pub(crate) fn holding<'mounts>(mounts: &'mounts [Self], path: &Path) -> Option<&'mounts Self> {
        let mut found: Option<&Self> = None;
        for mount in mounts.iter().filter(|mount| path.starts_with(&mount.mount_point)) {
            let depth = |mount: &Self| mount.mount_point.components().count();
            if found.is_none_or(|earlier| depth(mount) >= depth(earlier)) {
                found = Some(mount);
            }
        }
        found
    }

    pub(crate) fn has_option(&self, name: &str) -> bool {
        self.options.iter().any(|option| option == name)
    }

    /// The value of `name=value`.
    pub(crate) fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().find_map(|option| {
            let (key, value) = option.split_once('=')?;
            (key == name).then_some(value)
        })
    }

    /// `36 35 98:0 /root /mount/point rw,noatime master:1 - ext4 /dev/root rw,errors=continue`
    fn parse(line: &str) -> Option<Self> {
        let (before, after) = line.split_once(" - ")?;
        let before: Vec<&str> = before.split(' ').collect();
        let after: Vec<&str> = after.split(' ').collect();
        let (major, minor) = before.get(2)?.split_once(':')?;
        let mut options: Vec<String> = before.get(5)?.split(',').map(str::to_owned).collect();
        options.extend(after.get(2).into_iter().flat_map(|list| list.split(',').map(unescape)));
        Some(Self {
            device: DeviceNumber { major: major.parse().ok()?, minor: minor.parse().ok()? },
            root: unescape(before.get(3)?).into(),
            mount_point: unescape(before.get(4)?).into(),
            kind: (*after.first()?).to_owned(),
            source: unescape(after.get(1)?),
            options,
        })
    }
}

/// The kernel writes blanks and backslashes of paths as three octal digits: `\040`.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let octal = match after {
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..] if first == b'\\' => {
                Some((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'))
            }
            _ => None,
        };
        bytes.push(octal.unwrap_or(first));
        rest = if octal.is_some() { &after[3..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{DeviceNumber, Mount, unescape};

    #[test]
    fn a_line_of_mountinfo_is_read() {
        let line = r"36 35 98:0 /sub /a\040b rw,noatime master:1 shared:2 - ext4 /dev/sda1 rw,data=journal";
        let mount = Mount::parse(line).expect("a mount");
        assert_eq!(mount.device, DeviceNumber { major: 98, minor: 0 });
        assert_eq!(
            (mount.root.as_path(), mount.mount_point.as_path()),
            (Path::new("/sub"), Path::new("/a b"))
        );
        assert!(mount.has_option("noatime") && !mount.has_option("lazytime"));
        assert_eq!(mount.option("data"), Some("journal"));
        assert_eq!(Mount::parse("36 35 98:0 / / rw"), None);
        assert_eq!(Mount::parse(""), None);
    }

    #[test]
    fn the_deepest_and_latest_mount_holds_a_path() {
        let mount = |point: &str, kind: &str| {
            Mount::parse(&format!("1 1 0:1 / {point} rw - {kind} none rw")).expect("a mount")
        };
        let mounts = [
            mount("/", "ext4"),
            mount("/data", "xfs"),
            mount("/data", "btrfs"),
            mount("/database", "zfs"),
        ];
        let kind = |path: &str| Mount::holding(&mounts, Path::new(path)).map(|m| m.kind.as_str());
        assert_eq!(kind("/data/corelane"), Some("btrfs"));
        assert_eq!(kind("/database"), Some("zfs"));
        assert_eq!(kind("/home"), Some("ext4"));
        assert_eq!(kind("relative"), None);
    }

    #[test]
    fn a_lone_backslash_stays() {
        assert_eq!(unescape(r"a\"), r"a\");
        assert_eq!(unescape(r"\134040"), r"\040");
        assert_eq!(unescape(r"\999"), r"\999");
    }
}
