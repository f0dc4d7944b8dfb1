//! The catalogue of `corelane tune`: everything about a machine that makes a node faster, slower or
//! less safe, with what is wanted of it and why.
//!
//! Looking changes nothing, needs no privileges, and reads `/proc` and `/sys` alone.
//!
//! * `entry`: what can be said of a check before any machine is looked at
//! * `machine`: a machine under examination, and the ways in which entries look at settings
//! * `adopted`: what a start and `corelane doctor` check too
//! * `sysctls`: entries that are one number below `/proc/sys`
//! * `cpu`, `memory`, `disk`, `network`, `service`: the other entries

mod adopted;
mod cpu;
mod disk;
mod entry;
mod machine;
mod memory;
mod network;
mod service;
mod sysctls;

use crate::calibration::CalibrationOrigin;
use crate::check::Status;
use crate::directory::DirectoryFacts;
use crate::finding::Finding;
use crate::host::{HostFacts, RingProbe};
use crate::host_root::HostRoot;
use crate::profile::Profile;

pub use entry::Entry;
pub(crate) use entry::sysctl_name;
use machine::Machine;

/// What the catalogue is looked up on.
#[derive(Clone, Debug)]
pub struct Examined {
    pub facts: HostFacts,
    pub ring: RingProbe,
    pub directories: Vec<DirectoryFacts>,
    /// What the node's configuration says it was calibrated on, and what is here now.
    pub calibration: Option<(CalibrationOrigin, CalibrationOrigin)>,
}

/// All entries, group by group.
pub fn entries() -> Vec<&'static Entry> {
    let mut entries: Vec<&Entry> = adopted::ENTRIES.iter().collect();
    entries.extend(sysctls::SYSCTLS.iter().map(|sysctl| &sysctl.entry));
    entries.extend(cpu::ENTRIES);
    entries.extend(memory::ENTRIES);
    entries.extend(disk::ENTRIES);
    entries.extend(network::ENTRIES);
    entries.extend(service::ENTRIES);
    entries.sort_by_key(|entry| entry.group);
    entries
}

/// Looks at the machine: group by group, in each what failed and matters most first.
pub fn examine(host: &HostRoot, examined: &Examined, profile: Profile) -> Vec<Finding> {
    let Examined { facts, ring, directories, calibration } = examined;
    let machine = Machine { host, facts, ring: *ring, directories, profile };
    let mut findings = adopted::findings(&machine);
    if let Some((then, now)) = calibration {
        findings.push(adopted::of_calibration(&machine, then.check(now)));
    }
    findings.extend(sysctls::findings(&machine));
    findings.extend(cpu::findings(&machine));
    findings.extend(memory::findings(&machine));
    findings.extend(disk::findings(&machine));
    findings.extend(network::findings(&machine));
    findings.extend(service::findings(&machine));
    findings.sort_by_key(|finding| (finding.group, finding.scope.clone(), rank(finding)));
    findings
}

fn rank(finding: &Finding) -> (u8, crate::check::Severity) {
    let status = match finding.status {
        Status::Failed => 0,
        Status::Passed => 1,
        Status::Unknown if finding.supported => 2,
        Status::Unknown => 3,
    };
    (status, finding.severity)
}

#[cfg(test)]
mod tests;
