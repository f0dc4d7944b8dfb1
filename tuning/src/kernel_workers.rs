//! The kernel's worker threads of a process's rings: what could not be done without blocking went there
//! (before Linux 7.0 each direct write that must change a file's mtime). The kernel counts no such detours;
//! the workers' wake-ups are the nearest it shows.

use crate::host_root::{HostRoot, field};

/// The workers that live now; idle ones end after some seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelWorkers {
    pub threads: usize,
    /// Of those, since each began: about one for each operation that took the detour.
    pub wakeups: u64,
}

impl KernelWorkers {
    /// Of the process whose folder that is: `/proc/self`.
    pub fn of(host: &HostRoot, process: &str) -> Self {
        let mut found = Self::default();
        for thread in host.names(format!("{process}/task")) {
            // It may have ended meanwhile.
            let Some(status) = host.text(format!("{process}/task/{thread}/status")) else {
                continue;
            };
            if field(&status, "Name").is_some_and(|name| name.starts_with("iou-wrk")) {
                let woken = field(&status, "voluntary_ctxt_switches");
                found.threads += 1;
                found.wakeups += woken.and_then(|count| count.parse().ok()).unwrap_or(0);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::KernelWorkers;
    use crate::recorded_tree::RecordedTree;

    #[test]
    fn only_the_rings_workers_count() {
        let mut tree = RecordedTree::unpack("");
        for (thread, name, switches) in
            [("7", "iou-wrk-5", "12"), ("8", "iou-wrk-6", "30"), ("9", "shard-0", "9000")]
        {
            let status = format!(
                "Name:\t{name}\nPid:\t{thread}\nvoluntary_ctxt_switches:\t{switches}\n\
                 nonvoluntary_ctxt_switches:\t1\n"
            );
            tree = tree.with(&format!("/proc/5/task/{thread}/status"), &status);
        }
        let found = KernelWorkers::of(&tree.root(), "/proc/5");
        assert_eq!(found, KernelWorkers { threads: 2, wakeups: 42 });
        assert_eq!(KernelWorkers::of(&tree.root(), "/proc/6"), KernelWorkers::default());
    }
}
