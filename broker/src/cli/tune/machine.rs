//! Options that the commands of `tune` share: which machine, which profile, which journal.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use tuning::{
    DirectoryFacts, Examined, Finding, HostFacts, HostRoot, Profile, RingProbe, STATE_DIRECTORY,
    ask_cards, examine,
};

use super::super::doctor::try_ring;
use super::super::failure::Failure;
use super::super::node_disks::NodeDisksArgs;

#[derive(Args, Debug)]
pub(super) struct MachineArgs {
    /// What the machine is for. [default: container inside one, else prod]
    #[arg(long, value_enum)]
    profile: Option<ProfileArg>,

    #[command(flatten)]
    disks: NodeDisksArgs,

    #[command(flatten)]
    root: RootArgs,
}

#[derive(Args, Debug)]
pub(super) struct RootArgs {
    /// Look at a copy of a machine's files instead: PREFIX/proc, PREFIX/sys, PREFIX/etc.
    #[arg(long, value_name = "PREFIX")]
    root: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(super) struct StateArgs {
    /// Where the journal of changes is. [default: /var/lib/corelane/tuning, below --root]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ProfileArg {
    Dev,
    Prod,
    Bench,
    Container,
}

/// A machine that was looked at.
pub(super) struct Machine {
    pub(super) host: HostRoot,
    pub(super) profile: Profile,
    pub(super) findings: Vec<Finding>,
}

impl MachineArgs {
    pub(super) fn examine(&self) -> Result<Machine, Failure> {
        let host = self.root.host()?;
        let facts = HostFacts::read(&host);
        let profile = match self.profile {
            None => Profile::fitting(&facts),
            Some(ProfileArg::Dev) => Profile::Dev,
            Some(ProfileArg::Prod) => Profile::Prod,
            Some(ProfileArg::Bench) => Profile::Bench,
            Some(ProfileArg::Container) => Profile::Container,
        };
        let ring = if host.is_live() { try_ring() } else { RingProbe::NotTried };
        let disks = self.disks.read()?;
        let directories = directories(&host, &disks.data_dirs)?;
        let config = disks.config.clone();
        let calibration = disks.calibration(&facts, &directories);
        let cards = ask_cards(&host);
        let examined = Examined { facts, ring, cards, directories, config, calibration };
        let findings = examine(&host, &examined, profile);
        Ok(Machine { host, profile, findings })
    }
}

fn directories(host: &HostRoot, data_dirs: &[PathBuf]) -> Result<Vec<DirectoryFacts>, Failure> {
    let mut directories: Vec<DirectoryFacts> = Vec::new();
    for directory in data_dirs {
        let facts = match host.is_live() {
            true => DirectoryFacts::read(host, directory)
                .map_err(|error| Failure::failed(error.to_string()))?,
            false => DirectoryFacts::recorded(host, directory),
        };
        // Two that do not exist yet may have the same one above them.
        if directories.iter().all(|known| known.path != facts.path) {
            directories.push(facts);
        }
    }
    Ok(directories)
}

impl RootArgs {
    pub(super) fn host(&self) -> Result<HostRoot, Failure> {
        let Some(root) = &self.root else { return Ok(HostRoot::live()) };
        if !root.join("proc").is_dir() && !root.join("sys").is_dir() {
            let root = root.display();
            return Err(Failure::usage(format!(
                "--root {root} has neither proc nor sys in it: copy them from a machine first"
            )));
        }
        Ok(HostRoot::at(root))
    }
}

impl StateArgs {
    pub(super) fn directory(&self, host: &HostRoot) -> PathBuf {
        self.state_dir.clone().unwrap_or_else(|| host.place(STATE_DIRECTORY))
    }
}

/// Settings of the running machine are root's; a copy is whoever's it is.
pub(super) fn need_root(host: &HostRoot, command: &str) -> Result<(), Failure> {
    if host.is_live() && !rustix::process::geteuid().is_root() {
        return Err(Failure::failed(format!(
            "settings of the machine are root's to change; repeat it as `sudo corelane tune {command}`"
        )));
    }
    Ok(())
}
