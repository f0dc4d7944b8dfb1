//! Entries about memory that are no single sysctl.

use crate::byte_count::ByteCount;
use crate::catalogue::entry::{Entry, Observation, Verdict};
use crate::catalogue::machine::{Machine, Want};
use crate::check::Severity;
use crate::finding::{Finding, Group};
use crate::limits::MACHINE_BYTES_A_SHARD_WANTED;
use crate::setting::Form;
use crate::shard_plan::plan_shards;

static DEFRAG: Entry = Entry {
    prod: Severity::Warning,
    bench: Severity::Warning,
    why: "with `always` any first use of memory may stop to move other pages about",
    lesson: "With `madvise` only memory for which huge pages were asked waits for them: a shard's \
             arena, at its first use.",
    source: "/sys/kernel/mm/transparent_hugepage/defrag",
    ..Entry::of("memory.huge_pages_defrag", Group::Memory, "waiting for huge pages")
};

static A_SHARD: Entry = Entry {
    prod: Severity::Warning,
    bench: Severity::Warning,
    why: "with little memory tails leave it early, and consumers that are seconds behind read from disk",
    lesson: "Of RAM or the cgroup's limit, for each data shard; the node takes half of it unless \
             --memory says otherwise. `corelane tune shards` shows the arithmetic.",
    source: "/proc/meminfo, memory.max of every cgroup above this process",
    of_host: false,
    ..Entry::of("memory.a_shard", Group::Memory, "memory of the machine for each data shard")
};

static HUGE_PAGE_POOL: Entry = Entry {
    why: "a pool set aside for other programs is no memory for the node",
    lesson: "The node takes transparent huge pages and does not use the pool (vm.nr_hugepages).",
    source: "/proc/meminfo",
    ..Entry::of("memory.huge_page_pool", Group::Memory, "huge pages set aside")
};

pub(crate) static ENTRIES: [&Entry; 3] = [&DEFRAG, &A_SHARD, &HUGE_PAGE_POOL];

pub(crate) fn findings(machine: &Machine<'_>) -> Vec<Finding> {
    let defrag = machine.setting(
        "/sys/kernel/mm/transparent_hugepage/defrag",
        Form::Choice,
        Want::OneOf(&["madvise", "defer+madvise", "defer", "never"]),
    );
    vec![
        machine.finding(&DEFRAG, defrag),
        machine.finding(&A_SHARD, a_shard(machine)),
        machine.finding(&HUGE_PAGE_POOL, pool(machine)),
    ]
}

fn a_shard(machine: &Machine<'_>) -> Observation {
    let Some(limit) = machine.facts.memory.limit() else {
        return Observation::unknown("the size of the memory cannot be read");
    };
    let shards = match plan_shards(machine.facts, None, None) {
        Ok(plan) => plan.data_shards.len() as u64,
        Err(error) => {
            return Observation::new(limit, "a plan", Verdict::Failed)
                .with_command(error.to_string());
        }
    };
    let each = ByteCount(limit.get() / shards.max(1));
    Observation::new(
        each,
        format!("{MACHINE_BYTES_A_SHARD_WANTED} or more"),
        Verdict::of(each >= MACHINE_BYTES_A_SHARD_WANTED),
    )
    .with_command("more memory, or fewer shards: corelane serve --shards N")
}

fn pool(machine: &Machine<'_>) -> Observation {
    let text = machine.host.text("/proc/meminfo").unwrap_or_default();
    let field = |name: &str| crate::host_root::field(&text, name);
    match (field("HugePages_Total"), field("Hugepagesize")) {
        (Some(count), Some(size)) => Observation::report(format!("{count} of {size}")),
        _ => Observation::unsupported("a kernel without huge pages"),
    }
}
