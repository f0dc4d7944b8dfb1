//! Entries about processors: frequency, siblings, NUMA nodes, isolation, microcode, stolen time.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalogue::entry::{Entry, Observation, Verdict};
use crate::catalogue::machine::{Machine, Want, shortened};
use crate::check::Severity;
use crate::finding::{Finding, Group};
use crate::limits::STEAL_PER_MILLE_MAX;
use crate::profile::Profile;
use crate::setting::{Form, Setting};

pub(crate) const CPUS: &str = "/sys/devices/system/cpu";

static GOVERNOR: Entry = Entry {
    prod: Severity::Warning,
    bench: Severity::Warning,
    why: "a core that clocks down between two requests answers the next one late",
    lesson: "One file for each policy, which may be one core or many. Costs power. Where a hypervisor \
             decides there is no such file. Measure with a low, steady rate: the effect is on latency \
             at part load, not on throughput.",
    source: "/sys/devices/system/cpu/cpufreq/policy*/scaling_governor",
    ..Entry::of("cpu.governor", Group::Cpu, "how the clock frequency is chosen")
};

static ENERGY_PREFERENCE: Entry = Entry {
    prod: Severity::Warning,
    bench: Severity::Warning,
    why: "processors that choose their frequency themselves are told what matters",
    lesson: "With intel_pstate and amd-pstate this is the real setting. The governor `performance` \
             brings it along, and the kernel puts the old one back with the old governor.",
    source: "/sys/devices/system/cpu/cpufreq/policy*/energy_performance_preference",
    ..Entry::of("cpu.energy_preference", Group::Cpu, "performance or energy (EPP)")
};

static ENERGY_BIAS: Entry = Entry {
    bench: Severity::Warning,
    why: "an older hint of the same kind: 0 is performance, 15 is saving",
    lesson: "Firmware often leaves 6 (balanced). Worth a few percent on machines that have it.",
    source: "/sys/devices/system/cpu/cpu*/power/energy_perf_bias",
    ..Entry::of("cpu.energy_bias", Group::Cpu, "performance or energy (EPB)")
};

static MIN_FREQUENCY: Entry = Entry {
    bench: Severity::Warning,
    why: "numbers of two runs compare only where both ran at one frequency",
    lesson: "100 keeps the processor at its nominal frequency at the least.",
    source: "/sys/devices/system/cpu/intel_pstate/min_perf_pct",
    ..Entry::of("cpu.min_frequency", Group::Cpu, "percent of the frequency at the least")
};

static TURBO: Entry = Entry {
    bench: Severity::Warning,
    why: "on, it is a tenth and more of speed; off, runs compare with each other",
    lesson: "Tuners disagree: some switch it off everywhere, others leave it on. Temperature and the \
             neighbours' load decide how far it goes, so it is off where is measured (bench) and on \
             where is served (prod).",
    source: "/sys/devices/system/cpu/intel_pstate/no_turbo, cpufreq/boost",
    ..Entry::of("cpu.turbo", Group::Cpu, "frequencies above the nominal one (turbo, boost)")
};

static SIBLINGS: Entry = Entry {
    why: "two hardware threads of one core share its units: a shard on each gives about a quarter more \
          throughput, and worse latency",
    lesson: "Shards take one thread of each core first. `corelane tune shards` shows what is used; \
             --shards with the number of cores keeps the second threads free.",
    source: "/sys/devices/system/cpu/cpu*/topology/thread_siblings_list",
    of_host: false,
    ..Entry::of("cpu.siblings", Group::Cpu, "hardware threads and cores")
};

static LOCALITY: Entry = Entry {
    why: "a packet or a block that crosses from one NUMA node to the other costs both nodes' memory",
    lesson: "Shards have memory of their own node. Where disk and card are on one node, the shards of the \
             other work for a detour: a node with half the shards there (--shards, and AllowedCPUs= in its \
             unit) can be the faster one. Measure both.",
    source: "/sys/block/DISK/device/numa_node, /sys/class/net/INTERFACE/device/numa_node",
    of_host: false,
    ..Entry::of("cpu.locality", Group::Cpu, "NUMA nodes of disks and network cards")
};

static CPUSET: Entry = Entry {
    why: "shards are pinned to these",
    lesson: "What is online, in this process's affinity, and in its cpuset.",
    source: "/proc/self/status, cpuset.cpus.effective",
    of_host: false,
    ..Entry::of("cpu.allowed", Group::Cpu, "processors that may be used")
};

static ISOLATED: Entry = Entry {
    why: "isolated cores have no other thread and fewer timers: the least jitter that Linux gives",
    lesson: "With the kernel parameters isolcpus=, nohz_full= and rcu_nocbs=, or a cpuset partition. \
             Only for machines that do nothing else; never changed by `tune`. Shards must then be \
             allowed there by AllowedCPUs= or taskset.",
    source: "/sys/devices/system/cpu/isolated, nohz_full",
    ..Entry::of("cpu.isolated", Group::Cpu, "isolated processors")
};

static MITIGATIONS: Entry = Entry {
    why: "worth knowing when numbers are compared: each system call pays for them",
    lesson: "Never switched off by `tune`. What runs without them is named, too.",
    source: "/sys/devices/system/cpu/vulnerabilities/*",
    ..Entry::of("cpu.mitigations", Group::Cpu, "mitigations of processor bugs")
};

static STEAL: Entry = Entry {
    prod: Severity::Warning,
    bench: Severity::Warning,
    why: "time in which the hypervisor let others run on our processors",
    lesson: "Since the start of the machine. Above some percent no latency can be promised: another \
             kind of virtual machine, or dedicated hosts.",
    source: "/proc/stat",
    of_host: false,
    ..Entry::of("cpu.steal", Group::Cpu, "time stolen by the hypervisor")
};

static MICROCODE: Entry = Entry {
    why: "cores with different microcode run one instruction at different speeds, and one of them may miss \
          a mitigation",
    lesson: "Firmware brings one, and the kernel loads a newer one early in its start where the \
             distribution's package has it (intel-microcode, amd64-microcode). Worth noting beside \
             numbers: an update has cost some percent before.",
    source: "/sys/devices/system/cpu/cpu*/microcode/version",
    reboot: true,
    ..Entry::of("cpu.microcode", Group::Cpu, "the processors' microcode")
};

pub(crate) static ENTRIES: [&Entry; 12] = [
    &GOVERNOR,
    &ENERGY_PREFERENCE,
    &ENERGY_BIAS,
    &MIN_FREQUENCY,
    &TURBO,
    &SIBLINGS,
    &LOCALITY,
    &CPUSET,
    &ISOLATED,
    &MITIGATIONS,
    &MICROCODE,
    &STEAL,
];

pub(crate) fn findings(machine: &Machine<'_>) -> Vec<Finding> {
    let seen = [
        // The governor comes before the preference, which the kernel sets with it.
        governor(machine),
        policies(machine, PREFERENCE),
        energy_bias(machine),
        min_frequency(machine),
        turbo(machine),
        siblings(machine),
        locality(machine),
        Observation::report(&machine.facts.cpus.allowed),
        isolated(machine),
        mitigations(machine),
        microcode(machine),
        steal(machine),
    ];
    let entries = ENTRIES.into_iter();
    entries.zip(seen).map(|(entry, seen)| machine.finding(entry, seen)).collect()
}

fn governor(machine: &Machine<'_>) -> Observation {
    let mut seen = policies(machine, "scaling_governor");
    for write in &mut seen.writes {
        let preference = write.setting.path().replace("scaling_governor", PREFERENCE);
        let there = machine.host.exists(&preference);
        write.resets.extend(Setting::new(preference, Form::Plain).filter(|_| there));
    }
    seen
}

const PREFERENCE: &str = "energy_performance_preference";

fn policies(machine: &Machine<'_>, file: &str) -> Observation {
    let folder = format!("{CPUS}/cpufreq");
    let names = machine.host.names(&folder).into_iter();
    let paths = names.filter(|name| name.starts_with("policy"));
    let paths = paths.map(|name| format!("{folder}/{name}/{file}"));
    present(machine, paths.collect(), "performance")
}

fn energy_bias(machine: &Machine<'_>) -> Observation {
    let online = machine.facts.cpus.online.iter();
    let paths = online.map(|cpu| format!("{CPUS}/cpu{cpu}/power/energy_perf_bias"));
    present(machine, paths.collect(), "0")
}

/// One word wanted in all files; none of them there is a machine without.
fn present(machine: &Machine<'_>, mut paths: Vec<String>, word: &str) -> Observation {
    paths.retain(|path| machine.host.exists(path));
    match paths.is_empty() {
        true => Observation::unsupported("the hypervisor or the firmware decides this"),
        false => machine.settings(&paths, Form::Plain, Want::Word(word)),
    }
}

fn min_frequency(machine: &Machine<'_>) -> Observation {
    let path = format!("{CPUS}/intel_pstate/min_perf_pct");
    machine.setting(&path, Form::Plain, Want::AtLeast(100))
}

fn turbo(machine: &Machine<'_>) -> Observation {
    let wanted_on = machine.profile != Profile::Bench;
    let (path, off) = match format!("{CPUS}/intel_pstate/no_turbo") {
        intel if machine.host.exists(&intel) => (intel, "1"),
        _ => (format!("{CPUS}/cpufreq/boost"), "0"),
    };
    let on = if off == "1" { "0" } else { "1" };
    let word = if wanted_on { on } else { off };
    let mut seen = machine.setting(&path, Form::Plain, Want::Word(word));
    for text in [&mut seen.current, &mut seen.wanted] {
        if *text == on {
            "on".clone_into(text);
        } else if *text == off {
            "off".clone_into(text);
        }
    }
    seen
}

fn siblings(machine: &Machine<'_>) -> Observation {
    let cpus = &machine.facts.cpus;
    let mut cores: Vec<_> = cpus.allowed.iter().map(|cpu| cpus.core(cpu)).collect();
    cores.sort_unstable();
    cores.dedup();
    let threads = cpus.allowed.len();
    let nodes = match cpus.nodes.len() {
        0 | 1 => String::new(),
        nodes => format!(", {nodes} NUMA nodes"),
    };
    Observation::report(match cores.len() == threads {
        true => format!("{threads} cores{nodes}"),
        false => format!("{threads} threads of {} cores{nodes}", cores.len()),
    })
}

fn locality(machine: &Machine<'_>) -> Observation {
    if machine.facts.cpus.nodes.len() < 2 {
        return Observation::unsupported("all memory is in one NUMA node");
    }
    let disks = machine.directories.iter().flat_map(|directory| &directory.disks);
    let disks: BTreeSet<&str> = disks.map(|disk| disk.name.as_str()).collect();
    let disks = disks.into_iter().map(|name| (name.to_owned(), format!("/sys/block/{name}")));
    let cards = machine.host.names("/sys/class/net").into_iter();
    let cards = cards.map(|name| (name.clone(), format!("/sys/class/net/{name}")));
    let mut nodes: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for (name, folder) in disks.chain(cards) {
        let node = |below: &str| machine.host.value::<u32>(format!("{folder}/{below}/numa_node"));
        // Of an NVMe disk the device is its controller, and that one's is the card.
        if let Some(node) = node("device").or_else(|| node("device/device")) {
            nodes.entry(node).or_default().push(name);
        }
    }
    if nodes.is_empty() {
        return Observation::unknown("no device tells its NUMA node");
    }
    let told = nodes.iter().map(|(node, names)| format!("{node}: {}", names.join(" ")));
    Observation::report(shortened(told.collect::<Vec<_>>().join(", ")))
}

fn isolated(machine: &Machine<'_>) -> Observation {
    let told = |file: &str| machine.host.text(format!("{CPUS}/{file}"));
    let parts = [("isolated", told("isolated")), ("nohz_full", told("nohz_full"))];
    let parts = parts.into_iter().filter_map(|(name, cpus)| {
        let cpus = cpus.filter(|cpus| !cpus.is_empty() && cpus.trim() != "(null)")?;
        Some(format!("{name} {cpus}"))
    });
    let parts: Vec<String> = parts.collect();
    Observation::report(if parts.is_empty() { "none".to_owned() } else { parts.join(", ") })
}

fn mitigations(machine: &Machine<'_>) -> Observation {
    let folder = format!("{CPUS}/vulnerabilities");
    let names = machine.host.names(&folder);
    if names.is_empty() {
        return Observation::unsupported(format!("there is no {folder} here"));
    }
    let mut mitigated = 0;
    let mut open = Vec::new();
    for name in names {
        let text = machine.host.text(format!("{folder}/{name}")).unwrap_or_default();
        if text.starts_with("Vulnerable") {
            open.push(name);
        } else if text.starts_with("Mitigation") {
            mitigated += 1;
        }
    }
    let open = match open.is_empty() {
        true => String::new(),
        false => format!(", vulnerable: {}", open.join(" ")),
    };
    Observation::report(shortened(format!("{mitigated} in force{open}")))
}

fn microcode(machine: &Machine<'_>) -> Observation {
    let version = |cpu| machine.host.text(format!("{CPUS}/cpu{cpu}/microcode/version"));
    let versions: BTreeSet<String> = machine.facts.cpus.online.iter().filter_map(version).collect();
    if versions.is_empty() {
        return Observation::unsupported("the hypervisor or the firmware decides this");
    }
    let is_one = versions.len() == 1;
    let told = versions.into_iter().collect::<Vec<_>>().join(", ");
    Observation::new(shortened(told), "one version on all cores", Verdict::of(is_one)).with_command(
        "install the distribution's microcode (intel-microcode, amd64-microcode), and restart",
    )
}

fn steal(machine: &Machine<'_>) -> Observation {
    let text = machine.host.text("/proc/stat").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("cpu "));
    let ticks = line.unwrap_or_default().split_whitespace().map(str::parse::<u64>);
    // user nice system idle iowait irq softirq steal; guest time is within user's.
    let ticks: Vec<u64> = ticks.take(8).filter_map(Result::ok).collect();
    let [.., steal] = ticks[..] else { return Observation::unknown("/proc/stat tells nothing") };
    if ticks.len() < 8 {
        return Observation::unknown("/proc/stat tells nothing of it");
    }
    let per_mille = steal.saturating_mul(1000) / ticks.iter().sum::<u64>().max(1);
    let shown = |per_mille: u64| format!("{}.{} %", per_mille / 10, per_mille % 10);
    Observation::new(
        shown(per_mille),
        format!("{} or less", shown(STEAL_PER_MILLE_MAX)),
        Verdict::of(per_mille <= STEAL_PER_MILLE_MAX),
    )
    .with_command("vmstat 1   # `st`; a dedicated host or another kind of virtual machine mends it")
}
