//! Which mount a directory lies on, as the kernel lists mounts.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// The facts of one line of /proc/self/mountinfo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    /// As the kernel calls it: ext4, xfs, btrfs, overlay, tmpfs …
    pub(super) file_system: String,
    pub(super) device: String,
    /// Options of the mount and of the file system.
    pub(super) options: Vec<String>,
}

impl Mount {
    /// The mount below which `path` (absolute, without links) lies, from the text of mountinfo.
    pub(super) fn of(path: &Path, mountinfo: &str) -> Option<Self> {
        let mut best: Option<(usize, Self)> = None;
        for line in mountinfo.lines() {
            let Some((point, mount)) = parse(line) else { continue };
            // A later line of the same depth lies on top of an earlier one.
            let depth = point.components().count();
            if path.starts_with(&point)
                && best.as_ref().is_none_or(|(deepest, _)| depth >= *deepest)
            {
                best = Some((depth, mount));
            }
        }
        best.map(|(_, mount)| mount)
    }

    pub(super) fn has(&self, option: &str) -> bool {
        self.options.iter().any(|own| own == option)
    }

    pub(super) fn value_of(&self, option: &str) -> Option<&str> {
        self.options.iter().find_map(|own| own.strip_prefix(option)?.strip_prefix('='))
    }
}

/// `36 35 98:0 /root /point options optional* - type source options`
fn parse(line: &str) -> Option<(PathBuf, Mount)> {
    let (own, rest) = line.split_once(" - ")?;
    let mut own = own.split(' ').skip(4);
    let point = unescape(own.next()?);
    let own_options = own.next()?;
    let mut rest = rest.split(' ');
    let file_system = rest.next()?.to_owned();
    let device = unescape(rest.next()?).display().to_string();
    let options = own_options.split(',').chain(rest.next().unwrap_or("").split(','));
    Some((point, Mount { file_system, device, options: options.map(str::to_owned).collect() }))
}

/// Space, tab, newline and backslash stand as three octal digits.
fn unescape(text: &str) -> PathBuf {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let octal = bytes.get(at + 1..at + 4).and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if bytes[at] == b'\\' => {
                plain.push(byte);
                at += 4;
            }
            _ => {
                plain.push(bytes[at]);
                at += 1;
            }
        }
    }
    PathBuf::from(OsString::from_vec(plain))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Mount;

    const MOUNTINFO: &str = "\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
30 22 0:26 / /tmp rw,nosuid - tmpfs tmpfs rw,size=4G
31 22 8:1 / /srv/my\\040data rw,lazytime shared:7 master:2 - xfs /dev/sda1 rw,noquota
32 22 0:40 / /box rw - overlay overlay rw,lowerdir=/l,upperdir=/var/u,workdir=/var/w,volatile";

    fn file_system(path: &str) -> String {
        Mount::of(Path::new(path), MOUNTINFO).unwrap().file_system
    }

    #[test]
    fn the_deepest_mount_above_a_path_counts() {
        assert_eq!(file_system("/home/a"), "ext4");
        assert_eq!(file_system("/tmp/a"), "tmpfs");
        assert_eq!(file_system("/tmpfile"), "ext4");
        assert_eq!(file_system("/srv/my data/x"), "xfs");
    }

    #[test]
    fn options_of_mount_and_file_system_are_known() {
        let xfs = Mount::of(Path::new("/srv/my data"), MOUNTINFO).unwrap();
        assert!(xfs.has("lazytime") && xfs.has("noquota") && !xfs.has("lazy"));
        assert_eq!(xfs.device, "/dev/sda1");
        let overlay = Mount::of(Path::new("/box/d"), MOUNTINFO).unwrap();
        assert_eq!(overlay.value_of("upperdir"), Some("/var/u"));
        assert!(overlay.has("volatile"));
    }
}
