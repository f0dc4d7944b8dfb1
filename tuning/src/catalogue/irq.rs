//! Entries about interrupts: which cores take them, and who moves them about.

use std::collections::BTreeMap;

use crate::catalogue::disk::disks;
use crate::catalogue::entry::{Entry, Observation, Verdict};
use crate::catalogue::machine::{Machine, shortened};
use crate::catalogue::network::{NET, cards};
use crate::catalogue::service::{HIDDEN, is_running};
use crate::check::Severity;
use crate::cpu_set::CpuSet;
use crate::finding::{Finding, Group, Scope};
use crate::limits::SHARDS_A_FREE_CORE;
use crate::shard_plan::plan_shards;

static SPREAD: Entry = Entry {
    prod: Severity::Warning,
    bench: Severity::Warning,
    why: "all interrupts of a device on one core make that core the bottleneck",
    lesson: "Interrupts of NVMe queues are placed by the kernel (managed): do not fight it. The others \
             are irqbalance's, or yours: /proc/irq/N/smp_affinity_list takes a list of cores. Untested \
             on real cards; `tune` changes none.",
    source: "/proc/interrupts, /proc/irq/*/effective_affinity_list",
    ..Entry::of("irq.spread", Group::Irq, "cores that take the interrupts")
};

static BALANCER: Entry = Entry {
    why: "irqbalance moves interrupts every ten seconds: onto the cores of shards, too",
    lesson: "Rather than stopping it, keep it off the shards' cores: IRQBALANCE_BANNED_CPULIST in its \
             settings. Where every core has a shard there is nothing to keep it off, and interrupts that stay \
             where they are do least harm: with IRQBALANCE_ONESHOT it spreads them once, at its start.",
    source: "/proc/*/comm, /etc/default/irqbalance, /etc/sysconfig/irqbalance",
    ..Entry::of("irq.balancer", Group::Irq, "irqbalance")
};

pub(crate) static ENTRIES: [&Entry; 2] = [&SPREAD, &BALANCER];

pub(crate) fn findings(machine: &Machine<'_>) -> Vec<Finding> {
    let interrupts = Interrupts::read(machine);
    let mut findings = Vec::new();
    for name in cards(machine) {
        let device = device_name(machine, &format!("{NET}/{name}/device"));
        let seen = interrupts.spread(machine, &[Some(name.clone()), device]);
        findings.push(machine.scoped(&SPREAD, Scope::Interface(name), seen));
    }
    for disk in disks(machine) {
        let device = device_name(machine, &format!("/sys/block/{}/device", disk.name));
        let seen = interrupts.spread(machine, &[device]);
        findings.push(machine.scoped(&SPREAD, Scope::Disk(disk.name.clone()), seen));
    }
    findings.push(machine.finding(&BALANCER, balancer(machine)));
    findings
}

/// What a device's interrupts are named after: `virtio1`, `nvme0`.
fn device_name(machine: &Machine<'_>, link: &str) -> Option<String> {
    let place = machine.host.resolve(link)?;
    Some(place.file_name()?.to_string_lossy().into_owned())
}

/// `/proc/interrupts`: number and name.
struct Interrupts {
    named: BTreeMap<u32, String>,
}

impl Interrupts {
    fn read(machine: &Machine<'_>) -> Self {
        let text = machine.host.text("/proc/interrupts").unwrap_or_default();
        let named = text.lines().filter_map(|line| {
            let (number, rest) = line.split_once(':')?;
            Some((number.trim().parse().ok()?, rest.split_whitespace().last()?.to_owned()))
        });
        Self { named: named.collect() }
    }

    /// The cores that the interrupts of these devices arrive at.
    fn spread(&self, machine: &Machine<'_>, devices: &[Option<String>]) -> Observation {
        let of_device = |name: &str| {
            devices.iter().flatten().any(|device| {
                let rest = name.strip_prefix(device.as_str());
                rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
            })
        };
        let mut cores: BTreeMap<String, u32> = BTreeMap::new();
        let mut interrupts = 0;
        for (number, name) in &self.named {
            // What announces a change of configuration hardly ever comes.
            if !of_device(name) || name.ends_with("-config") || name.ends_with("-event") {
                continue;
            }
            let folder = format!("/proc/irq/{number}");
            let read = |file: &str| machine.host.text(format!("{folder}/{file}"));
            let list = read("effective_affinity_list").filter(|list| !list.is_empty());
            let Some(list) = list.or_else(|| read("smp_affinity_list")) else { continue };
            interrupts += 1;
            *cores.entry(list).or_default() += 1;
        }
        if interrupts == 0 {
            return Observation::unsupported("no interrupt is named after it");
        }
        let told = cores.iter().map(|(list, count)| format!("{count} on {list}"));
        let told = shortened(told.collect::<Vec<_>>().join(", "));
        let on_one =
            cores.len() == 1 && CpuSet::parse(&told_list(&cores)).is_some_and(|c| c.len() == 1);
        // With one or two interrupts, or on a small machine, there is nothing to spread.
        let is_crowded = on_one && interrupts > 2 && machine.facts.cpus.online.len() > 2;
        Observation::new(told, "several cores", Verdict::of(!is_crowded)).with_command(
            "sudo systemctl enable --now irqbalance, or a list of cores in smp_affinity_list",
        )
    }
}

fn told_list(cores: &BTreeMap<String, u32>) -> String {
    cores.keys().next().cloned().unwrap_or_default()
}

/// Where distributions keep what irqbalance is started with.
const BALANCER_SETTINGS: [&str; 2] = ["/etc/default/irqbalance", "/etc/sysconfig/irqbalance"];

fn balancer(machine: &Machine<'_>) -> Observation {
    let Some(runs) = is_running(machine, "irqbalance") else {
        return Observation::unsupported(HIDDEN);
    };
    let settings = BALANCER_SETTINGS.into_iter().find_map(|path| machine.host.text(path));
    let settings = settings.unwrap_or_default();
    let banned = value_of(&settings, "IRQBALANCE_BANNED_CPULIST");
    let is_once = value_of(&settings, "IRQBALANCE_ONESHOT").is_some();
    let current = match (runs, banned) {
        (false, _) => "not running".to_owned(),
        (true, _) if is_once => "running, once at its start".to_owned(),
        (true, Some(list)) => format!("running, kept off {list}"),
        (true, None) => "running".to_owned(),
    };
    let shards = shards_apart(machine);
    let is_kept_off = |shards: &CpuSet| {
        let banned = banned.and_then(CpuSet::parse).unwrap_or_default();
        shards.iter().all(|cpu| banned.contains(cpu))
    };
    let is_good = !runs || is_once || shards.as_ref().is_some_and(is_kept_off);
    let (wanted, line) = match shards {
        Some(shards) => {
            (format!("kept off {shards}"), format!("IRQBALANCE_BANNED_CPULIST={shards}"))
        }
        None => ("once at its start".to_owned(), "IRQBALANCE_ONESHOT=yes".to_owned()),
    };
    let place = BALANCER_SETTINGS.into_iter().find(|path| machine.host.exists(path));
    let place = place.unwrap_or(BALANCER_SETTINGS[0]);
    Observation::new(shortened(current), shortened(wanted), Verdict::of(is_good)).with_command(
        format!("echo '{line}' | sudo tee -a {place} && sudo systemctl restart irqbalance"),
    )
}

/// The cores of the data shards that a node would have here, where enough others are left to take the
/// interrupts.
fn shards_apart(machine: &Machine<'_>) -> Option<CpuSet> {
    let plan = plan_shards(machine.facts, None, None).ok()?;
    let shards: CpuSet = plan.data_shards.iter().map(|shard| shard.cpu).collect();
    let others = machine.facts.cpus.online.iter().filter(|cpu| !shards.contains(*cpu)).count();
    (others * SHARDS_A_FREE_CORE >= shards.len()).then_some(shards)
}

/// The value of `NAME=value` or `NAME="value"`; the last counts. `None` where it is empty, too.
fn value_of<'text>(settings: &'text str, name: &str) -> Option<&'text str> {
    let mut lines = settings.lines().rev();
    let value = lines.find_map(|line| line.trim().strip_prefix(name)?.strip_prefix('='))?;
    Some(value.trim().trim_matches(['"', '\''])).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use crate::catalogue::tests::{find, look};
    use crate::check::Status;
    use crate::finding::Finding;
    use crate::profile::Profile;
    use crate::recorded_tree::{RecordedTree, TUNABLE_NUMA_SERVER};

    const SETTINGS: &str = "/etc/sysconfig/irqbalance";

    fn balancer(tree: &RecordedTree) -> Finding {
        find(&look(tree, "/data", Profile::Prod), "irq.balancer").clone()
    }

    /// Of 64 cores a node may use 8: one is for control.
    fn few_shards() -> RecordedTree {
        RecordedTree::unpack(TUNABLE_NUMA_SERVER)
            .with("/sys/fs/cgroup/user.slice/cpu.max", "800000 100000\n")
    }

    #[test]
    fn irqbalance_is_kept_off_the_cores_of_shards() {
        let free = balancer(&few_shards().with(SETTINGS, "#IRQBALANCE_BANNED_CPULIST=1-7\n"));
        assert_eq!((free.status, free.wanted.as_str()), (Status::Failed, "kept off 1-7"));
        assert_eq!(
            free.command.as_deref(),
            Some(
                "echo 'IRQBALANCE_BANNED_CPULIST=1-7' | sudo tee -a /etc/sysconfig/irqbalance && \
                 sudo systemctl restart irqbalance"
            )
        );
        for (settings, expected) in [
            ("IRQBALANCE_BANNED_CPULIST=\"0-7,9\"\n", Status::Passed),
            ("IRQBALANCE_BANNED_CPULIST=1-6\n", Status::Failed),
            ("IRQBALANCE_BANNED_CPULIST=0-7\nIRQBALANCE_BANNED_CPULIST=\n", Status::Failed),
            ("IRQBALANCE_ONESHOT=yes\n", Status::Passed),
        ] {
            let found = balancer(&few_shards().with(SETTINGS, settings));
            assert_eq!(found.status, expected, "{settings}");
        }
        let stopped = balancer(&few_shards().with("/proc/77/comm", "other\n"));
        assert_eq!((stopped.status, stopped.current.as_str()), (Status::Passed, "not running"));
    }

    #[test]
    fn where_every_core_has_a_shard_irqbalance_works_once() {
        let tree = RecordedTree::unpack(TUNABLE_NUMA_SERVER)
            .with("/sys/devices/system/cpu/online", "0-1\n");
        let found = balancer(&tree);
        assert_eq!((found.status, found.wanted.as_str()), (Status::Failed, "once at its start"));
        assert!(found.command.is_some_and(|command| command.contains("'IRQBALANCE_ONESHOT=yes'")));
    }
}
