//! A panic of a shard ends the process: half a broker would answer wrongly, and the journal brings
//! a whole one back.

use std::process;
use std::thread;

/// Ends the process if it is dropped by a panic. (The release build aborts at the panic itself.)
pub(super) struct AbortOnPanic;

impl AbortOnPanic {
    /// Runs a shard's logic: its panic ends the process here, before anything is unwound that
    /// would wait for the kernel.
    pub(super) fn guard<R>(logic: impl FnOnce() -> R) -> R {
        let _abort = Self;
        logic()
    }
}

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            // The panic's own message, with thread and place, is printed already.
            let current = thread::current();
            let name = current.name().unwrap_or("unnamed");
            eprintln!("thread {name} panicked: the process ends, the journal brings it back");
            process::abort();
        }
    }
}
