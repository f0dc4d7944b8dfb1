//! `corelane doctor`: the checks of the machine and the data directory, and the node's own health.

use clap::Args;
use engine::recovery::meta;
use runtime::probe::{Refusal, RingCall};
use rustix::io::Errno;
use serde::Serialize;
use tuning::{
    Check, DirectoryContents, DirectoryFacts, DurabilityWanted, HostFacts, HostRoot, RingProbe,
    Severity, Status, directory_checks, host_checks, probe_directory, raise_soft_limits,
};

use super::admin_http::AdminArgs;
use super::failure::Failure;
use super::node_disks::NodeDisksArgs;
use super::output::{Colour, Output};
use super::partition::{DamagedPlace, Placement};

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  corelane doctor
  corelane doctor --data-dir /mnt/a --data-dir /mnt/b --all
\nExit code 1 where something keeps a node from starting, or the node is not healthy, or, where --admin (or
CORELANE_ADMIN) asks for a node, none answers. Without, a machine on which no node runs is in order.
`corelane tune check` looks at everything else that makes a node slower.")]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    disks: NodeDisksArgs,

    /// Show what is in order too.
    #[arg(long)]
    all: bool,

    #[command(flatten)]
    admin: AdminArgs,
}

#[derive(Serialize)]
struct Diagnosis {
    healthy: bool,
    checks: Vec<Check>,
    node: NodeHealth,
}

/// What the node says of itself.
#[derive(Serialize)]
struct NodeHealth {
    admin: String,
    /// `ready`, `not ready` or `not running`.
    state: &'static str,
    /// Why it is not ready, and what is wrong with partitions.
    problems: Vec<String>,
}

impl DoctorArgs {
    pub(crate) fn run(&self, output: &mut Output) -> Result<(), Failure> {
        let checks = self.checks()?;
        let node = self.node_health();
        let healthy = node.problems.is_empty() && !checks.iter().any(Check::is_fatal);
        let diagnosis = Diagnosis { healthy, checks, node };
        if output.is_json() {
            output.json(&diagnosis)?;
        } else {
            self.show(&diagnosis, output)?;
        }
        if healthy { Ok(()) } else { Err(Failure::said()) }
    }

    fn checks(&self) -> Result<Vec<Check>, Failure> {
        let host = HostRoot::live();
        let disks = self.disks.read()?;
        let ring = try_ring();
        let machine = HostFacts::read(&host);
        let mut checks = host_checks(&machine, ring);
        let mut known = Vec::new();
        for directory in &disks.data_dirs {
            match DirectoryFacts::read(&host, directory) {
                Ok(facts) => {
                    // The nearest directory that exists: doctor creates none.
                    let probe = probe_directory(&facts.path);
                    let contents = match directory.join(meta::FILE_NAME).exists() {
                        true => DirectoryContents::NodeData,
                        false => DirectoryContents::Nothing,
                    };
                    let durability = DurabilityWanted::Fsync;
                    checks.extend(directory_checks(&facts, &probe, durability, contents));
                    known.push(facts);
                }
                Err(error) => checks.push(unreadable(directory, &error.to_string())),
            }
        }
        let calibration = disks.calibration(&machine, &known);
        checks.extend(calibration.map(|(then, now)| then.check(&now)));
        Ok(checks)
    }

    fn node_health(&self) -> NodeHealth {
        let admin = self.admin.address().to_owned();
        let ready = match self.admin.get("/readyz") {
            Ok(ready) => ready,
            Err(failure) => {
                // Only whoever asked for a node misses one.
                let problems = self.admin.is_given().then(|| failure.to_string());
                let problems = problems.into_iter().collect();
                return NodeHealth { admin, state: "not running", problems };
            }
        };
        let mut problems = Vec::new();
        if ready.status != 200 {
            let text = String::from_utf8_lossy(&ready.body).into_owned();
            problems.extend(
                text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned),
            );
            if problems.is_empty() {
                problems.push(format!("/readyz answers with status {}", ready.status));
            }
        }
        let placement = self.admin.get("/v1/partitions").and_then(|answer| answer.value());
        let partitions = placement.map_or_else(|_| Vec::new(), |found: Placement| found.partitions);
        for partition in partitions {
            let name = format!("{}-{}", partition.topic, partition.partition);
            match partition.state.as_str() {
                "suspect" => problems.push(format!(
                    "{name} lost acknowledged records to damage and is read-only; stop the node and run `corelane verify {}`",
                    partition.directory
                )),
                "offline" if partition.directory.is_empty() => problems.push(format!(
                    "{name} is offline: its log directory is missing; start the node with it among --data-dir"
                )),
                "offline" => problems.push(format!(
                    "{name} is offline: its log directory {} failed; the node's log names the error",
                    partition.directory
                )),
                _ => {}
            }
            for DamagedPlace { file, position, offset, what } in &partition.damage {
                problems.push(format!(
                    "{name} is damaged in {file} at {position}: {what}; reads from offset {offset} on fail; stop the \
                     node and run `corelane verify {}`",
                    partition.directory
                ));
            }
        }
        let state = if ready.status == 200 { "ready" } else { "not ready" };
        NodeHealth { admin, state, problems }
    }

    fn show(&self, diagnosis: &Diagnosis, output: &mut Output) -> Result<(), Failure> {
        let mut passed = 0;
        for check in &diagnosis.checks {
            if check.status == Status::Passed {
                passed += 1;
                if !self.all {
                    continue;
                }
            }
            show_check(check, output)?;
        }
        if passed > 0 && !self.all {
            output.line(format_args!("{passed} checks passed (--all shows them)"))?;
        }
        let node = &diagnosis.node;
        let state = match node.state {
            "ready" => output.coloured(Colour::Green, "ready"),
            "not ready" => output.coloured(Colour::Red, "not ready"),
            other => other.to_owned(),
        };
        output.line(format_args!("node at {}: {state}", node.admin))?;
        for problem in &node.problems {
            output.line(format_args!("  {problem}"))?;
        }
        Ok(())
    }
}

/// Makes and uses a ring, as a start does.
pub(super) fn try_ring() -> RingProbe {
    // As a node does: what it may raise by itself is no finding.
    let _ = raise_soft_limits();
    match runtime::probe::check_host() {
        Ok(_) => RingProbe::Works,
        Err(refusal) => ring_probe(&refusal),
    }
}

/// What a refusal says of rings; other refusals have checks of their own.
fn ring_probe(refusal: &Refusal) -> RingProbe {
    let (call, errno) = match refusal {
        Refusal::KernelTooOld { .. } | Refusal::LockedMemory { .. } => return RingProbe::NotTried,
        Refusal::IoUringDisabled { .. } => (RingCall::Setup, Errno::PERM.raw_os_error()),
        Refusal::IoUringMissing => (RingCall::Setup, Errno::NOSYS.raw_os_error()),
        Refusal::LockedMemorySpent => (RingCall::Setup, Errno::NOMEM.raw_os_error()),
        Refusal::IoUringForbidden { call, error } | Refusal::IoUringFailed { call, error } => {
            (*call, error.raw())
        }
    };
    RingProbe::Refused { call: call.name(), errno }
}

fn show_check(check: &Check, output: &mut Output) -> Result<(), Failure> {
    let mark = match (check.status, check.severity) {
        (Status::Passed, _) => output.coloured(Colour::Green, "ok     "),
        (Status::Unknown, _) => "unknown".to_owned(),
        (Status::Failed, Severity::Fatal) => output.coloured(Colour::Red, "fatal  "),
        (Status::Failed, Severity::Warning) => output.coloured(Colour::Yellow, "warning"),
        (Status::Failed, Severity::Info) => "info   ".to_owned(),
    };
    if check.status == Status::Passed {
        return output.line(format_args!("{mark}  {}: {}", check.title, check.current));
    }
    output.line(format_args!(
        "{mark}  {}: {} (wanted: {})",
        check.title, check.current, check.wanted
    ))?;
    output.line(format_args!("         {}", check.why))?;
    if let Some(mend) = &check.mend {
        output.line(format_args!("         to mend it: {mend}"))?;
    }
    Ok(())
}

fn unreadable(directory: &std::path::Path, error: &str) -> Check {
    Check {
        id: format!("directory.{}", directory.display()),
        title: "data directory",
        current: error.to_owned(),
        wanted: "a directory that can be examined".to_owned(),
        why: "the node keeps its records there",
        mend: Some(format!("mkdir -p {}", directory.display())),
        severity: Severity::Fatal,
        status: Status::Failed,
    }
}
