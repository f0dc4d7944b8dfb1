//! An error of the operating system, as a value that can be copied and compared.

use std::fmt;
use std::io;

use rustix::io::Errno;

/// An errno of the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct OsError(i32);

impl OsError {
    /// The operation was cancelled: its descriptor is being closed.
    pub const CANCELLED: Self = Self(Errno::CANCELED.raw_os_error());
    /// No space is left on the device.
    pub const NO_SPACE: Self = Self(Errno::NOSPC.raw_os_error());
    /// The device failed.
    pub const IO: Self = Self(Errno::IO.raw_os_error());

    pub const fn from_raw(errno: i32) -> Self {
        Self(errno)
    }

    pub const fn raw(self) -> i32 {
        self.0
    }

    pub fn kind(self) -> io::ErrorKind {
        io::Error::from(self).kind()
    }

    /// The error that an operation's result carries: the kernel says `-errno`.
    pub(crate) fn from_result(result: i32) -> Result<usize, Self> {
        usize::try_from(result).map_err(|_| Self(-result))
    }
}

impl From<Errno> for OsError {
    fn from(errno: Errno) -> Self {
        Self(errno.raw_os_error())
    }
}

impl From<io::Error> for OsError {
    /// An error that is none of the operating system's counts as a failed device.
    fn from(error: io::Error) -> Self {
        error.raw_os_error().map_or(Self::IO, Self)
    }
}

impl From<OsError> for io::Error {
    fn from(error: OsError) -> Self {
        Self::from_raw_os_error(error.0)
    }
}

impl fmt::Display for OsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        io::Error::from(*self).fmt(f)
    }
}

impl fmt::Debug for OsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OsError({})", io::Error::from(*self))
    }
}

impl std::error::Error for OsError {}
