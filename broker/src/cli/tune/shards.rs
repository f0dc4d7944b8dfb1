//! `corelane tune shards`: how many shards fit where, with the arithmetic.

use clap::Args;
use serde::Serialize;
use tuning::{ByteCount, DEDICATED_SHARDS, HostFacts, ShardPlan, plan_shards};

use super::super::failure::Failure;
use super::super::output::{Output, Table, counted};
use super::machine::RootArgs;

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  corelane tune shards
  corelane tune shards --shards 8 --memory 32GiB      what a node with these would do")]
pub(crate) struct ShardsArgs {
    /// As `serve --shards`.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    shards: Option<u16>,

    /// As `serve --memory`.
    #[arg(long, value_name = "SIZE")]
    memory: Option<ByteCount>,

    #[command(flatten)]
    root: RootArgs,
}

#[derive(Serialize)]
struct Arithmetic<'facts> {
    facts: &'facts HostFacts,
    plan: &'facts ShardPlan,
}

impl ShardsArgs {
    pub(super) fn run(&self, output: &mut Output) -> Result<(), Failure> {
        let host = self.root.host()?;
        let facts = HostFacts::read(&host);
        let plan = plan_shards(&facts, self.shards.map(u32::from), self.memory)
            .map_err(|error| Failure::failed(error.to_string()))?;
        if output.is_json() {
            return output.json(&Arithmetic { facts: &facts, plan: &plan });
        }
        processors(&facts, output)?;
        memory(&facts, &plan, output)?;
        for note in &plan.notes {
            output.line(format_args!("  note      {note}"))?;
        }
        let mut table = Table::new(&["SHARD", "CORE", "NUMA NODE", "MEMORY"]);
        for (number, shard) in plan.data_shards.iter().enumerate() {
            let node = shard.numa_node.map_or_else(|| "–".to_owned(), |node| node.to_string());
            let memory = plan.data_shard_memory.to_string();
            table.push(vec![number.to_string(), shard.cpu.to_string(), node, memory]);
        }
        let control = plan.control_cpu.to_string();
        for name in ["controller", "coordinator"] {
            let memory = plan.dedicated_shard_memory.to_string();
            table.push(vec![name.to_owned(), control.clone(), "–".to_owned(), memory]);
        }
        output.table(&table)
    }
}

fn processors(facts: &HostFacts, output: &mut Output) -> Result<(), Failure> {
    let cpus = &facts.cpus;
    let mut cores: Vec<_> =
        cpus.allowed.iter().map(|cpu| cpus.core_of.get(&cpu).copied().unwrap_or(cpu)).collect();
    cores.sort_unstable();
    cores.dedup();
    let quota = cpus.quota_millis.map_or_else(
        || "no quota".to_owned(),
        |millis| format!("a quota of {}.{:03}", millis / 1000, millis % 1000),
    );
    output.line(format_args!(
        "  cores     {} online ({}), {} allowed ({}) of {}, {quota}: {} can be busy at once",
        cpus.online.len(),
        cpus.online,
        cpus.allowed.len(),
        cpus.allowed,
        counted(cores.len() as u64, "physical core"),
        cpus.usable_count()
    ))
}

fn memory(facts: &HostFacts, plan: &ShardPlan, output: &mut Output) -> Result<(), Failure> {
    let limit = facts
        .memory
        .cgroup_limit
        .map_or_else(|| "no limit of a cgroup".to_owned(), |limit| format!("{limit} by cgroup"));
    let cpuset = facts.memory.cpuset_limit;
    let cpuset = cpuset.map_or_else(String::new, |granted| format!(", {granted} by cpuset"));
    output.line(format_args!("  memory    {} of RAM, {limit}{cpuset}", facts.memory.total))?;
    let count = plan.data_shards.len() as u64;
    output.line(format_args!(
        "  node      {} = {DEDICATED_SHARDS} × {} (controller, coordinator) + {} (groups) + {count} × {} (data)",
        plan.memory, plan.dedicated_shard_memory, plan.groups_memory, plan.data_shard_memory
    ))?;
    let rings = match plan.ring_locked_bytes_max {
        u64::MAX => "no bound on what they lock".to_owned(),
        bytes => format!("{} of locked memory each", ByteCount(bytes)),
    };
    output.line(format_args!("  rings     {rings}"))
}
