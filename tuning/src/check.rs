//! One finding: what is, what should be, why, and the command that mends it.

use serde::Serialize;

/// A finding about the machine, the process or a data directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Stable and unique within one list: `kernel.version`, `disk.scheduler:vda`.
    pub id: String,
    pub title: &'static str,
    pub current: String,
    pub wanted: String,
    pub why: &'static str,
    /// A command to paste into a shell, or what to change where no command can.
    pub mend: Option<String>,
    /// What it means if it fails.
    pub severity: Severity,
    pub status: Status,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The node does not start.
    Fatal,
    /// The node runs, slower or with less safety than the machine could give.
    Warning,
    /// Worth knowing when numbers are compared.
    Info,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Passed,
    Failed,
    /// The fact could not be read.
    Unknown,
}

impl Check {
    /// Whether the node must not start.
    pub fn is_fatal(&self) -> bool {
        (self.severity, self.status) == (Severity::Fatal, Status::Failed)
    }

    /// One sentence with the next command, for a node that refuses to start.
    pub fn sentence(&self) -> String {
        let Self { title, current, wanted, .. } = self;
        let finding = format!("{title}: {current}, wanted: {wanted}");
        match &self.mend {
            Some(mend) => format!("{finding}; to mend it: {mend}"),
            None => finding,
        }
    }
}
