//! The kernel, io_uring and the limits of this process.

use std::fmt;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::system::uname;

use crate::locked_memory::LOCKED_MEMORY_SPENT;
use crate::os_error::OsError;
use crate::probe::ring::{self, RingCall};

/// The oldest kernel that serves: durable writes, provided buffers and zero-copy sends as we use
/// them.
const KERNEL_MIN: (u32, u32) = (6, 1);

/// Locked memory below which glommio does not start.
const LOCKED_BYTES_MIN: u64 = 512 << 10;

/// What the machine allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    pub kernel_release: String,
    /// None: unlimited.
    pub locked_bytes_max: Option<u64>,
    /// None: unlimited.
    pub open_files_max: Option<u64>,
}

/// Why a node cannot start here; its text names the command that mends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    KernelTooOld {
        release: String,
    },
    /// `kernel.io_uring_disabled` is 1 (all but a group) or 2 (all).
    IoUringDisabled {
        setting: u32,
    },
    /// A seccomp filter, as container engines have it, forbids the system call.
    IoUringForbidden {
        call: RingCall,
        error: OsError,
    },
    /// The kernel was built without io_uring.
    IoUringMissing,
    IoUringFailed {
        call: RingCall,
        error: OsError,
    },
    LockedMemory {
        bytes: u64,
    },
    /// Other processes of the user have locked what may be locked.
    LockedMemorySpent,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KernelTooOld { release } => write!(
                f,
                "the kernel is Linux {release}, but 6.1 or newer is needed: install a newer kernel \
                 (Debian 11: `apt install -t bullseye-backports linux-image-amd64`) and reboot"
            ),
            Self::IoUringDisabled { setting } => write!(
                f,
                "io_uring is switched off by kernel.io_uring_disabled={setting}: run \
                 `sysctl -w kernel.io_uring_disabled=0` as root (on the host, if this is a \
                 container)"
            ),
            Self::IoUringForbidden { call, error } => write!(
                f,
                "io_uring is forbidden by a seccomp filter ({call}: {error}): start the container with `docker run \
                 --security-opt seccomp=unconfined --ulimit memlock=-1 …`, or with a profile that \
                 allows io_uring_setup, io_uring_enter and io_uring_register (in a systemd unit: \
                 SystemCallFilter=@io-event)"
            ),
            Self::IoUringMissing => write!(
                f,
                "the kernel has no io_uring: install a distribution kernel (or set CONFIG_IO_URING=y \
                 in your own) and reboot; in a container whose seccomp filter hides it, use \
                 `docker run --security-opt seccomp=unconfined …`"
            ),
            Self::IoUringFailed { call, error } => write!(
                f,
                "io_uring does not work ({call}: {error}): see `dmesg`, and `ulimit -a` for limits of \
                 this process"
            ),
            Self::LockedMemory { bytes } => write!(
                f,
                "only {} KiB may be locked and 512 KiB are needed: run `ulimit -l 8192` first, set \
                 LimitMEMLOCK=8M in the systemd unit, or use `docker run --ulimit \
                 memlock=8388608:8388608 …`",
                bytes >> 10
            ),
            Self::LockedMemorySpent => f.write_str(LOCKED_MEMORY_SPENT),
        }
    }
}

impl std::error::Error for Refusal {}

/// Raises what may be raised (the soft limits of locked memory and of open files, to the hard
/// ones), then checks what must hold.
pub fn check_host() -> Result<Host, Refusal> {
    let kernel_release = uname().release().to_string_lossy().into_owned();
    check_release(&kernel_release)?;
    let locked_bytes_max = raise(Resource::Memlock);
    let open_files_max = raise(Resource::Nofile);
    check_locked_memory(locked_bytes_max)?;
    ring::check()?;
    Ok(Host { kernel_release, locked_bytes_max, open_files_max })
}

/// The one line for a node whose rings could not register their buffers.
pub fn registration_notice(locked_bytes_max: Option<u64>) -> String {
    let limit = locked_bytes_max
        .map_or_else(|| "refused".to_owned(), |bytes| format!("limited to {} KiB", bytes >> 10));
    format!(
        "locked memory is {limit}: buffers are not registered with the kernel, which pins the \
         pages of each direct read and write anew (some CPU per byte, nothing else); to lift it: \
         `ulimit -l unlimited`, LimitMEMLOCK=infinity in the systemd unit, or `docker run --ulimit \
         memlock=-1 …`"
    )
}

fn check_release(release: &str) -> Result<(), Refusal> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    let mut next = || numbers.next().and_then(Result::ok).unwrap_or(0);
    if (next(), next()) < KERNEL_MIN {
        return Err(Refusal::KernelTooOld { release: release.to_owned() });
    }
    Ok(())
}

/// Raises a soft limit to the hard one; the limit then in force, none for unlimited.
fn raise(resource: Resource) -> Option<u64> {
    let limit = getrlimit(resource);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(resource, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    }
}

fn check_locked_memory(bytes: Option<u64>) -> Result<(), Refusal> {
    match bytes {
        Some(bytes) if bytes < LOCKED_BYTES_MIN => Err(Refusal::LockedMemory { bytes }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{OsError, Refusal, RingCall, check_host, check_locked_memory, check_release};

    #[test]
    fn this_machine_serves() {
        let host = check_host().unwrap();
        assert!(!host.kernel_release.is_empty());
    }

    #[test]
    fn kernels_before_6_1_are_refused() {
        for release in ["6.1.0-18-amd64", "6.18.44-fc", "6.1", "7.0.0-rc1", "10.2"] {
            assert_eq!(check_release(release), Ok(()), "{release}");
        }
        for release in ["6.0.19", "5.15.0-91-generic", "4", ""] {
            let refused = Refusal::KernelTooOld { release: release.to_owned() };
            assert_eq!(check_release(release), Err(refused));
        }
    }

    #[test]
    fn less_than_512_kib_of_locked_memory_is_refused() {
        assert_eq!(check_locked_memory(None), Ok(()));
        assert_eq!(check_locked_memory(Some(8 << 20)), Ok(()));
        let refused = check_locked_memory(Some(64 << 10));
        assert_eq!(refused, Err(Refusal::LockedMemory { bytes: 64 << 10 }));
    }

    #[test]
    fn each_refusal_names_a_command() {
        let refusals = [
            Refusal::KernelTooOld { release: "5.4".to_owned() },
            Refusal::IoUringDisabled { setting: 1 },
            Refusal::IoUringForbidden { call: RingCall::Enter, error: OsError::IO },
            Refusal::IoUringMissing,
            Refusal::IoUringFailed { call: RingCall::Setup, error: OsError::IO },
            Refusal::LockedMemory { bytes: 65_536 },
            Refusal::LockedMemorySpent,
        ];
        for refusal in refusals {
            let text = refusal.to_string();
            assert!(text.contains('`') && !text.contains('\n'), "{text}");
        }
    }
}
