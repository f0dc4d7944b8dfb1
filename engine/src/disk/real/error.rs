//! Errors of system calls in the engine's terms.

use rustix::io::Errno;

use crate::disk::file_system::FileSystemError;

/// What the failure of `call` means to the engine.
pub(super) fn failed(call: &'static str) -> impl Fn(Errno) -> FileSystemError {
    move |errno| match errno {
        Errno::NOSPC | Errno::DQUOT => FileSystemError::NoSpace,
        Errno::NOENT => FileSystemError::NotFound,
        _ => FileSystemError::Failed { errno: errno.raw_os_error(), call },
    }
}
