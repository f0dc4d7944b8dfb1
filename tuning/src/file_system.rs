//! Kinds of file systems and what each can promise a log.

use serde::Serialize;

/// What a data directory lies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FileSystemKind {
    Ext4,
    Xfs,
    Btrfs,
    Zfs,
    F2fs,
    Bcachefs,
    Overlayfs,
    Tmpfs,
    Ramfs,
    Nfs,
    Cifs,
    Fuse,
    /// A folder of the host, shown to a virtual machine (9p, virtiofs).
    HostShare,
    Unknown,
}

/// `statfs` numbers, in the order of the enum. ext2 and ext3 share ext4's number, and today's
/// kernels serve all three with ext4's code.
const MAGICS: [(u32, FileSystemKind); 15] = [
    (0xef53, FileSystemKind::Ext4),
    (0x5846_5342, FileSystemKind::Xfs),
    (0x9123_683e, FileSystemKind::Btrfs),
    (0x2fc1_2fc1, FileSystemKind::Zfs),
    (0xf2f5_2010, FileSystemKind::F2fs),
    (0xca45_1a4e, FileSystemKind::Bcachefs),
    (0x794c_7630, FileSystemKind::Overlayfs),
    (0x0102_1994, FileSystemKind::Tmpfs),
    (0x8584_58f6, FileSystemKind::Ramfs),
    (0x6969, FileSystemKind::Nfs),
    (0xff53_4d42, FileSystemKind::Cifs),
    (0xfe53_4d42, FileSystemKind::Cifs),
    (0x6573_5546, FileSystemKind::Fuse),
    (0x0102_1997, FileSystemKind::HostShare),
    (0x6a65_6a63, FileSystemKind::HostShare),
];

impl FileSystemKind {
    /// From `statfs`'s `f_type`.
    pub fn from_magic(magic: u64) -> Self {
        let known = MAGICS.iter().find(|(number, _)| u64::from(*number) == magic);
        known.map_or(Self::Unknown, |(_, kind)| *kind)
    }

    /// From the type in `mountinfo`.
    pub(crate) fn from_mount_type(name: &str) -> Self {
        match name {
            "ext4" | "ext3" | "ext2" => Self::Ext4,
            "xfs" => Self::Xfs,
            "btrfs" => Self::Btrfs,
            "zfs" => Self::Zfs,
            "f2fs" => Self::F2fs,
            "bcachefs" => Self::Bcachefs,
            "overlay" => Self::Overlayfs,
            "tmpfs" | "devtmpfs" => Self::Tmpfs,
            "ramfs" => Self::Ramfs,
            "nfs" | "nfs4" => Self::Nfs,
            "cifs" | "smb3" => Self::Cifs,
            "9p" | "virtiofs" => Self::HostShare,
            _ if name.starts_with("fuse") => Self::Fuse,
            _ => Self::Unknown,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
            Self::Zfs => "zfs",
            Self::F2fs => "f2fs",
            Self::Bcachefs => "bcachefs",
            Self::Overlayfs => "overlayfs",
            Self::Tmpfs => "tmpfs",
            Self::Ramfs => "ramfs",
            Self::Nfs => "nfs",
            Self::Cifs => "cifs",
            Self::Fuse => "fuse",
            Self::HostShare => "host share",
            Self::Unknown => "unknown",
        }
    }

    /// Whether its files are gone with the power, however they are synced.
    pub fn lives_in_memory(self) -> bool {
        matches!(self, Self::Tmpfs | Self::Ramfs)
    }

    /// Whether each overwrite goes to a new place, unless a file is exempt from it.
    pub fn copies_on_write(self) -> bool {
        matches!(self, Self::Btrfs | Self::Zfs | Self::Bcachefs)
    }

    /// The file systems on which every release is tried and measured.
    pub fn is_measured(self) -> bool {
        matches!(self, Self::Ext4 | Self::Xfs)
    }
}
