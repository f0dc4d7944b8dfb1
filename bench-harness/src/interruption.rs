//! Ctrl-C and SIGTERM: the run that is under way is given up and its topics are removed; a second one ends the
//! program at once.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::failure::{Exit, Failure};

/// Set by the signal. The process has one, as it has one disposition of signals.
static REQUESTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From now on signals end runs instead of the process.
pub fn listen() -> io::Result<()> {
    let requested = REQUESTED.get_or_init(Arc::default);
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first signal finds the flag unset.
        flag::register_conditional_shutdown(
            signal,
            i32::from(Exit::Interrupted.code()),
            Arc::clone(requested),
        )?;
        flag::register(signal, Arc::clone(requested))?;
    }
    Ok(())
}

/// An error once a signal has come.
pub fn check() -> Result<(), Failure> {
    let is_requested = REQUESTED.get().is_some_and(|requested| requested.load(Ordering::Relaxed));
    if is_requested {
        return Err(Failure::with_exit(Exit::Interrupted, "it was interrupted"));
    }
    Ok(())
}
