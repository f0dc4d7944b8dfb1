//! The kernel's worker threads of this process's rings: what could not be done without blocking went there
//! (before Linux 7.0 each direct write that must change a file's mtime). The kernel counts no such detours;
//! the workers' wake-ups are the nearest it shows.

use std::fs;
use std::path::Path;

/// The workers that live now; idle ones end after some seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct KernelWorkers {
    pub(crate) threads: usize,
    /// Of those, since each began: about one for each operation that took the detour.
    pub(crate) wakeups: u64,
}

pub(crate) fn of_this_process() -> KernelWorkers {
    below(Path::new("/proc/self/task"))
}

fn below(tasks: &Path) -> KernelWorkers {
    let mut found = KernelWorkers::default();
    for task in fs::read_dir(tasks).into_iter().flatten().flatten() {
        // A thread may end meanwhile.
        let Ok(status) = fs::read_to_string(task.path().join("status")) else { continue };
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
        if field("Name:").is_some_and(|name| name.trim().starts_with("iou-wrk")) {
            let wakeups = field("voluntary_ctxt_switches:");
            found.threads += 1;
            found.wakeups += wakeups.and_then(|count| count.trim().parse().ok()).unwrap_or(0);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{KernelWorkers, below};

    #[test]
    fn only_the_rings_workers_count() {
        let tasks = tempfile::tempdir().unwrap();
        for (thread, name, switches) in
            [("7", "iou-wrk-5", "12"), ("8", "iou-wrk-6", "30"), ("9", "shard-0", "9000")]
        {
            let folder = tasks.path().join(thread);
            std::fs::create_dir(&folder).unwrap();
            let status = format!(
                "Name:\t{name}\nPid:\t{thread}\nvoluntary_ctxt_switches:\t{switches}\n\
                 nonvoluntary_ctxt_switches:\t1\n"
            );
            std::fs::write(folder.join("status"), status).unwrap();
        }
        assert_eq!(below(tasks.path()), KernelWorkers { threads: 2, wakeups: 42 });
    }
}
