//! The catalogue of `corelane tune`: everything about a machine that makes a node faster, slower or
//! less safe, with what is wanted of it and why.
//!
//! Looking changes nothing, needs no privileges, and reads files, nearly all of them below `/proc` and `/sys`;
//! network cards are asked before (`ask_cards`). What only an administrator may ask a device has an entry that names
//! the command.
//!
//! * `entry`: what can be said of a check before any machine is looked at
//! * `machine`: a machine under examination, and the ways in which entries look at settings
//! * `adopted`: what a start and `corelane doctor` check too
//! * `sysctls`: entries that are one number below `/proc/sys`
//! * `cpu`, `idle`, `clock`: the other entries about processors
//! * `memory`: those about memory
//! * `directory`, `array`, `disk`, `drive`: those about data directories and the disks below
//! * `network`, `card`, `steering`, `irq`: those about network cards and interrupts
//! * `service`, `reachability`, `kernel_workers`: those about the node as a service

mod adopted;
mod array;
mod card;
mod clock;
mod cpu;
mod directory;
mod disk;
mod drive;
mod entry;
mod idle;
mod irq;
mod kernel_workers;
mod machine;
mod memory;
mod network;
mod reachability;
mod service;
mod steering;
mod sysctls;

use std::collections::BTreeMap;
use std::path::PathBuf;

use runtime::probe::CardFacts;

use crate::calibration::{CalibrationNow, CalibrationRecord};
use crate::check::Status;
use crate::directory::DirectoryFacts;
use crate::finding::Finding;
use crate::host::{HostFacts, RingProbe};
use crate::host_root::HostRoot;
use crate::profile::Profile;

pub use card::ask_cards;
pub use entry::Entry;
pub(crate) use entry::sysctl_name;
use machine::Machine;

/// What the catalogue is looked up on.
#[derive(Clone, Debug)]
pub struct Examined {
    pub facts: HostFacts,
    pub ring: RingProbe,
    /// What cards told, by interface; of a recorded machine nothing.
    pub cards: BTreeMap<String, CardFacts>,
    pub directories: Vec<DirectoryFacts>,
    /// The node's configuration, where one was looked into.
    pub config: Option<PathBuf>,
    /// What that says of a calibration, if it does, and what is here now.
    pub calibration: Option<(CalibrationRecord, CalibrationNow)>,
}

/// Entries in lists of their files; the adopted ones and the sysctls come before.
static LISTS: [&[&Entry]; 14] = [
    &cpu::ENTRIES,
    &idle::ENTRIES,
    &clock::ENTRIES,
    &memory::ENTRIES,
    &directory::ENTRIES,
    &array::ENTRIES,
    &disk::ENTRIES,
    &drive::ENTRIES,
    &network::ENTRIES,
    &steering::ENTRIES,
    &irq::ENTRIES,
    &service::ENTRIES,
    &reachability::ENTRIES,
    &kernel_workers::ENTRIES,
];

/// All entries, group by group.
pub fn entries() -> Vec<&'static Entry> {
    let mut entries: Vec<&Entry> = adopted::ENTRIES.iter().collect();
    entries.extend(sysctls::all().map(|sysctl| &sysctl.entry));
    entries.extend(LISTS.iter().flat_map(|list| list.iter().copied()));
    entries.sort_by_key(|entry| entry.group);
    entries
}

/// Looks at the machine: group by group, in each what failed and matters most first.
pub fn examine(host: &HostRoot, examined: &Examined, profile: Profile) -> Vec<Finding> {
    let Examined { facts, ring, cards, directories, config, calibration } = examined;
    let machine = Machine {
        host,
        facts,
        ring: *ring,
        cards,
        directories,
        config: config.as_deref(),
        is_calibrated: calibration.is_some(),
        profile,
    };
    let mut findings = adopted::findings(&machine);
    if let Some((then, now)) = calibration {
        findings.push(adopted::of_calibration(&machine, then.check(now)));
    }
    for look in LOOKS {
        findings.extend(look(&machine));
    }
    findings.sort_by_key(|finding| (finding.group, finding.scope.clone(), rank(finding)));
    findings
}

type Look = fn(&Machine<'_>) -> Vec<Finding>;

const LOOKS: [Look; 15] = [
    sysctls::findings,
    cpu::findings,
    idle::findings,
    clock::findings,
    memory::findings,
    directory::findings,
    array::findings,
    disk::findings,
    drive::findings,
    network::findings,
    steering::findings,
    irq::findings,
    service::findings,
    reachability::findings,
    kernel_workers::findings,
];

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
