//! Entries about what runs beside the node: its unit, the clock's daemon, trimming, other tuners.

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
    lesson: "tuned sets its profile anew at every start of the machine; Redpanda's and Scylla's tuners do \
             as well. `apply` refuses beside one unless --allow-risky is given.",
    source: "/proc/*/comm, /etc/tuned/active_profile",
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

pub(crate) static ENTRIES: [&Entry; 7] =
    [&UNIT, &TIME, &TRIM, &OTHER_TUNERS, &OOM_SCORE, &CORE_DUMPS, &PARAMETERS];

pub(crate) fn findings(machine: &Machine<'_>) -> Vec<Finding> {
    let seen = [
        unit(machine),
        time(machine),
        trim(machine),
        other_tuners(machine),
        machine.told("/proc/self/oom_score_adj"),
        core_dumps(machine),
        parameters(machine),
    ];
    let entries = ENTRIES.into_iter();
    entries.zip(seen).map(|(entry, seen)| machine.finding(entry, seen)).collect()
}

const HIDDEN: &str = "a container does not see the host's processes";

/// Whether a process of this name is there; only reported.
pub(crate) fn running(machine: &Machine<'_>, name: &str) -> Observation {
    match sees_host(machine) {
        true => {
            let is_there = processes(machine.host).iter().any(|process| process == name);
            Observation::report(if is_there { "running" } else { "not running" })
        }
        false => Observation::unsupported(HIDDEN),
    }
}

fn sees_host(machine: &Machine<'_>) -> bool {
    let container: Option<Container> = machine.facts.container.container;
    container.is_none()
}

/// Names of the processes.
fn processes(host: &HostRoot) -> Vec<String> {
    let ids = host.names("/proc").into_iter();
    let ids = ids.filter(|name| name.starts_with(|c: char| c.is_ascii_digit()));
    let names = ids.take(PROCESSES_LOOKED_AT_MAX);
    names.filter_map(|id| host.text(format!("/proc/{id}/comm"))).collect()
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

fn other_tuners(machine: &Machine<'_>) -> Observation {
    let processes = processes(machine.host);
    let known = ["tuned", "tuned-ppd", "perftune.py", "redpanda-tuner", "power-profiles-daemon"];
    // The kernel cuts names of processes at 15 bytes.
    let is_there = |name: &&str| processes.iter().any(|p| p == name.get(..15).unwrap_or(name));
    let mut found: Vec<String> = known.into_iter().filter(is_there).map(str::to_owned).collect();
    if found.iter().any(|name| name == "tuned") {
        let profile = machine.host.text("/etc/tuned/active_profile").filter(|p| !p.is_empty());
        found.extend(profile.map(|profile| format!("profile {profile}")));
    }
    let current = if found.is_empty() { "none".to_owned() } else { shortened(found.join(", ")) };
    Observation::new(current, "none", Verdict::of(found.is_empty()))
        .with_command("keep one of them: sudo systemctl disable --now tuned")
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
const SPEED_PARAMETERS: [&str; 12] = [
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
