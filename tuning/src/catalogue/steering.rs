//! Entries about packets that software brings to cores: as they come (RPS), to the core that reads the socket
//! (RFS), and as they leave (XPS).

use crate::catalogue::entry::{Entry, Observation, Verdict};
use crate::catalogue::machine::{Machine, Want, shortened};
use crate::catalogue::network::{NET, cards, queue_names};
use crate::cpu_set::{CpuId, CpuSet};
use crate::finding::{Finding, Group, Scope, SettingWrite};
use crate::limits::{CORES_OF_ONE_QUEUE_MIN, FLOWS_STEERED};
use crate::setting::{Form, Setting};

static PACKETS: Entry = Entry {
    why: "steering in software moves packets to other cores: good with one queue, a detour with many",
    lesson: "A mask of cores for each queue; 0 is off. One queue on many cores is one core's work for all of \
             them: the cores near the card share it. With a queue for each core it is off. In between measure \
             both. With it, `network.flow_steering` and `network.queue_flows` bring packets to the core that \
             reads the socket. Untested on real cards.",
    source: "/sys/class/net/INTERFACE/queues/rx-*/rps_cpus",
    ..Entry::of("network.steering", Group::Network, "packet steering in software (RPS)")
};

static FLOWS: Entry = Entry {
    why: "with packet steering in software, packets go to the core that reads the socket",
    lesson: "Of no use without it (`network.steering`), nor on cards with a queue for each core, unless they \
             have filters for flows. With it: 32768 here, and `network.queue_flows` for each queue.",
    source: FLOW_ENTRIES,
    ..Entry::of("network.flow_steering", Group::Network, "connections that are steered (RFS)")
};

static QUEUE_FLOWS: Entry = Entry {
    why: "each queue has to remember which core reads which connection, or its packets are only spread",
    lesson: "32768 divided by the number of queues, as a power of two. Of no use without \
             `network.steering`; takes some bytes for each.",
    source: "/sys/class/net/INTERFACE/queues/rx-*/rps_flow_cnt",
    ..Entry::of("network.queue_flows", Group::Network, "connections that a queue remembers (RFS)")
};

static SENDING: Entry = Entry {
    why: "without a queue of its own for sending a core waits for the lock of another's",
    lesson: "A mask of cores for each queue. Most drivers set them at their start, a core for each queue. \
             Where there are none the kernel spreads connections by a hash, whatever core they live on. Untested on \
             real cards.",
    source: "/sys/class/net/INTERFACE/queues/tx-*/xps_cpus",
    ..Entry::of("network.send_steering", Group::Network, "which core sends by which queue (XPS)")
};

pub(crate) static ENTRIES: [&Entry; 4] = [&PACKETS, &FLOWS, &QUEUE_FLOWS, &SENDING];

const FLOW_ENTRIES: &str = "/proc/sys/net/core/rps_sock_flow_entries";

pub(crate) fn findings(machine: &Machine<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut is_any_steered = false;
    for name in cards(machine) {
        let card = Card::read(machine, name);
        is_any_steered |= card.is_steered();
        let scope = || Scope::Interface(card.name.clone());
        findings.push(machine.scoped(&PACKETS, scope(), card.packets()));
        findings.push(machine.scoped(&QUEUE_FLOWS, scope(), card.queue_flows(machine)));
        findings.push(machine.scoped(&SENDING, scope(), card.sending(machine)));
    }
    let flows = match is_any_steered {
        true => machine.setting(FLOW_ENTRIES, Form::Plain, Want::AtLeast(FLOWS_STEERED.into())),
        false => machine.told(FLOW_ENTRIES),
    };
    findings.push(machine.finding(&FLOWS, flows));
    findings
}

/// A card with the masks of its queues.
struct Card {
    name: String,
    receiving: Vec<Queue>,
    sending: Vec<Queue>,
    /// Online, and of the card's NUMA node where it has one.
    near: CpuSet,
    cores: usize,
}

/// What is wanted of packet steering on a card.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wish {
    On,
    Off,
    /// Fewer queues than cores, but several.
    Either,
}

impl Card {
    fn read(machine: &Machine<'_>, name: String) -> Self {
        let cpus = &machine.facts.cpus;
        let node: Option<u32> = machine.host.value(format!("{NET}/{name}/device/numa_node"));
        let node = cpus.nodes.iter().find(|known| Some(known.id) == node);
        let near = node.map(|node| node.cpus.intersection(&cpus.online));
        Self {
            receiving: Queue::all(machine, &name, "rx-", "rps_cpus"),
            sending: Queue::all(machine, &name, "tx-", "xps_cpus"),
            near: near.filter(|cpus| !cpus.is_empty()).unwrap_or_else(|| cpus.online.clone()),
            cores: cpus.online.len(),
            name,
        }
    }

    fn wish(&self) -> Wish {
        match self.receiving.len() {
            1 if self.cores >= CORES_OF_ONE_QUEUE_MIN => Wish::On,
            queues if queues > 1 && queues >= self.cores => Wish::Off,
            _ => Wish::Either,
        }
    }

    /// Whether packets are steered, or should be.
    fn is_steered(&self) -> bool {
        self.wish() == Wish::On || self.receiving.iter().any(|queue| !queue.is_off())
    }

    fn packets(&self) -> Observation {
        if self.receiving.is_empty() {
            return Observation::unsupported("no queue tells its mask");
        }
        let mut masks: Vec<&str> = self.receiving.iter().map(Queue::shown).collect();
        masks.dedup();
        let current = shortened(masks.join(" "));
        let (wanted, cpus) = match self.wish() {
            Wish::Either => return Observation::report(current),
            Wish::Off => ("off: there is a queue for each core".to_owned(), CpuSet::default()),
            Wish::On => (shortened(format!("on, over {}", self.near)), self.near.clone()),
        };
        let is_wrong = |queue: &&Queue| queue.is_off() != cpus.is_empty();
        let wrong: Vec<&Queue> = self.receiving.iter().filter(is_wrong).collect();
        let writes = wrong.iter().filter_map(|queue| queue.write(cpus.iter()));
        Observation::new(current, wanted, Verdict::of(wrong.is_empty()))
            .with_writes(writes.collect())
    }

    fn queue_flows(&self, machine: &Machine<'_>) -> Observation {
        let queues = queue_names(machine, &self.name, "rx-").into_iter();
        let paths = queues.map(|queue| format!("{NET}/{}/queues/{queue}/rps_flow_cnt", self.name));
        let paths: Vec<String> = paths.filter(|path| machine.host.exists(path)).collect();
        let Some(first) = paths.first() else {
            return Observation::unsupported("no queue tells how many it remembers");
        };
        if !self.is_steered() {
            return machine.told(first);
        }
        // The kernel rounds up to a power of two, and shows that.
        let queues = u32::try_from(paths.len()).unwrap_or(FLOWS_STEERED);
        let each = (FLOWS_STEERED / queues).max(1).next_power_of_two();
        machine.settings(&paths, Form::Plain, Want::AtLeast(each.into()))
    }

    fn sending(&self, machine: &Machine<'_>) -> Observation {
        // The kernel has no masks for a single queue.
        if self.sending.len() < 2 {
            return Observation::unsupported("a card with one queue for sending");
        }
        let count = self.sending.len();
        // More queues than cores have none to themselves.
        let is_wanted = |queue: &&Queue| queue.number < self.cores;
        let wanted: Vec<&Queue> = self.sending.iter().filter(is_wanted).collect();
        let off = wanted.iter().filter(|queue| queue.is_off());
        let writes = off.filter_map(|queue| {
            let cores = machine.facts.cpus.online.iter().enumerate();
            queue.write(cores.filter(|(at, _)| at % count == queue.number).map(|(_, cpu)| cpu))
        });
        let writes: Vec<SettingWrite> = writes.collect();
        let with_cores = wanted.iter().filter(|queue| !queue.is_off()).count();
        Observation::new(
            format!("{with_cores} of {count} queues have cores"),
            format!("{} with cores", wanted.len()),
            Verdict::of(with_cores == wanted.len()),
        )
        .with_writes(writes)
    }
}

/// A queue with its mask of cores: `00000000,0000000f`.
struct Queue {
    number: usize,
    mask: Setting,
    value: String,
}

impl Queue {
    /// Those that tell their masks, in the order of their numbers.
    fn all(machine: &Machine<'_>, card: &str, kind: &str, file: &str) -> Vec<Self> {
        let read = |queue: String| {
            let number = queue.strip_prefix(kind)?.parse().ok()?;
            let mask = Setting::new(format!("{NET}/{card}/queues/{queue}/{file}"), Form::Plain)?;
            let value = mask.read(machine.host).ok()?;
            Some(Self { number, mask, value })
        };
        let queues = queue_names(machine, card, kind).into_iter();
        let mut queues: Vec<Self> = queues.filter_map(read).collect();
        queues.sort_by_key(|queue| queue.number);
        queues
    }

    fn is_off(&self) -> bool {
        self.value.chars().all(|c| c == '0' || c == ',')
    }

    fn shown(&self) -> &str {
        if self.is_off() { "off" } else { &self.value }
    }

    /// `None` where the mask has no room for them.
    fn write(&self, cpus: impl Iterator<Item = CpuId>) -> Option<SettingWrite> {
        let to = mask_like(&self.value, cpus)?;
        Some(SettingWrite {
            setting: self.mask.clone(),
            from: self.value.clone(),
            to,
            resets: Vec::new(),
        })
    }
}

/// A mask of these CPUs, as long as the kernel shows its own: it is compared with what is read again.
fn mask_like(shape: &str, cpus: impl Iterator<Item = CpuId>) -> Option<String> {
    let digits = shape.chars().filter(char::is_ascii_hexdigit).count();
    let mut nibbles = vec![0_u32; digits];
    for CpuId(cpu) in cpus {
        let from_the_right = usize::try_from(cpu / 4).ok()? + 1;
        *nibbles.get_mut(digits.checked_sub(from_the_right)?)? |= 1 << (cpu % 4);
    }
    let mut nibbles = nibbles.into_iter();
    let letter = |shape: char| match shape {
        ',' => Some(','),
        _ => char::from_digit(nibbles.next()?, 16),
    };
    shape.chars().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::mask_like;
    use crate::catalogue::tests::{find, look, server, writes};
    use crate::check::Status;
    use crate::cpu_set::CpuSet;
    use crate::profile::Profile;
    use crate::recorded_tree::{RecordedTree, TUNABLE_NUMA_SERVER, TUNABLE_VIRTUAL_MACHINE};

    #[test]
    fn a_mask_is_as_long_as_the_kernels() {
        for (shape, list, expected) in [
            ("0", "0-1", Some("3")),
            ("0", "4", None),
            ("ff", "", Some("00")),
            ("00000000,00000000", "0,5,63", Some("80000000,00000021")),
            ("f,00000000", "32-34", Some("7,00000000")),
            ("what", "0", None),
        ] {
            let cpus = CpuSet::parse(list).expect("a list");
            assert_eq!(mask_like(shape, cpus.iter()).as_deref(), expected, "{shape} {list}");
        }
    }
    #[test]
    fn one_queue_on_many_cores_is_shared_with_all_that_belongs_to_it() {
        let findings = server(Profile::Prod);
        let queue = "/sys/class/net/eth2/queues/rx-0";
        for (id, expected) in [
            (
                "network.steering:eth2",
                format!("{queue}/rps_cpus: 00000000,00000000 > ffffffff,ffffffff"),
            ),
            ("network.queue_flows:eth2", format!("{queue}/rps_flow_cnt: 0 > 32768")),
            (
                "network.flow_steering",
                "/proc/sys/net/core/rps_sock_flow_entries: 0 > 32768".to_owned(),
            ),
        ] {
            assert_eq!(writes(find(&findings, id)), [expected], "{id}");
        }
        let several = find(&findings, "network.steering:eth0");
        assert_eq!((several.status, several.current.as_str()), (Status::Passed, "off"));
        let tree = RecordedTree::unpack(TUNABLE_NUMA_SERVER)
            .with("/sys/devices/pci/eth2/net/eth2/device/numa_node", "1\n");
        let findings = look(&tree, "/data", Profile::Prod);
        let near = find(&findings, "network.steering:eth2");
        assert_eq!(near.wanted, "on, over 16-31,48-63");
        let near = near.writes().next().expect("a write");
        assert_eq!(near.to, "ffff0000,ffff0000");
    }

    #[test]
    fn steering_is_off_where_each_core_has_a_queue() {
        let queues = "/sys/class/net/eth0/queues";
        let tree = RecordedTree::unpack(TUNABLE_VIRTUAL_MACHINE)
            .with(&format!("{queues}/rx-1/rps_cpus"), "1\n");
        let findings = look(&tree, "/", Profile::Prod);
        let steering = find(&findings, "network.steering:eth0");
        assert_eq!(steering.current, "off 1");
        assert_eq!(writes(steering), [format!("{queues}/rx-1/rps_cpus: 1 > 0")]);
    }

    #[test]
    fn queues_for_sending_are_dealt_to_the_cores() {
        let findings = server(Profile::Prod);
        let queues = "/sys/class/net/eth0/queues";
        let off = find(&findings, "network.send_steering:eth0");
        assert_eq!(
            writes(off),
            [
                format!("{queues}/tx-0/xps_cpus: 00000000,00000000 > 55555555,55555555"),
                format!("{queues}/tx-1/xps_cpus: 00000000,00000000 > aaaaaaaa,aaaaaaaa"),
            ]
        );
        let command = off.command.as_deref().expect("a command");
        assert!(
            command.starts_with("echo 55555555,55555555 | sudo tee ") && command.contains(" && ")
        );
        assert_eq!(find(&findings, "network.send_steering:eth1").status, Status::Passed);
        assert!(!find(&findings, "network.send_steering:eth2").supported);
    }
}
