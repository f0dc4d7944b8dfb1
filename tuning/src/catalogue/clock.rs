//! Entries about clocks: where the time comes from, what reading it costs, when cores tick.

use std::time::Instant;

use crate::catalogue::entry::{Entry, Observation, Verdict};
use crate::catalogue::machine::{Machine, Want};
use crate::check::Severity;
use crate::finding::{Finding, Group};
use crate::limits::{CLOCK_NANOS_MAX, CLOCK_READS};
use crate::setting::Form;

static CLOCK_SOURCE: Entry = Entry {
    prod: Severity::Warning,
    bench: Severity::Warning,
    why: "the node reads the clock several times a request; with hpet or acpi_pm each is a slow system \
          call",
    lesson: "tsc is read in some 20 ns without entering the kernel, kvm-clock and the Hyper-V page \
             nearly so. The kernel gives up tsc where it found it drifting: ask dmesg why before you \
             force it (tsc=reliable as a kernel parameter). `cpu.clock_cost` measures what counts.",
    source: "/sys/devices/system/clocksource/clocksource0/current_clocksource",
    risk: Some("the kernel may have had a reason not to use tsc: `dmesg | grep -i tsc`"),
    ..Entry::of("cpu.clock_source", Group::Cpu, "where the time comes from")
};

static CLOCK_COST: Entry = Entry {
    prod: Severity::Warning,
    bench: Severity::Warning,
    why: "the node reads the clock several times a request",
    lesson: "Measured rather than believed: the best of some thousand reads. Above 200 ns the kernel is \
             entered for each.",
    source: "clock_gettime, measured",
    of_host: false,
    ..Entry::of("cpu.clock_cost", Group::Cpu, "nanoseconds to read the clock")
};

static SKEWED_TICKS: Entry = Entry {
    why: "by default all cores tick in the same instant and meet at the same locks",
    lesson: "The kernel parameter skew_tick=1 spreads the ticks over their period. It matters to the slowest \
             request in ten thousand on machines with many cores, costs some power where cores sleep, and \
             nothing where they are busy. `tune` never edits a boot loader.",
    source: "/proc/cmdline",
    reboot: true,
    ..Entry::of("cpu.skew_tick", Group::Cpu, "ticks of the cores apart from each other (skew_tick)")
};

pub(crate) static ENTRIES: [&Entry; 3] = [&CLOCK_SOURCE, &CLOCK_COST, &SKEWED_TICKS];

pub(crate) fn findings(machine: &Machine<'_>) -> Vec<Finding> {
    vec![
        machine.finding(&CLOCK_SOURCE, clock_source(machine)),
        machine.finding(&CLOCK_COST, clock_cost(machine)),
        machine.finding(&SKEWED_TICKS, skewed_ticks(machine)),
    ]
}

/// Read without entering the kernel.
const FAST_SOURCES: [&str; 4] =
    ["tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter"];

fn clock_source(machine: &Machine<'_>) -> Observation {
    let folder = "/sys/devices/system/clocksource/clocksource0";
    let available = machine.host.text(format!("{folder}/available_clocksource"));
    let has_tsc = available.unwrap_or_default().split_whitespace().any(|word| word == "tsc");
    let path = format!("{folder}/current_clocksource");
    let mut seen = machine.setting(&path, Form::Plain, Want::OneOf(&FAST_SOURCES));
    if !has_tsc {
        seen.writes.clear();
        seen.needs_reboot = true;
        seen.command = Some("dmesg | grep -i tsc   # why the kernel does not use it".to_owned());
    }
    seen
}

fn clock_cost(machine: &Machine<'_>) -> Observation {
    if !machine.host.is_live() {
        return Observation::unsupported("measured on the machine itself only");
    }
    // The shortest of several: whatever else ran meanwhile is in the others.
    let round = || {
        let begun = Instant::now();
        for _ in 0..CLOCK_READS {
            std::hint::black_box(Instant::now());
        }
        begun.elapsed().as_nanos() / u128::from(CLOCK_READS)
    };
    let nanos = (0..CLOCK_ROUNDS).map(|_| round()).min().unwrap_or(0);
    let verdict = Verdict::of(nanos <= u128::from(CLOCK_NANOS_MAX));
    Observation::new(nanos, format!("{CLOCK_NANOS_MAX} or less"), verdict)
        .with_command("dmesg | grep -i -e tsc -e clocksource   # why reading it enters the kernel")
}

const CLOCK_ROUNDS: usize = 5;

fn skewed_ticks(machine: &Machine<'_>) -> Observation {
    let Ok(text) = machine.host.reading("/proc/cmdline") else {
        return Observation::unknown("/proc/cmdline cannot be read");
    };
    if machine.facts.cpus.online.len() < 2 {
        return Observation::unsupported("there is one core");
    }
    // Of a parameter that is given twice the last counts.
    let mut words = text.split_whitespace().rev();
    let given = words.find_map(|word| word.strip_prefix("skew_tick=")).unwrap_or("0");
    Observation::new(given, "1", Verdict::of(given == "1"))
        .with_command("add skew_tick=1 to the kernel parameters")
}

#[cfg(test)]
mod tests {
    use crate::catalogue::tests::{find, look, server};
    use crate::check::Status;
    use crate::profile::Profile;
    use crate::recorded_tree::{RecordedTree, TUNABLE_NUMA_SERVER};

    #[test]
    fn ticks_apart_from_each_other_need_a_parameter_and_a_new_start() {
        let findings = server(Profile::Bench);
        let ticks = find(&findings, "cpu.skew_tick");
        assert_eq!((ticks.status, ticks.current.as_str()), (Status::Failed, "0"));
        assert!(ticks.reboot && ticks.actions.is_empty());
        let tree = RecordedTree::unpack(TUNABLE_NUMA_SERVER)
            .with("/proc/cmdline", "skew_tick=0 quiet skew_tick=1\n");
        let findings = look(&tree, "/data", Profile::Bench);
        assert_eq!(find(&findings, "cpu.skew_tick").status, Status::Passed);
        assert_eq!(find(&findings, "service.kernel_parameters").current, "skew_tick=0 skew_tick=1");
    }
}
