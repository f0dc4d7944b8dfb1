//! The machine's settings: none keeps a node from starting.

use crate::check::{Check, Severity};
use crate::checks::{Finding, on_the_host, set_sysctl, shown};
use crate::host::HostFacts;
use crate::memory::HugePages;

pub(crate) fn checks(facts: &HostFacts) -> Vec<Check> {
    vec![
        cpu_quota(facts).into(),
        swap(facts).into(),
        huge_pages(facts).into(),
        somaxconn(facts).into(),
        syn_backlog(facts).into(),
    ]
}

fn cpu_quota(facts: &HostFacts) -> Finding {
    let quota = facts.cpus.quota_millis;
    Finding {
        id: "cpu.quota",
        title: "the cgroup's processor quota",
        current: quota.map_or_else(
            || "none".to_owned(),
            |millis| format!("{}.{:03} CPUs", millis / 1000, millis % 1000),
        ),
        wanted: "none, or whole CPUs by cpuset".to_owned(),
        why: "a shard that has used up its quota stands still for the rest of the period, with \
              every partition on it",
        mend: Some(on_the_host(
            facts,
            "give CPUs by cpuset instead (docker run --cpuset-cpus 0-3 …)".to_owned(),
        )),
        severity: Severity::Warning,
        passed: Some(quota.is_none()),
    }
}

fn swap(facts: &HostFacts) -> Finding {
    const SWAPPINESS_MAX: i64 = 10;
    let swappiness = facts.kernel.sysctls.swappiness;
    let without_swap = facts.memory.swap_total.get() == 0;
    Finding {
        id: "memory.swap",
        title: "swapping (vm.swappiness)",
        current: if without_swap { "no swap".to_owned() } else { shown(swappiness) },
        wanted: format!("no swap, or {SWAPPINESS_MAX} or less"),
        why: "a shard that waits for its own memory to come back from disk stops all its partitions",
        mend: Some(set_sysctl(facts, "vm.swappiness", "1")),
        severity: Severity::Warning,
        passed: match swappiness {
            _ if without_swap => Some(true),
            known => known.map(|value| value <= SWAPPINESS_MAX),
        },
    }
}

fn huge_pages(facts: &HostFacts) -> Finding {
    let setting = facts.memory.transparent_huge_pages;
    let name = |pages| match pages {
        HugePages::Always => "always",
        HugePages::Madvise => "madvise",
        HugePages::Never => "never",
    };
    Finding {
        id: "memory.huge_pages",
        title: "transparent huge pages",
        current: shown(setting.map(name)),
        wanted: "madvise".to_owned(),
        why: "shards ask for huge pages for their own memory; `always` makes the kernel build them \
              for every process, in the middle of an allocation, and `never` costs address \
              translation",
        mend: Some(on_the_host(
            facts,
            "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled".to_owned(),
        )),
        severity: Severity::Info,
        passed: setting.map(|pages| pages == HugePages::Madvise),
    }
}

fn somaxconn(facts: &HostFacts) -> Finding {
    at_least(
        facts,
        Wanted {
            id: "network.somaxconn",
            title: "the longest queue of new connections",
            sysctl: "net.core.somaxconn",
            least: 4096,
            why: "clients that all reconnect after a restart wait in this queue; beyond it they are \
                  dropped and try again a second later",
            severity: Severity::Warning,
        },
        facts.kernel.sysctls.somaxconn,
    )
}

fn syn_backlog(facts: &HostFacts) -> Finding {
    at_least(
        facts,
        Wanted {
            id: "network.syn_backlog",
            title: "the longest queue of half-open connections",
            sysctl: "net.ipv4.tcp_max_syn_backlog",
            least: 4096,
            why: "clients that all reconnect after a restart wait in this queue first; it binds only \
                  where net.ipv4.tcp_syncookies is 0",
            severity: Severity::Info,
        },
        facts.kernel.sysctls.tcp_max_syn_backlog,
    )
}

/// A sysctl with a lower bound.
struct Wanted {
    id: &'static str,
    title: &'static str,
    sysctl: &'static str,
    least: i64,
    why: &'static str,
    severity: Severity,
}

fn at_least(facts: &HostFacts, wanted: Wanted, setting: Option<i64>) -> Finding {
    let Wanted { id, title, sysctl, least, why, severity } = wanted;
    Finding {
        id,
        title,
        current: shown(setting),
        wanted: format!("{least} or more"),
        why,
        mend: Some(set_sysctl(facts, sysctl, &least.to_string())),
        severity,
        passed: setting.map(|value| value >= least),
    }
}
