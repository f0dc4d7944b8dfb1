//! Entries about network cards: what they are, their queues, and, asked by `card`, their rings and delays.

use crate::catalogue::card;
use crate::catalogue::entry::{Entry, Observation, Verdict};
use crate::catalogue::machine::{Machine, Want};
use crate::finding::{Finding, Group, Scope};
use crate::host_root::HostRoot;
use crate::limits::GRO_FLUSH_NANOS_MAX;
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
    source: "/sys/class/net/INTERFACE/queues; the card (ETHTOOL_GCHANNELS)",
    risk: Some("the link goes away for a moment"),
    ..Entry::of("network.queues", Group::Network, "receive queues of the interface")
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
    [&INTERFACE, &QUEUES, &card::RINGS, &card::COALESCING, &card::FLOW_FILTERS, &POLL_DELAY];

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
        let seen: [(&'static Entry, Observation); 3] = [
            (&INTERFACE, interface(machine, &name)),
            (&QUEUES, queues(machine, &name)),
            (&POLL_DELAY, poll_delay(machine, &name)),
        ];
        let seen = seen.into_iter().chain(card::seen(machine, &name));
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
    is_virtual(machine.host, name).then(|| "a virtual interface".to_owned())
}

pub(super) fn is_virtual(host: &HostRoot, name: &str) -> bool {
    let place = host.resolve(format!("{NET}/{name}"));
    place.is_some_and(|place| place.starts_with("/sys/devices/virtual"))
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
    let wanted = format!("{cores}, one for each core");
    let Some(channels) = machine.cards.get(name).and_then(|card| card.channels) else {
        return Observation::new(queues, wanted, Verdict::of(queues >= cores))
            .with_command(format!("ethtool -l {name}   # how many the card has"));
    };
    let most = channels.receive_max as usize;
    let kind = if channels.are_combined { "combined" } else { "rx" };
    let is_all = queues >= most;
    let current =
        if is_all { format!("{queues}, all it has") } else { format!("{queues} of {most}") };
    Observation::new(current, wanted, Verdict::of(queues >= cores || is_all))
        .with_command(format!("sudo ethtool -L {name} {kind} {}", most.min(cores)))
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
    use runtime::probe::{CardFacts, Channels};

    use crate::catalogue::tests::{find, server, server_with_card, writes};
    use crate::check::Status;
    use crate::profile::Profile;

    #[test]
    fn more_queues_are_wanted_only_where_the_card_has_them() {
        let queues = |receive_max| {
            let channels = Channels { receive: 8, receive_max, are_combined: true };
            let card = CardFacts { channels: Some(channels), ..CardFacts::default() };
            let findings = server_with_card(Profile::Prod, card);
            let found = find(&findings, "network.queues:eth0");
            (found.current.clone(), found.status, found.command.clone())
        };
        let command = Some("sudo ethtool -L eth0 combined 64".to_owned());
        assert_eq!(queues(128), ("8 of 128".to_owned(), Status::Failed, command));
        assert_eq!(queues(8), ("8, all it has".to_owned(), Status::Passed, None));
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
