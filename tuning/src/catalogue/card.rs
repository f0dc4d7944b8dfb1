//! Entries that only the card itself answers: its rings, its delays, its filters. Of a recorded machine nobody can
//! ask; then each names the command that does.

use std::collections::BTreeMap;

use runtime::probe::{CardFacts, Coalescing, Rings};

use crate::catalogue::entry::{Entry, Observation, Verdict};
use crate::catalogue::machine::Machine;
use crate::catalogue::network::{NET, is_virtual, queue_names};
use crate::finding::Group;
use crate::host_root::HostRoot;
use crate::limits::{
    COALESCED_MICROSECONDS_BENCH_MAX, COALESCED_MICROSECONDS_MAX, PACKETS_A_MISSED_ONE,
};
use crate::profile::Profile;

pub(super) static RINGS: Entry = Entry {
    why: "packets that come faster than the core takes them wait in the card's ring; beyond it they are lost",
    lesson: "The kernel counts what was lost (`rx_missed_errors`), cards often more (`ethtool -S INTERFACE`): where \
             that stands still the ring is long enough. Longer rings lose nothing in bursts and take longer \
             through the processor's cache. Setting it resets the card: its link goes away for a moment.",
    source: "the card (ETHTOOL_GRINGPARAM); /sys/class/net/INTERFACE/statistics",
    risk: Some("the link goes away for a moment"),
    ..Entry::of("network.rings", Group::Network, "places in the card's rings")
};

pub(super) static COALESCING: Entry = Entry {
    why: "a card that saves up packets before it interrupts costs fewer wake-ups, and each packet waits",
    lesson: "Adaptive, as most drivers come, saves up under load alone: right for throughput, and different \
             from one second to the next. Where latency is measured it is fixed and short, and as it was when \
             done. Cards of virtual machines mostly have no such thing, and say 0.",
    source: "the card (ETHTOOL_GCOALESCE)",
    ..Entry::of("network.coalescing", Group::Network, "how long the card saves up packets")
};

pub(super) static FLOW_FILTERS: Entry = Entry {
    why: "a card with filters for flows brings a connection's packets to the core that reads it (aRFS)",
    lesson: "Only with a queue for each core and net.core.rps_sock_flow_entries above 0 \
             (`network.flow_steering`), and `ethtool -K INTERFACE ntuple on`. The driver sets a filter for each \
             flow that moves: some cards have room for a few hundred. With many short connections leave it off.",
    source: "the card (ETHTOOL_GFLAGS)",
    ..Entry::of(
        "network.flow_filters",
        Group::Network,
        "filters for flows in the card (ntuple, aRFS)",
    )
};

/// Asks the cards of the machine that we run on; of a recorded one there are none.
pub fn ask_cards(host: &HostRoot) -> BTreeMap<String, CardFacts> {
    if !host.is_live() {
        return BTreeMap::new();
    }
    let names = host.names(NET).into_iter().filter(|name| !is_virtual(host, name));
    names.filter_map(|name| Some((name.clone(), CardFacts::ask(&name)?))).collect()
}

/// What was seen of each of the entries above on one card.
pub(super) fn seen(machine: &Machine<'_>, name: &str) -> [(&'static Entry, Observation); 3] {
    let Some(card) = machine.cards.get(name) else {
        let unasked = |wanted: &str, command: String| {
            Observation::elsewhere("only the card tells, and it was not asked or did not answer")
                .wanting(wanted)
                .with_command(command)
        };
        return [
            (&RINGS, unasked(RINGS_WANTED, format!("ethtool -g {name}"))),
            (&COALESCING, unasked(coalescing_wanted(machine), format!("ethtool -c {name}"))),
            (&FLOW_FILTERS, unasked(FILTERS_WANTED, format!("ethtool -k {name} | grep ntuple"))),
        ];
    };
    [
        (&RINGS, or_unsupported(card.rings.map(|found| rings(machine, name, found)))),
        (
            &COALESCING,
            or_unsupported(card.coalescing.map(|found| coalescing(machine, name, found))),
        ),
        (&FLOW_FILTERS, filters(machine, name, card.has_flow_filters)),
    ]
}

fn or_unsupported(seen: Option<Observation>) -> Observation {
    seen.unwrap_or_else(|| Observation::unsupported("the card, or its driver, has no such thing"))
}

const RINGS_WANTED: &str = "so long that nothing is dropped";
const FILTERS_WANTED: &str = "off, unless there is a queue for each core";

fn rings(machine: &Machine<'_>, name: &str, rings: Rings) -> Observation {
    let Rings { receive, receive_max, send, send_max } = rings;
    let count = |of: &str| -> u64 {
        machine.host.value(format!("{NET}/{name}/statistics/{of}")).unwrap_or(0)
    };
    let (missed, received) = (count("rx_missed_errors"), count("rx_packets"));
    // They are counted from the start of the machine on: one burst long ago is no reason.
    let is_too_short = missed > received / PACKETS_A_MISSED_ONE && receive < receive_max;
    let lost =
        if missed > 0 { format!(", {missed} of {received} packets missed") } else { String::new() };
    let current = format!("rx {receive} of {receive_max}, tx {send} of {send_max}{lost}");
    Observation::new(current, RINGS_WANTED, Verdict::of(!is_too_short))
        .with_command(format!("sudo ethtool -G {name} rx {receive_max}"))
}

fn coalescing_wanted(machine: &Machine<'_>) -> &'static str {
    match machine.profile {
        Profile::Bench => "fixed, 8 µs or less",
        Profile::Dev | Profile::Prod | Profile::Container => "adaptive, or 50 µs or less",
    }
}

fn coalescing(machine: &Machine<'_>, name: &str, found: Coalescing) -> Observation {
    let Coalescing { receive_microseconds, is_adaptive } = found;
    let wanted = coalescing_wanted(machine);
    let (is_fine, command) = match machine.profile {
        Profile::Bench => (
            !is_adaptive && receive_microseconds <= COALESCED_MICROSECONDS_BENCH_MAX,
            format!(
                "sudo ethtool -C {name} adaptive-rx off rx-usecs {COALESCED_MICROSECONDS_BENCH_MAX}"
            ),
        ),
        Profile::Dev | Profile::Prod | Profile::Container => (
            is_adaptive || receive_microseconds <= COALESCED_MICROSECONDS_MAX,
            format!("sudo ethtool -C {name} rx-usecs {COALESCED_MICROSECONDS_MAX}"),
        ),
    };
    let kind = if is_adaptive { "adaptive, now" } else { "fixed," };
    let current = format!("{kind} {receive_microseconds} µs");
    Observation::new(current, wanted, Verdict::of(is_fine)).with_command(command)
}

fn filters(machine: &Machine<'_>, name: &str, are_on: bool) -> Observation {
    let has_queues = queue_names(machine, name, "rx-").len() >= machine.facts.cpus.online.len();
    let current = if are_on { "on" } else { "off" };
    Observation::new(current, FILTERS_WANTED, Verdict::of(!are_on || has_queues))
        .with_command(format!("sudo ethtool -K {name} ntuple off"))
}

#[cfg(test)]
mod tests {
    use runtime::probe::{CardFacts, Coalescing, Rings};

    use super::ask_cards;
    use crate::catalogue::tests::{find, server, server_with_card};
    use crate::check::Status;
    use crate::host_root::HostRoot;
    use crate::profile::Profile;

    fn card(receive_microseconds: u32, is_adaptive: bool) -> CardFacts {
        CardFacts {
            rings: Some(Rings { receive: 512, receive_max: 4096, send: 512, send_max: 4096 }),
            channels: None,
            coalescing: Some(Coalescing { receive_microseconds, is_adaptive }),
            has_flow_filters: true,
        }
    }

    #[test]
    fn what_only_the_card_tells_has_the_command_that_asks_it_where_nobody_could() {
        let findings = server(Profile::Bench);
        for (id, command) in [
            ("network.rings:eth0", "ethtool -g eth0"),
            ("network.coalescing:eth0", "ethtool -c eth0"),
            ("network.flow_filters:eth0", "ethtool -k eth0 | grep ntuple"),
        ] {
            let finding = find(&findings, id);
            assert_eq!((finding.status, finding.supported), (Status::Unknown, false));
            assert_eq!(finding.command.as_deref(), Some(command));
            assert!(finding.reason.is_some() && finding.actions.is_empty());
        }
    }

    #[test]
    fn delays_are_adaptive_in_production_and_short_where_latency_is_measured() {
        for (profile, card, status) in [
            (Profile::Prod, card(200, true), Status::Passed),
            (Profile::Prod, card(50, false), Status::Passed),
            (Profile::Prod, card(51, false), Status::Failed),
            (Profile::Bench, card(0, true), Status::Failed),
            (Profile::Bench, card(8, false), Status::Passed),
            (Profile::Bench, card(9, false), Status::Failed),
        ] {
            let findings = server_with_card(profile, card);
            let found = find(&findings, "network.coalescing:eth0");
            assert_eq!(found.status, status, "{profile:?} {card:?}");
            let is_mended =
                found.command.as_deref().is_some_and(|command| command.contains("-C eth0"));
            assert_eq!(is_mended, status == Status::Failed);
        }
        let findings = server_with_card(Profile::Bench, card(0, true));
        assert_eq!(find(&findings, "network.coalescing:eth0").current, "adaptive, now 0 µs");
    }

    /// The recorded server has eight queues and 64 cores, and missed packets.
    #[test]
    fn a_ring_is_too_short_where_many_packets_were_missed_and_filters_want_queues() {
        let findings = server_with_card(Profile::Prod, card(0, true));
        let rings = find(&findings, "network.rings:eth0");
        assert_eq!(rings.current, "rx 512 of 4096, tx 512 of 4096, 12 of 1000000 packets missed");
        assert_eq!(rings.command.as_deref(), Some("sudo ethtool -G eth0 rx 4096"));
        let full = Rings { receive: 4096, receive_max: 4096, send: 512, send_max: 4096 };
        let longest = CardFacts { rings: Some(full), ..card(0, true) };
        let findings = server_with_card(Profile::Prod, longest);
        assert_eq!(
            find(&findings, "network.rings:eth0").status,
            Status::Passed,
            "it is the longest"
        );
        let filters = find(&findings, "network.flow_filters:eth0");
        assert_eq!((filters.current.as_str(), filters.status), ("on", Status::Failed));
    }

    #[test]
    fn a_card_without_such_things_says_so_and_a_copy_of_a_machine_is_not_asked() {
        let findings = server_with_card(Profile::Bench, CardFacts::default());
        for id in ["network.rings:eth0", "network.coalescing:eth0"] {
            let finding = find(&findings, id);
            assert_eq!((finding.supported, finding.command.is_none()), (false, true), "{id}");
        }
        assert!(ask_cards(&HostRoot::at("/nowhere")).is_empty());
        assert!(!ask_cards(&HostRoot::live()).contains_key("lo"), "it is no card");
    }
}
