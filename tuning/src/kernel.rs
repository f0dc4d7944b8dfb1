//! The kernel's version and the sysctls that matter to a node.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::host_root::HostRoot;

/// What the kernel is and allows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KernelFacts {
    /// As `uname -r` prints it.
    pub release: String,
    /// `None` if the release does not begin with two numbers.
    pub version: Option<KernelVersion>,
    pub sysctls: Sysctls,
}

/// Settings below `/proc/sys`. `None` where the kernel has none of that name or hides it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sysctls {
    /// 0: everyone may use io_uring; 1: privileged processes and `io_uring_group`; 2: nobody.
    pub io_uring_disabled: Option<i64>,
    pub io_uring_group: Option<i64>,
    pub swappiness: Option<i64>,
    pub overcommit_memory: Option<i64>,
    pub min_free_kbytes: Option<i64>,
    pub max_map_count: Option<i64>,
    pub somaxconn: Option<i64>,
    pub tcp_max_syn_backlog: Option<i64>,
    pub file_max: Option<i64>,
}

impl KernelFacts {
    pub(crate) fn read(host: &HostRoot) -> Self {
        let release = host.text("/proc/sys/kernel/osrelease").unwrap_or_default();
        let setting = |path: &str| host.value(format!("/proc/sys/{path}"));
        let sysctls = Sysctls {
            io_uring_disabled: setting("kernel/io_uring_disabled"),
            io_uring_group: setting("kernel/io_uring_group"),
            swappiness: setting("vm/swappiness"),
            overcommit_memory: setting("vm/overcommit_memory"),
            min_free_kbytes: setting("vm/min_free_kbytes"),
            max_map_count: setting("vm/max_map_count"),
            somaxconn: setting("net/core/somaxconn"),
            tcp_max_syn_backlog: setting("net/ipv4/tcp_max_syn_backlog"),
            file_max: setting("fs/file-max"),
        };
        Self { version: KernelVersion::parse(&release), release, sysctls }
    }
}

/// The first two numbers of a kernel's release: features do not come with the third.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KernelVersion {
    pub major: u32,
    pub minor: u32,
}

impl KernelVersion {
    /// From `6.18.44-fc`, `6.1`, `5.14.0-427.el9.x86_64`, `7.0-rc1`.
    pub fn parse(release: &str) -> Option<Self> {
        let (major, rest) = release.trim().split_once('.')?;
        let minor_end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        Some(Self { major: major.parse().ok()?, minor: rest[..minor_end].parse().ok()? })
    }
}

impl fmt::Display for KernelVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.major, self.minor)
    }
}

impl Serialize for KernelVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::KernelVersion;

    #[test]
    fn releases_of_all_distributions_are_read() {
        let version = |major, minor| Some(KernelVersion { major, minor });
        for (release, expected) in [
            ("6.18.44-fc-v657", version(6, 18)),
            ("6.1.0-18-amd64", version(6, 1)),
            ("5.14.0-427.el9.x86_64", version(5, 14)),
            ("7.0-rc1\n", version(7, 0)),
            ("6.1+", version(6, 1)),
            ("6", None),
            ("", None),
            ("six.one", None),
        ] {
            assert_eq!(KernelVersion::parse(release), expected, "{release:?}");
        }
    }

    #[test]
    fn versions_are_ordered_by_number_not_by_text() {
        assert!(KernelVersion::parse("6.10") > KernelVersion::parse("6.9"));
        assert!(KernelVersion::parse("5.19") < KernelVersion::parse("6.1"));
    }
}
