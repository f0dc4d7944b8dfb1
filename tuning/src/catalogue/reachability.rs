//! Entries about whether clients find the node: what its machine's name leads to, and who listens on its port.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::catalogue::entry::{Entry, Observation, Verdict};
use crate::catalogue::machine::{Machine, shortened};
use crate::finding::{Finding, Group};

static HOST_NAME: Entry = Entry {
    why: "clients connect to what --advertise says: a name that leads to 127.0.0.1 leads each of them to itself",
    lesson: "Some distributions write the machine's name beside 127.0.1.1 into /etc/hosts. Clients ask their own \
             name servers, so what the name leads to here is a hint: try it from one of theirs. A node that \
             listens on all addresses has to be told what to advertise.",
    source: "/proc/sys/kernel/hostname, /etc/hosts",
    of_host: false,
    ..Entry::of("service.host_name", Group::Service, "what the machine's name leads to")
};

static PORT: Entry = Entry {
    why: "clients elsewhere reach a node that listens on an address of the network, on a port that nobody else \
          takes",
    lesson: "Looked at for 9092, the port of a node that is told no other. An outgoing connection may take a port \
             of ip_local_port_range first, and the node then does not start. Firewalls are not looked at: try it \
             from a client's machine with `nc -zv HOST 9092`.",
    source: "/proc/net/tcp, tcp6, /proc/sys/net/ipv4/ip_local_port_range, ip_local_reserved_ports",
    of_host: false,
    ..Entry::of("service.port", Group::Service, "who listens on port 9092")
};

pub(crate) static ENTRIES: [&Entry; 2] = [&HOST_NAME, &PORT];

pub(crate) fn findings(machine: &Machine<'_>) -> Vec<Finding> {
    vec![machine.finding(&HOST_NAME, host_name(machine)), machine.finding(&PORT, port(machine))]
}

fn host_name(machine: &Machine<'_>) -> Observation {
    let name = machine.host.text("/proc/sys/kernel/hostname").filter(|name| !name.is_empty());
    let Some(name) = name else { return Observation::unknown("the machine has no name") };
    let hosts = machine.host.text("/etc/hosts").unwrap_or_default();
    let addresses = hosts.lines().filter_map(|line| {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let address: IpAddr = words.next()?.parse().ok()?;
        words.any(|word| word.eq_ignore_ascii_case(&name)).then_some(address)
    });
    let addresses: Vec<IpAddr> = addresses.collect();
    let wanted = "an address that clients reach";
    if addresses.is_empty() {
        // A name server that does not answer would keep us waiting for seconds.
        return Observation::elsewhere(
            "/etc/hosts does not have it, and name servers are not asked",
        )
        .wanting(wanted)
        .with_command(format!("getent ahosts '{name}'"));
    }
    let is_reached = addresses.iter().any(|address| !address.is_loopback());
    let shown = addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(" ");
    Observation::new(shortened(format!("{name}: {shown}")), wanted, Verdict::of(is_reached))
        .with_command("mend /etc/hosts, or: corelane serve --advertise HOST:9092 with another name")
}

/// Where a node listens that is told nothing else.
const NODE_PORT: u16 = 9092;

fn port(machine: &Machine<'_>) -> Observation {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let tables: Vec<String> = tables.iter().filter_map(|path| machine.host.text(path)).collect();
    if tables.is_empty() {
        return Observation::unknown("/proc/net/tcp cannot be read");
    }
    let mut addresses: Vec<IpAddr> = tables.iter().flat_map(|table| listeners(table)).collect();
    addresses.sort_unstable();
    addresses.dedup();
    if addresses.is_empty() {
        return free_port(machine);
    }
    let is_reached = addresses.iter().any(|address| !address.is_loopback());
    let shown = addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(" ");
    Observation::new(shortened(shown), "an address that clients reach", Verdict::of(is_reached))
        .with_command(
            "for clients elsewhere: corelane serve --listen 0.0.0.0:9092 --advertise HOST:9092",
        )
}

/// Nobody listens: whether it stays so until a node starts.
fn free_port(machine: &Machine<'_>) -> Observation {
    let text = |name: &str| machine.host.text(format!("/proc/sys/net/ipv4/{name}"));
    let range = text("ip_local_port_range").unwrap_or_default();
    let mut bounds = range.split_whitespace().map(str::parse::<u16>);
    let (Some(Ok(first)), Some(Ok(last))) = (bounds.next(), bounds.next()) else {
        return Observation::unknown("the ports of outgoing connections cannot be read");
    };
    let reserved = text("ip_local_reserved_ports").unwrap_or_default();
    let is_reserved = reserved.split(',').any(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let bound = |text: &str| text.trim().parse::<u16>().ok();
        bound(first)
            .zip(bound(last))
            .is_some_and(|(first, last)| (first..=last).contains(&NODE_PORT))
    });
    let is_kept = is_reserved || !(first..=last).contains(&NODE_PORT);
    let current = match is_kept {
        true => "nobody".to_owned(),
        false => format!("nobody, but connections take ports from {first} to {last}"),
    };
    let list = match reserved.trim() {
        "" => NODE_PORT.to_string(),
        others => format!("{others},{NODE_PORT}"),
    };
    Observation::new(current, "a node, or nobody", Verdict::of(is_kept))
        .with_command(format!("sudo sysctl -w net.ipv4.ip_local_reserved_ports='{list}'"))
}

/// The addresses on which somebody listens on the node's port, of a table as `/proc/net/tcp` is:
/// `0: 0100007F:2384 00000000:0000 0A …`, 0A being the state of a listening socket.
fn listeners(table: &str) -> impl Iterator<Item = IpAddr> {
    table.lines().filter_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (address, port) = words.next()?.split_once(':')?;
        let state = words.nth(1)?;
        let is_ours = u16::from_str_radix(port, 16).ok()? == NODE_PORT && state == "0A";
        is_ours.then(|| address_of(address)).flatten()
    })
}

/// 8 or 32 digits: words of four bytes, each as the processor holds it.
fn address_of(digits: &str) -> Option<IpAddr> {
    let word = |at: usize| u32::from_str_radix(digits.get(at * 8..at * 8 + 8)?, 16).ok();
    match digits.len() {
        8 => Some(Ipv4Addr::from(word(0)?.to_ne_bytes()).into()),
        32 => {
            let mut bytes = [0; 16];
            for (at, four) in bytes.chunks_exact_mut(4).enumerate() {
                four.copy_from_slice(&word(at)?.to_ne_bytes());
            }
            Some(Ipv6Addr::from(bytes).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::listeners;
    use crate::catalogue::tests::{find, look, server, virtual_machine};
    use crate::check::Status;
    use crate::profile::Profile;
    use crate::recorded_tree::{RecordedTree, TUNABLE_NUMA_SERVER};

    /// As a processor with the least byte first shows it, which those of the supported machines are.
    #[test]
    #[cfg(target_endian = "little")]
    fn listening_sockets_on_the_port_are_found() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue\n   \
             0: 0100007F:2384 00000000:0000 0A 00000000:00000000\n   \
             1: 0100007F:2385 00000000:0000 0A 00000000:00000000\n   \
             2: 0200000A:2384 0300000A:D431 01 00000000:00000000\n   \
             3: 00000000000000000000000001000000:2384 00000000:0000 0A 0\n   \
             4: :\n   5: 01:2384 00000000:0000 0A 0\n";
        let found: Vec<String> = listeners(table).map(|address| address.to_string()).collect();
        assert_eq!(found, ["127.0.0.1", "::1"]);
    }
    #[test]
    fn a_name_that_leads_home_is_told() {
        let findings = server(Profile::Prod);
        let name = find(&findings, "service.host_name");
        assert_eq!((name.status, name.current.as_str()), (Status::Failed, "broker1: 127.0.1.1"));
        for (hosts, status) in [
            ("10.0.0.7 Broker1\n", Status::Passed),
            ("127.0.1.1 broker1\nfd00::7 broker1\n", Status::Passed),
            ("# 127.0.1.1 broker1\n", Status::Unknown),
        ] {
            let tree = RecordedTree::unpack(TUNABLE_NUMA_SERVER).with("/etc/hosts", hosts);
            let findings = look(&tree, "/data", Profile::Prod);
            assert_eq!(find(&findings, "service.host_name").status, status, "{hosts}");
        }
    }

    #[test]
    fn a_port_that_outgoing_connections_may_take_is_told() {
        let findings = server(Profile::Prod);
        let port = find(&findings, "service.port");
        assert_eq!(port.status, Status::Failed);
        assert_eq!(port.current, "nobody, but connections take ports from 1024 to 65535");
        let reserved = "/proc/sys/net/ipv4/ip_local_reserved_ports";
        for (ports, status, command) in [
            ("8080", Status::Failed, Some("ports='8080,9092'")),
            ("8080,9000-9100", Status::Passed, None),
        ] {
            let tree = RecordedTree::unpack(TUNABLE_NUMA_SERVER).with(reserved, ports);
            let findings = look(&tree, "/data", Profile::Prod);
            let found = find(&findings, "service.port");
            assert_eq!(found.status, status);
            let shown = found.command.as_deref().unwrap_or_default();
            assert!(shown.ends_with(command.unwrap_or_default()), "{shown}");
        }
    }

    #[test]
    fn a_node_that_nobody_else_reaches_is_told() {
        let findings = virtual_machine(Profile::Prod);
        let port = find(&findings, "service.port");
        assert_eq!((port.status, port.current.as_str()), (Status::Failed, "127.0.0.1"));
    }
}
