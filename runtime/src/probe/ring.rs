//! Whether io_uring works here: a ring is made and used with each of its three system calls, because a
//! filter may forbid any of them, and glommio takes two of them for granted.

use std::fmt;
use std::fs;
use std::io;

use io_uring::{IoUring, Probe, opcode};

use crate::locked_memory;
use crate::os_error::OsError;
use crate::probe::host::Refusal;

/// A system call of io_uring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RingCall {
    Setup,
    Register,
    Enter,
}

impl RingCall {
    pub fn name(self) -> &'static str {
        match self {
            Self::Setup => "io_uring_setup",
            Self::Register => "io_uring_register",
            Self::Enter => "io_uring_enter",
        }
    }
}

impl fmt::Display for RingCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

pub(super) fn check() -> Result<(), Refusal> {
    let setting = fs::read_to_string("/proc/sys/kernel/io_uring_disabled");
    let setting = setting.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    try_calls().map_err(|(call, error)| refusal(call, error.into(), setting))
}

fn try_calls() -> Result<(), (RingCall, io::Error)> {
    let build = || IoUring::builder().setup_single_issuer().setup_defer_taskrun().build(2);
    let mut ring: IoUring =
        locked_memory::wait_for(build).map_err(|error| (RingCall::Setup, error))?;
    let registered = ring.submitter().register_probe(&mut Probe::new());
    registered.map_err(|error| (RingCall::Register, error))?;
    // SAFETY: the operation points to nothing.
    let pushed = unsafe { ring.submission().push(&opcode::Nop::new().build()) };
    pushed.expect("an empty queue has room");
    ring.submit_and_wait(1).map_err(|error| (RingCall::Enter, error))?;
    Ok(())
}

/// A ring that was made shows that the kernel has io_uring and that no sysctl forbids it.
fn refusal(call: RingCall, error: OsError, setting: u32) -> Refusal {
    let is_setup = call == RingCall::Setup;
    match error.raw() {
        libc::EPERM | libc::EACCES if is_setup && setting > 0 => {
            Refusal::IoUringDisabled { setting }
        }
        libc::EPERM | libc::EACCES => Refusal::IoUringForbidden { call, error },
        libc::ENOSYS if is_setup => Refusal::IoUringMissing,
        libc::ENOSYS => Refusal::IoUringForbidden { call, error },
        libc::ENOMEM if is_setup => Refusal::LockedMemorySpent,
        _ => Refusal::IoUringFailed { call, error },
    }
}

#[cfg(test)]
mod tests {
    use super::{OsError, Refusal, RingCall, check, refusal};

    #[test]
    fn this_machine_has_a_ring() {
        assert_eq!(check(), Ok(()));
    }

    #[test]
    fn each_cause_is_told_apart() {
        use RingCall::{Enter, Register, Setup};
        let of = |call, errno, setting| refusal(call, OsError::from_raw(errno), setting);
        let forbidden =
            |call, errno| Refusal::IoUringForbidden { call, error: OsError::from_raw(errno) };
        assert_eq!(of(Setup, libc::EPERM, 2), Refusal::IoUringDisabled { setting: 2 });
        assert_eq!(of(Setup, libc::EPERM, 0), forbidden(Setup, libc::EPERM));
        assert_eq!(of(Setup, libc::ENOSYS, 0), Refusal::IoUringMissing);
        assert_eq!(of(Setup, libc::ENOMEM, 0), Refusal::LockedMemorySpent);
        for call in [Register, Enter] {
            assert_eq!(of(call, libc::EPERM, 1), forbidden(call, libc::EPERM));
            assert_eq!(of(call, libc::ENOSYS, 0), forbidden(call, libc::ENOSYS));
            let failed = Refusal::IoUringFailed { call, error: OsError::from_raw(libc::ENOMEM) };
            assert_eq!(of(call, libc::ENOMEM, 0), failed);
        }
    }
}
