//! Entries about sleeping processors: how long they take to wake up, and who may bound it.

use std::fs::File;
use std::io::Read;

use crate::catalogue::cpu::CPUS;
use crate::catalogue::entry::{Entry, Observation, Verdict};
use crate::catalogue::machine::{Machine, unreadable};
use crate::check::Severity;
use crate::finding::{Finding, Group, SettingWrite};
use crate::limits::IDLE_EXIT_MICROS_MAX;
use crate::profile::Profile;
use crate::setting::{Form, Setting};

static IDLE_STATES: Entry = Entry {
    bench: Severity::Warning,
    why: "a core that sleeps deeply needs that long to wake up for a packet",
    lesson: "Deep states save power and let the other cores boost higher. They are switched off one by \
             one, for each core, in the profile bench only. `cpu.wakeup_bound` is the other way to \
             the same.",
    source: "/sys/devices/system/cpu/cpu*/cpuidle/state*/latency, disable",
    ..Entry::of("cpu.idle_states", Group::Cpu, "microseconds to wake up from the deepest sleep")
};

static WAKEUP_BOUND: Entry = Entry {
    why: "a program may promise a bound on waking up while it runs, for all cores, and nothing is left behind \
          when it ends",
    lesson: "Whoever holds /dev/cpu_dma_latency open with a number in it keeps all cores out of the sleeps \
             that take longer to wake up from; the smallest number counts. No file of the kernel has to be \
             put back, so it is the gentler way for an hour of measuring. Power and the boost of other cores \
             are the price, so a server is not asked for it. The node holds none.",
    source: "/dev/cpu_dma_latency",
    ..Entry::of("cpu.wakeup_bound", Group::Cpu, "the bound on waking up that some program holds")
};

pub(crate) static ENTRIES: [&Entry; 2] = [&IDLE_STATES, &WAKEUP_BOUND];

pub(crate) fn findings(machine: &Machine<'_>) -> Vec<Finding> {
    vec![
        machine.finding(&IDLE_STATES, idle_states(machine)),
        machine.finding(&WAKEUP_BOUND, wakeup_bound(machine)),
    ]
}

/// An idle state of one CPU.
struct IdleState {
    exit_micros: u64,
    disable: Setting,
    disabled: String,
}

fn idle_states(machine: &Machine<'_>) -> Observation {
    let mut states = Vec::new();
    for cpu in machine.facts.cpus.online.iter() {
        let folder = format!("{CPUS}/cpu{cpu}/cpuidle");
        for name in machine.host.names(&folder) {
            let disable = Setting::new(format!("{folder}/{name}/disable"), Form::Plain);
            let exit_micros = machine.host.value(format!("{folder}/{name}/latency"));
            let (Some(disable), Some(exit_micros)) = (disable, exit_micros) else { continue };
            let Ok(disabled) = disable.read(machine.host) else { continue };
            states.push(IdleState { exit_micros, disable, disabled });
        }
    }
    if states.is_empty() {
        return Observation::unsupported("the hypervisor or the firmware decides this");
    }
    let enabled = states.iter().filter(|state| state.disabled == "0");
    let deepest = enabled.map(|state| state.exit_micros).max().unwrap_or(0);
    if machine.profile != Profile::Bench {
        return Observation::report(deepest);
    }
    let deep = states.into_iter();
    let deep = deep.filter(|s| s.exit_micros > IDLE_EXIT_MICROS_MAX && s.disabled == "0");
    let writes = deep.map(|state| SettingWrite {
        setting: state.disable,
        from: state.disabled,
        to: "1".to_owned(),
        resets: Vec::new(),
    });
    let wanted = format!("{IDLE_EXIT_MICROS_MAX} or less");
    Observation::new(deepest, wanted, Verdict::of(deepest <= IDLE_EXIT_MICROS_MAX))
        .with_writes(writes.collect())
}

/// What the kernel shows where nobody holds a bound.
const NO_BOUND_MICROS: i32 = 2_000_000_000;

fn wakeup_bound(machine: &Machine<'_>) -> Observation {
    let path = "/dev/cpu_dma_latency";
    // One number as the processor holds it, no text.
    let mut bytes = [0; 4];
    let opened = File::open(machine.host.place(path));
    if let Err(error) = opened.and_then(|mut file| file.read_exact(&mut bytes)) {
        return unreadable(path, &error);
    }
    let micros = i32::from_ne_bytes(bytes);
    let current = match micros {
        NO_BOUND_MICROS.. => "none".to_owned(),
        _ => format!("{micros} µs"),
    };
    if machine.profile != Profile::Bench {
        return Observation::report(current);
    }
    let is_bound = u64::try_from(micros).is_ok_and(|micros| micros <= IDLE_EXIT_MICROS_MAX);
    Observation::new(current, format!("{IDLE_EXIT_MICROS_MAX} µs or less"), Verdict::of(is_bound))
        .with_command(
            "sudo sh -c 'exec 3>/dev/cpu_dma_latency; printf 0x0000000a >&3; sleep 1h'   # an hour",
        )
}

#[cfg(test)]
mod tests {
    use crate::catalogue::tests::{find, look};
    use crate::check::Status;
    use crate::profile::Profile;
    use crate::recorded_tree::{RecordedTree, TUNABLE_NUMA_SERVER};

    #[test]
    fn a_bound_on_waking_up_is_read_as_the_processor_holds_it() {
        for (micros, profile, current, status) in [
            (2_000_000_000_i32, Profile::Prod, "none", Status::Passed),
            (2_000_000_000, Profile::Bench, "none", Status::Failed),
            (5, Profile::Bench, "5 µs", Status::Passed),
            (70, Profile::Bench, "70 µs", Status::Failed),
        ] {
            let tree = RecordedTree::unpack(TUNABLE_NUMA_SERVER).with("/dev/cpu_dma_latency", "");
            std::fs::write(tree.place("/dev/cpu_dma_latency"), micros.to_ne_bytes()).expect("it");
            let findings = look(&tree, "/data", profile);
            let bound = find(&findings, "cpu.wakeup_bound");
            assert_eq!((bound.current.as_str(), bound.status), (current, status));
        }
        let tree = RecordedTree::unpack(TUNABLE_NUMA_SERVER);
        assert!(!find(&look(&tree, "/data", Profile::Bench), "cpu.wakeup_bound").supported);
    }
}
