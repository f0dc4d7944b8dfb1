//! How a command of `tune` ends. They differ from those of other commands, so that scripts can tell what is
//! to be mended from what went wrong.

/// With `--strict`: something is not as it should be, or not all was rolled back.
pub(crate) const WARNINGS: u8 = 1;
/// Something keeps a node from starting.
pub(crate) const FATAL: u8 = 2;
/// The command could not be done.
pub(crate) const ERROR: u8 = 3;
/// Only a new start of the machine mends what is left.
pub(crate) const REBOOT: u8 = 4;
