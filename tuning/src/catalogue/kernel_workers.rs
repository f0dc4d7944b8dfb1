//! The entry about the kernel's threads that work for a node's rings.

use std::collections::BTreeSet;

use crate::catalogue::entry::{Entry, Observation, Verdict};
use crate::catalogue::machine::Machine;
use crate::catalogue::service::process_folders;
use crate::finding::{Finding, Group};
use crate::host_root::HostRoot;
use crate::kernel_workers::KernelWorkers;

static KERNEL_WORKERS: Entry = Entry {
    why: "what a ring cannot do without blocking goes to a kernel thread: a hand-over there and back, some tens \
          of microseconds",
    lesson: "The threads iou-wrk-… of a node that runs, and how often they were woken: about once for each \
             such operation. One that sleeps is no harm. Many come from writes that allocate, from timestamps \
             (`directory.lazytime`), from a file system that is neither ext4 nor XFS. The same as \
             corelane_kernel_worker… on /metrics.",
    source: "/proc/*/task/*/comm, status",
    of_host: false,
    ..Entry::of(
        "service.kernel_workers",
        Group::Service,
        "kernel threads that work for a node's rings",
    )
};

pub(crate) static ENTRIES: [&Entry; 1] = [&KERNEL_WORKERS];

pub(crate) fn findings(machine: &Machine<'_>) -> Vec<Finding> {
    vec![machine.finding(&KERNEL_WORKERS, kernel_workers(machine))]
}

fn kernel_workers(machine: &Machine<'_>) -> Observation {
    let host = machine.host;
    let is_ours = |folder: &String| host.text(format!("{folder}/comm")).as_deref() == Some(NODE);
    let nodes = process_folders(host).filter(is_ours).map(|folder| Node::of(host, &folder));
    let nodes: Vec<Node> = nodes.filter(|node| !node.shards.is_empty()).collect();
    if nodes.is_empty() {
        return Observation::unsupported("no node runs here");
    }
    let shards: usize = nodes.iter().map(|node| node.shards.len()).sum();
    let threads: usize = nodes.iter().map(|node| node.workers.threads).sum();
    let wakeups: u64 = nodes.iter().map(|node| node.workers.wakeups).sum();
    Observation::new(
        format!("{threads}, woken {wakeups} times"),
        format!("{shards} or fewer, one for each shard"),
        Verdict::of(threads <= shards),
    )
    .with_command("curl -s 127.0.0.1:9644/metrics | grep kernel_worker   # how fast they grow")
}

/// What a node's process has.
struct Node {
    /// Names of its shards' threads; a command of ours has none.
    shards: BTreeSet<String>,
    workers: KernelWorkers,
}

impl Node {
    fn of(host: &HostRoot, process: &str) -> Self {
        let threads = host.names(format!("{process}/task")).into_iter();
        let names = threads.filter_map(|id| host.text(format!("{process}/task/{id}/comm")));
        let is_shard = |name: &String| {
            name.strip_prefix("shard-").is_some_and(|number| number.parse::<u16>().is_ok())
        };
        Self { shards: names.filter(is_shard).collect(), workers: KernelWorkers::of(host, process) }
    }
}

/// The name of a node's process.
const NODE: &str = "corelane";

#[cfg(test)]
mod tests {
    use crate::catalogue::tests::{find, look, server};
    use crate::check::Status;
    use crate::profile::Profile;
    use crate::recorded_tree::{RecordedTree, TUNABLE_NUMA_SERVER};

    #[test]
    fn the_kernels_workers_of_a_node_are_counted_and_those_of_others_are_not() {
        let mut tree = RecordedTree::unpack(TUNABLE_NUMA_SERVER);
        let worker = "Name:\tiou-wrk-200\nvoluntary_ctxt_switches:\t12\n";
        for (path, text) in [
            ("/proc/200/comm", "corelane"),
            ("/proc/201/comm", "corelane"),
            ("/proc/201/task/201/comm", "corelane"),
            ("/proc/202/comm", "database"),
            ("/proc/202/task/203/status", worker),
            ("/proc/200/task/200/comm", "shard-0"),
            ("/proc/200/task/204/comm", "shard-0-disk"),
            ("/proc/200/task/205/status", worker),
        ] {
            tree = tree.with(path, text);
        }
        let findings = look(&tree, "/data", Profile::Prod);
        let one = find(&findings, "service.kernel_workers");
        assert_eq!((one.status, one.current.as_str()), (Status::Passed, "1, woken 12 times"));
        let tree = tree.with("/proc/200/task/206/status", worker);
        let findings = look(&tree, "/data", Profile::Prod);
        assert_eq!(find(&findings, "service.kernel_workers").status, Status::Failed);
        assert!(!find(&server(Profile::Prod), "service.kernel_workers").supported);
    }
}
