//! Entries about network interfaces and interrupts: reports, which no action changes.

use std::collections::BTreeMap;

use crate::catalogue::entry::{Entry, Observation, Verdict};
use crate::catalogue::machine::{Machine, shortened};
use crate::check::Severity;
use crate::cpu_set::CpuSet;
use crate::finding::{Finding, Group, Scope};

static INTERFACE: Entry = Entry {
    why: "worth knowing when numbers are compared",
    lesson: "Speed, the largest packet, and the NUMA node of the card. A bond is looked at with all of \
             its members. Larger packets (MTU 9000) save processor time where the whole network has them.",
    source: "/sys/class/net/INTERFACE/speed, mtu, device/numa_node",
    ..Entry::of("network.interface", Group::Network, "a network interface")
};

static QUEUES: Entry = Entry {
    why: "with fewer receive queues than cores some cores work for the others' packets",
    lesson: "`ethtool -L INTERFACE combined N` sets the number where the card has more. With fewer, \
             steering packets in software (rps_cpus) spreads the work and costs a wake-up for each. \
             Most cloud machines have one queue for each core.",
    source: "/sys/class/net/INTERFACE/queues",
    ..Entry::of("network.queues", Group::Network, "receive queues of the interface")
};

static STEERING: Entry = Entry {
    why: "steering in software moves packets to other cores: good with one queue, a detour with many",
    lesson: "A mask for each queue; 0 is off. With it, net.core.rps_sock_flow_entries = 32768 and \
             rps_flow_cnt = 32768 / queues bring packets to the core that reads the socket.",
    source: "/sys/class/net/INTERFACE/queues/rx-*/rps_cpus",
    ..Entry::of("network.steering", Group::Network, "packet steering in software (RPS)")
};

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
    lesson: "Rather than stopping it, keep it off the shards' cores: IRQBALANCE_BANNED_CPULIST in \
             /etc/default/irqbalance.",
    source: "/proc/*/comm",
    ..Entry::of("irq.balancer", Group::Irq, "irqbalance")
};

pub(crate) static ENTRIES: [&Entry; 5] = [&INTERFACE, &QUEUES, &STEERING, &SPREAD, &BALANCER];

const NET: &str = "/sys/class/net";

pub(crate) fn findings(machine: &Machine<'_>) -> Vec<Finding> {
    let interrupts = Interrupts::read(machine);
    let mut findings = Vec::new();
    for name in machine.host.names(NET).into_iter().filter(|name| name != "lo") {
        let scope = || Scope::Interface(name.clone());
        if let Some(reason) = without_card(machine, &name) {
            let seen = Observation::unsupported(reason);
            findings.push(machine.scoped(&INTERFACE, scope(), seen));
            continue;
        }
        findings.push(machine.scoped(&INTERFACE, scope(), interface(machine, &name)));
        findings.push(machine.scoped(&QUEUES, scope(), queues(machine, &name)));
        findings.push(machine.scoped(&STEERING, scope(), steering(machine, &name)));
        let device = device_name(machine, &format!("{NET}/{name}/device"));
        let seen = interrupts.spread(machine, &[Some(name.clone()), device]);
        findings.push(machine.scoped(&SPREAD, scope(), seen));
    }
    let mut disks: Vec<&str> = machine
        .directories
        .iter()
        .flat_map(|directory| directory.disks.iter().map(|disk| disk.name.as_str()))
        .collect();
    disks.sort_unstable();
    disks.dedup();
    for disk in disks {
        let device = device_name(machine, &format!("/sys/block/{disk}/device"));
        let seen = interrupts.spread(machine, &[device]);
        findings.push(machine.scoped(&SPREAD, Scope::Disk(disk.to_owned()), seen));
    }
    findings.push(machine.finding(&BALANCER, super::service::running(machine, "irqbalance")));
    findings
}

/// Why an interface has no card of its own. Members of a bond are interfaces of their own.
fn without_card(machine: &Machine<'_>, name: &str) -> Option<String> {
    let members = machine.host.text(format!("{NET}/{name}/bonding/slaves"));
    if let Some(members) = members {
        return Some(format!("a bond of {members}: each is looked at by itself"));
    }
    let place = machine.host.resolve(format!("{NET}/{name}"));
    let is_virtual = place.is_some_and(|place| place.starts_with("/sys/devices/virtual"));
    is_virtual.then(|| "a virtual interface".to_owned())
}

/// What a device's interrupts are named after: `virtio1`, `nvme0`.
fn device_name(machine: &Machine<'_>, link: &str) -> Option<String> {
    let place = machine.host.resolve(link)?;
    Some(place.file_name()?.to_string_lossy().into_owned())
}

fn interface(machine: &Machine<'_>, name: &str) -> Observation {
    let text = |file: &str| machine.host.text(format!("{NET}/{name}/{file}"));
    let mut parts = vec![text("operstate").unwrap_or_else(|| "unknown".to_owned())];
    // Virtual cards say -1.
    let speed = text("speed").filter(|speed| !speed.starts_with('-'));
    parts.extend(speed.map(|megabits| format!("{megabits} Mbit/s")));
    parts.extend(text("mtu").map(|mtu| format!("MTU {mtu}")));
    let node = text("device/numa_node").filter(|node| node != "-1");
    parts.extend(node.map(|node| format!("NUMA node {node}")));
    Observation::report(parts.join(", "))
}

fn receive_queues(machine: &Machine<'_>, name: &str) -> Vec<String> {
    let names = machine.host.names(format!("{NET}/{name}/queues")).into_iter();
    names.filter(|queue| queue.starts_with("rx-")).collect()
}

fn queues(machine: &Machine<'_>, name: &str) -> Observation {
    let queues = receive_queues(machine, name).len();
    let cores = machine.facts.cpus.online.len();
    Observation::new(queues, format!("{cores}, one for each core"), Verdict::of(queues >= cores))
        .with_command(format!("ethtool -l {name}   # how many the card has"))
}

fn steering(machine: &Machine<'_>, name: &str) -> Observation {
    let masks = receive_queues(machine, name).into_iter().filter_map(|queue| {
        let mask = machine.host.text(format!("{NET}/{name}/queues/{queue}/rps_cpus"))?;
        let is_off = mask.chars().all(|c| c == '0' || c == ',');
        Some(if is_off { "off".to_owned() } else { mask })
    });
    let mut masks: Vec<String> = masks.collect();
    masks.dedup();
    match masks.is_empty() {
        true => Observation::unsupported("no queue tells its mask"),
        false => Observation::report(shortened(masks.join(" "))),
    }
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
