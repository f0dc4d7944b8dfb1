//! Asking before something is gone.

use std::io::{BufRead, IsTerminal, Write};

use super::failure::Failure;

/// Asks on the terminal. Where nobody can answer, the command must say `--yes`.
pub(crate) fn confirm(question: &str) -> Result<(), Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage(format!(
            "{question} Nobody is there to answer: repeat the command with --yes"
        )));
    }
    eprint!("{question} [y/N] ");
    // A question that is not seen is answered with no.
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    match (read, answer.trim()) {
        (Ok(_), "y" | "Y" | "yes") => Ok(()),
        _ => Err(Failure::failed("nothing was changed")),
    }
}
