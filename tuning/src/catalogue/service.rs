//! Entries about the node as a service, and what runs beside it: its unit, the clock's daemon, other tuners.

use std::collections::BTreeSet;

use crate::catalogue::entry::{Entry, Observation, Verdict};
use crate::catalogue::machine::{Machine, shortened};
use crate::check::Severity;
use crate::container::Container;
use crate::finding::{Finding, Group};
use crate::host_root::HostRoot;
use crate::limits::PROCESSES_LOOKED_AT_MAX;

static UNIT: Entry = Entry {
    why: "limits, restarts and the watchdog of a node belong into its unit",
    lesson: "`corelane tune unit` writes one that fits this machine, with Type=notify and a watchdog that \
             the node feeds while its shards answer.",
    source: "/etc/systemd/system/corelane.service",
    ..Entry::of("service.unit", Group::Service, "a systemd unit for the node")
};

static TIME: Entry = Entry {
    prod: Severity::Warning,
    bench: Severity::Warning,
    why: "timestamps of records, retention by time and lag in seconds are the wall clock's",
    lesson: "Looked for by name among the processes: chronyd, ntpd, ntpsec, systemd-timesyncd, ptp4l, \
             phc2sys. Some virtual machines have their host's clock and need none of them.",
    source: "/proc/*/comm",
    ..Entry::of("service.time", Group::Service, "a daemon that sets the clock")
};

static TRIM: Entry = Entry {
    why: "flash that is never told what is free gets slower",
    lesson: "Once a week for all mounted file systems, instead of the mount option discard.",
    source: "/etc/systemd/system/timers.target.wants/fstrim.timer",
    ..Entry::of("service.trim", Group::Service, "fstrim.timer")
};

pub(crate) static OTHER_TUNERS: Entry = Entry {
    prod: Severity::Warning,
    bench: Severity::Warning,
    why: "two tuners undo each other's settings, and a rollback then finds what it did not write",
    lesson: "tuned sets its profile anew at every start of the machine. Redpanda's and Scylla's tuners do as \
             well, and end: they are found by their units. `apply` refuses beside one unless --allow-risky is \
             given.",
    source: "/proc/*/comm, /etc/tuned/active_profile, /etc/systemd/system/*.wants",
    ..Entry::of("service.other_tuners", Group::Service, "other programs that tune this machine")
};

static OOM_SCORE: Entry = Entry {
    why: "when memory runs out the kernel kills the largest process first: the node",
    lesson: "OOMScoreAdjust= in the unit. Read for the process that runs this command.",
    source: "/proc/self/oom_score_adj",
    of_host: false,
    ..Entry::of("service.oom_score", Group::Service, "who is killed when memory runs out")
};

static CORE_DUMPS: Entry = Entry {
    why: "a node that ends by an assertion leaves its state behind only where dumps are allowed",
    lesson: "A dump is as large as the node's memory: give it room, or a compressing handler.",
    source: "/proc/self/limits, /proc/sys/kernel/core_pattern",
    of_host: false,
    ..Entry::of("service.core_dumps", Group::Service, "core dumps")
};

static PARAMETERS: Entry = Entry {
    why: "worth knowing when numbers are compared",
    lesson: "Only those that change speed are shown. `tune` never edits a boot loader.",
    source: "/proc/cmdline",
    ..Entry::of("service.kernel_parameters", Group::Service, "kernel parameters that change speed")
};

static CALIBRATION: Entry = Entry {
    bench: Severity::Warning,
    why: "without a measurement the node writes as suits a disk that nobody knows",
    lesson: "`corelane tune calibrate` takes a minute: how many durable writes at once the disk gains from, from \
             which size on, and whether its flush can be believed. It writes [disk] into the node's \
             configuration. Whether the result is still of this disk, `disk.calibration` says.",
    source: "[disk.calibrated] of the file that --config names",
    of_host: false,
    ..Entry::of("service.calibration", Group::Service, "whether the disk was measured for the node")
};

pub(crate) static ENTRIES: [&Entry; 8] =
    [&UNIT, &TIME, &TRIM, &OTHER_TUNERS, &OOM_SCORE, &CORE_DUMPS, &PARAMETERS, &CALIBRATION];

pub(crate) fn findings(machine: &Machine<'_>) -> Vec<Finding> {
    let seen = [
        unit(machine),
        time(machine),
        trim(machine),
        other_tuners(machine),
        machine.told("/proc/self/oom_score_adj"),
        core_dumps(machine),
        parameters(machine),
        calibration(machine),
    ];
    let entries = ENTRIES.into_iter();
    entries.zip(seen).map(|(entry, seen)| machine.finding(entry, seen)).collect()
}

pub(crate) const HIDDEN: &str = "a container does not see the host's processes";

/// Whether a process of this name is there; `None` where processes cannot be seen.
pub(crate) fn is_running(machine: &Machine<'_>, name: &str) -> Option<bool> {
    sees_host(machine).then(|| processes(machine.host).iter().any(|process| process == name))
}

fn sees_host(machine: &Machine<'_>) -> bool {
    let container: Option<Container> = machine.facts.container.container;
    container.is_none()
}

/// Names of the processes.
fn processes(host: &HostRoot) -> Vec<String> {
    process_folders(host).filter_map(|folder| host.text(format!("{folder}/comm"))).collect()
}

/// Below `/proc`.
pub(crate) fn process_folders(host: &HostRoot) -> impl Iterator<Item = String> {
    let ids = host.names("/proc").into_iter();
    let ids = ids.filter(|name| name.starts_with(|c: char| c.is_ascii_digit()));
    ids.take(PROCESSES_LOOKED_AT_MAX).map(|id| format!("/proc/{id}"))
}

fn unit(machine: &Machine<'_>) -> Observation {
    let places =
        ["/etc/systemd/system/corelane.service", "/usr/lib/systemd/system/corelane.service"];
    if !machine.host.exists("/run/systemd/system") {
        return Observation::unsupported("systemd does not run this machine");
    }
    let found = places.into_iter().find_map(|place| machine.host.text(place));
    let is_notify = found.as_deref().is_some_and(|text| text.contains("Type=notify"));
    let current = match (&found, is_notify) {
        (None, _) => "none",
        (Some(_), false) => "one without Type=notify",
        (Some(_), true) => "there",
    };
    Observation::new(current, "one with Type=notify", Verdict::of(is_notify))
        .with_command("corelane tune unit | sudo tee /etc/systemd/system/corelane.service")
}

const CLOCK_DAEMONS: [&str; 7] =
    ["chronyd", "ntpd", "ntpsec", "openntpd", "systemd-timesyn", "ptp4l", "phc2sys"];

fn time(machine: &Machine<'_>) -> Observation {
    if !sees_host(machine) {
        return Observation::unsupported(HIDDEN);
    }
    let processes = processes(machine.host);
    let found = processes.iter().find(|name| CLOCK_DAEMONS.contains(&name.as_str()));
    let current = found.map_or("none", String::as_str);
    Observation::new(current, "one", Verdict::of(found.is_some()))
        .with_command("install chrony, and: sudo systemctl enable --now chronyd")
}

fn trim(machine: &Machine<'_>) -> Observation {
    if !machine.host.exists("/run/systemd/system") {
        return Observation::unsupported("systemd does not run this machine");
    }
    let is_on = machine.host.exists("/etc/systemd/system/timers.target.wants/fstrim.timer");
    Observation::new(if is_on { "on" } else { "off" }, "on", Verdict::of(is_on))
        .with_command("sudo systemctl enable --now fstrim.timer")
}

/// Names of the programs that tune, as processes.
const TUNERS: [&str; 5] =
    ["tuned", "tuned-ppd", "perftune.py", "redpanda-tuner", "power-profiles-daemon"];

/// Units that tune at each start of the machine; most end then, and no process shows them. Scylla's server has
/// its tuner run before it.
const TUNING_UNITS: [&str; 6] =
    ["tuned", "power-profiles-daemon", "redpanda-tuner", "scylla-server", "cpupower", "ondemand"];

fn other_tuners(machine: &Machine<'_>) -> Observation {
    let processes = processes(machine.host);
    // The kernel cuts names of processes at 15 bytes.
    let is_there = |name: &&str| processes.iter().any(|p| p == name.get(..15).unwrap_or(name));
    let running: Vec<&str> = TUNERS.into_iter().filter(is_there).collect();
    let enabled = enabled_units(machine.host);
    let is_enabled = |unit: &&str| enabled.contains(&format!("{unit}.service"));
    let at_starts = TUNING_UNITS.into_iter().filter(is_enabled);
    let at_starts: Vec<&str> = at_starts.filter(|unit| !running.contains(unit)).collect();
    let mut found: Vec<String> = running.iter().map(|name| (*name).to_owned()).collect();
    if running.contains(&"tuned") {
        let profile = machine.host.text("/etc/tuned/active_profile").filter(|p| !p.is_empty());
        found.extend(profile.map(|profile| format!("profile {profile}")));
    }
    found.extend(at_starts.iter().map(|unit| format!("{unit} at each start")));
    let current = if found.is_empty() { "none".to_owned() } else { shortened(found.join(", ")) };
    let stop = running.first().or_else(|| at_starts.first()).copied().unwrap_or("tuned");
    Observation::new(current, "none", Verdict::of(found.is_empty()))
        .with_command(format!("keep one of them: sudo systemctl disable --now {stop}"))
}

/// Units that systemd starts because somebody enabled them, by their links.
fn enabled_units(host: &HostRoot) -> BTreeSet<String> {
    let folder = "/etc/systemd/system";
    let wanting = host.names(folder).into_iter();
    let wanting = wanting.filter(|name| name.ends_with(".wants") || name.ends_with(".requires"));
    wanting.flat_map(|name| host.names(format!("{folder}/{name}"))).collect()
}

fn core_dumps(machine: &Machine<'_>) -> Observation {
    let limits = machine.host.text("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max core file size"));
    let Some(soft) = line.and_then(|line| line.split_whitespace().next()) else {
        return Observation::unknown("/proc/self/limits tells nothing of it");
    };
    let pattern = machine.host.text("/proc/sys/kernel/core_pattern").unwrap_or_default();
    let size = if soft == "0" { "off".to_owned() } else { format!("up to {soft}") };
    Observation::report(shortened(format!("{size}, to {pattern}")))
}

/// Beginnings of the parameters that are shown.
const SPEED_PARAMETERS: [&str; 13] = [
    "mitigations=",
    "isolcpus=",
    "nohz_full=",
    "rcu_nocbs=",
    "intel_idle.",
    "processor.max_cstate=",
    "idle=",
    "tsc=",
    "clocksource=",
    "nvme.poll_queues=",
    "transparent_hugepage=",
    "preempt=",
    "skew_tick=",
];

fn parameters(machine: &Machine<'_>) -> Observation {
    let Ok(text) = machine.host.reading("/proc/cmdline") else {
        return Observation::unknown("/proc/cmdline cannot be read");
    };
    let is_shown = |word: &&str| SPEED_PARAMETERS.iter().any(|begin| word.starts_with(begin));
    let words: Vec<&str> = text.split_whitespace().filter(is_shown).collect();
    Observation::report(if words.is_empty() {
        "none".to_owned()
    } else {
        shortened(words.join(" "))
    })
}

fn calibration(machine: &Machine<'_>) -> Observation {
    let Some(config) = machine.config else {
        return Observation::unknown("no configuration is looked into: --config FILE");
    };
    let directory = machine.directories.first().map(|directory| directory.path.display());
    let directory = directory.map(|path| format!(" --dir '{path}'")).unwrap_or_default();
    let is_measured = machine.is_calibrated;
    Observation::new(
        if is_measured { "calibrated" } else { "never calibrated" },
        "calibrated",
        Verdict::of(is_measured),
    )
    .with_command(format!("corelane tune calibrate{directory} --config '{}'", config.display()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use crate::calibration::{CalibrationNow, CalibrationRecord};
    use crate::catalogue::tests::{find, server};
    use crate::catalogue::{Examined, examine};
    use crate::check::Status;
    use crate::directory::DirectoryFacts;
    use crate::host::{HostFacts, RingProbe};
    use crate::profile::Profile;
    use crate::recorded_tree::{RecordedTree, TUNABLE_NUMA_SERVER};

    #[test]
    fn a_configuration_without_a_calibration_is_told_so() {
        let tree = RecordedTree::unpack(TUNABLE_NUMA_SERVER);
        let host = tree.root();
        let result = Some((CalibrationRecord::default(), CalibrationNow::default()));
        for (calibration, current, status) in
            [(None, "never calibrated", Status::Failed), (result, "calibrated", Status::Passed)]
        {
            let examined = Examined {
                facts: HostFacts::read(&host),
                ring: RingProbe::Works,
                cards: BTreeMap::new(),
                directories: vec![DirectoryFacts::recorded(&host, Path::new("/data"))],
                config: Some("/etc/corelane.toml".into()),
                calibration,
            };
            let findings = examine(&host, &examined, Profile::Bench);
            let found = find(&findings, "service.calibration");
            assert_eq!((found.current.as_str(), found.status), (current, status));
            assert_eq!(found.is_warning(), status == Status::Failed);
            let command = "corelane tune calibrate --dir '/data' --config '/etc/corelane.toml'";
            let is_told = found.command.as_deref() == Some(command);
            assert_eq!(is_told, status == Status::Failed);
        }
        let findings = server(Profile::Prod);
        let unnamed = find(&findings, "service.calibration");
        assert_eq!((unnamed.status, unnamed.supported), (Status::Unknown, true));
    }
}
