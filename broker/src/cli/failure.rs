//! Why a command did not do what was asked: one sentence that says what to do next, and an exit code.

use std::fmt;
use std::io;
use std::process::ExitCode;

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    /// The command was understood and could not be done, or found damage.
    Failed,
    /// The command itself is wrong.
    Usage,
    /// Whoever read our output has had enough of it: that is no failure.
    NobodyListens,
}

/// The end of a command that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Empty where everything was said already.
    sentence: String,
    exit: Exit,
}

impl Failure {
    /// The command failed.
    pub(crate) fn failed(sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), exit: Exit::Failed }
    }

    /// The command line makes no sense.
    pub(crate) fn usage(sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), exit: Exit::Usage }
    }

    /// The command failed and its output says why.
    pub(crate) fn said() -> Self {
        Self { sentence: String::new(), exit: Exit::Failed }
    }

    /// Writing our own output failed.
    pub(crate) fn of_output(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => {
                Self { sentence: String::new(), exit: Exit::NobodyListens }
            }
            _ => Self::failed(format!("the output cannot be written: {error}")),
        }
    }

    /// Says the sentence and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        if !self.sentence.is_empty() {
            eprintln!("corelane: {}", self.sentence);
        }
        match self.exit {
            Exit::Failed => ExitCode::from(1),
            Exit::Usage => ExitCode::from(2),
            Exit::NobodyListens => ExitCode::SUCCESS,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.sentence)
    }
}
