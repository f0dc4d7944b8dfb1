//! Why there is no result: one sentence that says what to do next, and how the process ends.

use std::fmt;

/// How `corelane-bench` ends. `--help` tells the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Measured, verified, within the objective where there is one.
    Done,
    /// The command makes no sense, or could not be done: nothing was measured.
    Failed,
    /// Measured and verified; the objective was missed.
    ObjectiveMissed,
    /// Records were lost, doubled, reordered or altered: there is no result.
    NotVerified,
    /// The machine disturbed the run, or kept it from starting: its numbers say nothing about the broker.
    InvalidEnvironment,
    /// By a signal.
    Interrupted,
}

impl Exit {
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::ObjectiveMissed => 2,
            Self::NotVerified => 3,
            Self::InvalidEnvironment => 4,
            Self::Interrupted => 130,
        }
    }
}

/// A run or a command that came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub sentence: String,
    pub exit: Exit,
}

impl Failure {
    #[must_use]
    pub fn new(sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), exit: Exit::Failed }
    }

    #[must_use]
    pub fn with_exit(exit: Exit, sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), exit }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.sentence)
    }
}

impl std::error::Error for Failure {}
