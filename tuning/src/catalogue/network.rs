//! Entries about network cards: what they are, their queues, rings and delays.

use crate::catalogue::entry::{Entry, Observation, Verdict};
use crate::catalogue::machine::{Machine, Want};
use crate::finding::{Finding, Group, Scope};
use crate::limits::GRO_FLUSH_NANOS_MAX;
use crate::profile::Profile;
use crate::setting::Form;

static INTERFACE: Entry = Entry {
    why: "worth knowing when numbers are compared",
    lesson: "Speed, the largest packet, and the NUMA node of the card. A bond is looked at with all of \
             its members. Larger packets (MTU 9000) save processor time where the whole network has them.",
    source: "/sys/class/net/INTERFACE/speed, mtu, device/numa_node",
    ..Entry::of("network.interface", Group::Network, "a network interface")
};

static QUEUES: Entry = Entry {
    why: "with fewer receive queues than cores some cores work for the others' packets",
    lesson: "`ethtool -L INTERFACE combined N` sets the number where the card has more. With one queue on \
             many cores, steering packets in software (`network.steering`) spreads the work and costs a \
             wake-up for each. Most cloud machines have one queue for each core.",
    source: "/sys/class/net/INTERFACE/queues",
    ..Entry::of("network.queues", Group::Network, "receive queues of the interface")
};

static RINGS: Entry = Entry {
    why: "packets that come faster than the core takes them wait in the card's ring; beyond it they are lost",
    lesson: "`rx_missed_errors` and its like in `ethtool -S INTERFACE` count what was lost: where they stand \
             still the ring is long enough. Longer rings (`ethtool -G INTERFACE rx N`) lose nothing in \
             bursts and take longer through the processor's cache.",
    source: "the card, asked by ethtool",
    ..Entry::of("network.rings", Group::Network, "places in the card's rings")
};

static COALESCING: Entry = Entry {
    why: "a card that saves up packets before it interrupts costs fewer wake-ups, and each packet waits",
    lesson: "Adaptive, as most drivers come, saves up under load alone: right for throughput, and different \
             from one second to the next. Where latency is measured: `ethtool -C INTERFACE adaptive-rx off \
             rx-usecs 8`, and as it was when done. Cards of virtual machines mostly have no such thing.",
    source: "the card, asked by ethtool",
    ..Entry::of("network.coalescing", Group::Network, "how long the card saves up packets")
};

static FLOW_FILTERS: Entry = Entry {
    why: "a card with filters for flows brings a connection's packets to the core that reads it (aRFS)",
    lesson: "Only with a queue for each core and net.core.rps_sock_flow_entries above 0 \
             (`network.flow_steering`), and `ethtool -K INTERFACE ntuple on`. The driver sets a filter for each \
             flow that moves: some cards have room for a few hundred. With many short connections leave it off.",
    source: "the card, asked by ethtool",
    ..Entry::of(
        "network.flow_filters",
        Group::Network,
        "filters for flows in the card (ntuple, aRFS)",
    )
};

static POLL_DELAY: Entry = Entry {
    why: "packets may wait so long for others to go through the kernel with: up to that is added to a request",
    lesson: "Nanoseconds, of use with napi_defer_hard_irqs for programs that poll without a pause. 0 is the \
             kernel's default, some drivers come with 20000 (and one interrupt put off).",
    source: "/sys/class/net/INTERFACE/gro_flush_timeout, napi_defer_hard_irqs",
    ..Entry::of(
        "network.poll_delay",
        Group::Network,
        "nanoseconds that packets wait for the next poll (NAPI)",
    )
};

pub(crate) static ENTRIES: [&Entry; 6] =
    [&INTERFACE, &QUEUES, &RINGS, &COALESCING, &FLOW_FILTERS, &POLL_DELAY];

pub(crate) const NET: &str = "/sys/class/net";

pub(crate) fn findings(machine: &Machine<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in interfaces(machine) {
        let scope = || Scope::Interface(name.clone());
        if let Some(reason) = without_card(machine, &name) {
            let seen = Observation::unsupported(reason);
            findings.push(machine.scoped(&INTERFACE, scope(), seen));
            continue;
        }
        let seen = [
            (&INTERFACE, interface(machine, &name)),
            (&QUEUES, queues(machine, &name)),
            (&RINGS, rings(&name)),
            (&COALESCING, coalescing(machine, &name)),
            (&FLOW_FILTERS, flow_filters(&name)),
            (&POLL_DELAY, poll_delay(machine, &name)),
        ];
        findings.extend(seen.map(|(entry, seen)| machine.scoped(entry, scope(), seen)));
    }
    findings
}

fn interfaces(machine: &Machine<'_>) -> Vec<String> {
    machine.host.names(NET).into_iter().filter(|name| name != "lo").collect()
}

/// Interfaces that are cards, or what a virtual machine has in their place.
pub(crate) fn cards(machine: &Machine<'_>) -> Vec<String> {
    let names = interfaces(machine).into_iter();
    names.filter(|name| without_card(machine, name).is_none()).collect()
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

/// Names of a card's queues that begin so: `rx-`, `tx-`.
pub(crate) fn queue_names(machine: &Machine<'_>, name: &str, kind: &str) -> Vec<String> {
    let names = machine.host.names(format!("{NET}/{name}/queues")).into_iter();
    names.filter(|queue| queue.starts_with(kind)).collect()
}

fn queues(machine: &Machine<'_>, name: &str) -> Observation {
    let queues = queue_names(machine, name, "rx-").len();
    let cores = machine.facts.cpus.online.len();
    Observation::new(queues, format!("{cores}, one for each core"), Verdict::of(queues >= cores))
        .with_command(format!("ethtool -l {name}   # how many the card has"))
}

const ASKED_BY_ETHTOOL: &str = "no file tells it, the card has to be asked";

fn rings(name: &str) -> Observation {
    Observation::elsewhere(ASKED_BY_ETHTOOL)
        .wanting("so long that the card drops nothing")
        .with_command(format!("ethtool -g {name}; ethtool -S {name} | grep -e drop -e miss"))
}

fn coalescing(machine: &Machine<'_>, name: &str) -> Observation {
    let wanted = match machine.profile {
        Profile::Bench => "adaptive-rx off, rx-usecs 8 or less",
        Profile::Dev | Profile::Prod | Profile::Container => "adaptive-rx on",
    };
    Observation::elsewhere(ASKED_BY_ETHTOOL)
        .wanting(wanted)
        .with_command(format!("ethtool -c {name}"))
}

fn flow_filters(name: &str) -> Observation {
    Observation::elsewhere(ASKED_BY_ETHTOOL)
        .wanting("off, unless a queue for each core and few connections")
        .with_command(format!("ethtool -k {name} | grep ntuple"))
}

fn poll_delay(machine: &Machine<'_>, name: &str) -> Observation {
    let path = format!("{NET}/{name}/gro_flush_timeout");
    let mut seen = machine.setting(&path, Form::Plain, Want::AtMost(GRO_FLUSH_NANOS_MAX, 0));
    let put_off: Option<u64> = machine.host.value(format!("{NET}/{name}/napi_defer_hard_irqs"));
    if let Some(count) = put_off.filter(|&count| count > 0) {
        seen.current.push_str(&format!(", {count} interrupts put off"));
    }
    seen
}

#[cfg(test)]
mod tests {
    use crate::catalogue::tests::{find, server, writes};
    use crate::check::Status;
    use crate::profile::Profile;

    #[test]
    fn what_only_the_card_tells_has_the_command_that_asks_it() {
        let findings = server(Profile::Bench);
        for (id, command) in [
            ("network.rings:eth0", "ethtool -g eth0; "),
            ("network.coalescing:eth0", "ethtool -c eth0"),
            ("network.flow_filters:eth0", "ethtool -k eth0 | grep ntuple"),
        ] {
            let finding = find(&findings, id);
            assert_eq!((finding.status, finding.supported), (Status::Unknown, false));
            assert!(finding.command.as_deref().is_some_and(|shown| shown.starts_with(command)));
            assert!(finding.reason.is_some() && finding.actions.is_empty());
        }
        assert!(find(&findings, "network.coalescing:eth0").wanted.starts_with("adaptive-rx off"));
        assert_eq!(
            find(&server(Profile::Prod), "network.coalescing:eth0").wanted,
            "adaptive-rx on"
        );
    }

    #[test]
    fn packets_that_wait_for_others_longer_than_drivers_have_them_wait_are_told() {
        let findings = server(Profile::Prod);
        let delay = find(&findings, "network.poll_delay:eth0");
        assert_eq!(delay.current, "50000, 2 interrupts put off");
        assert_eq!(writes(delay), ["/sys/class/net/eth0/gro_flush_timeout: 50000 > 0"]);
        assert_eq!(find(&findings, "network.poll_delay:eth2").status, Status::Passed);
    }
}
