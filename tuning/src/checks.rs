//! The findings about a machine and about a data directory.
//!
//! The checks of this module are those that decide whether a node starts, and those an operator
//! should see once. Each is a pure function of the facts.

use crate::check::{Check, Severity, Status};
use crate::directory::DirectoryFacts;
use crate::directory_probe::{DirectoryProbe, DirectoryProbeError};
use crate::host::{HostFacts, RingProbe};

pub(crate) mod data_directory;
mod kernel;
mod machine;
mod process;

pub use data_directory::mend_unwritable;
pub(crate) use process::raise_memlock;

/// What the node was asked to promise: whether a data directory that forgets is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DurabilityWanted {
    Fsync,
    Memory,
}

/// Whether a data directory is yet to be filled, or has a node's data and journals in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirectoryContents {
    Nothing,
    NodeData,
}

/// Everything about the machine and the process; what failed and matters most comes first.
pub fn host_checks(facts: &HostFacts, ring: RingProbe) -> Vec<Check> {
    let mut checks = kernel::checks(facts, ring);
    checks.extend(process::checks(facts));
    checks.extend(machine::checks(facts));
    ordered(checks)
}

/// Everything about one data directory.
pub fn directory_checks(
    facts: &DirectoryFacts,
    probe: &Result<DirectoryProbe, DirectoryProbeError>,
    durability: DurabilityWanted,
    contents: DirectoryContents,
) -> Vec<Check> {
    ordered(data_directory::checks(facts, probe, durability, contents))
}

fn ordered(mut checks: Vec<Check>) -> Vec<Check> {
    let rank = |check: &Check| match check.status {
        Status::Failed => 0,
        Status::Unknown => 1,
        Status::Passed => 2,
    };
    checks.sort_by_key(|check| (rank(check), check.severity));
    checks
}

/// A check whose fact may be unknown: `passed` of `None` is unknown.
struct Finding {
    id: &'static str,
    title: &'static str,
    current: String,
    wanted: String,
    why: &'static str,
    mend: Option<String>,
    severity: Severity,
    passed: Option<bool>,
}

impl From<Finding> for Check {
    fn from(finding: Finding) -> Self {
        Self {
            id: finding.id.to_owned(),
            title: finding.title,
            current: finding.current,
            wanted: finding.wanted,
            why: finding.why,
            mend: finding.mend.filter(|_| finding.passed != Some(true)),
            severity: finding.severity,
            status: match finding.passed {
                Some(true) => Status::Passed,
                Some(false) => Status::Failed,
                None => Status::Unknown,
            },
        }
    }
}

/// `None` is a fact that could not be read.
fn shown<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "unknown".to_owned(), |value| value.to_string())
}

/// Sets a sysctl now and for every start of the machine.
fn set_sysctl(facts: &HostFacts, name: &str, value: &str) -> String {
    on_the_host(
        facts,
        format!(
            "echo '{name} = {value}' | sudo tee -a /etc/sysctl.d/60-corelane.conf && sudo sysctl \
             --system"
        ),
    )
}

/// A container cannot change the settings of its host.
fn on_the_host(facts: &HostFacts, command: String) -> String {
    match facts.container.container {
        Some(_) => format!("on the host: {command}"),
        None => command,
    }
}

#[cfg(test)]
mod tests;
