//! One setting of the kernel: a file below `/proc/sys` or `/sys`, and how it shows what it holds.
//!
//! Only what stands in a list is a setting here: [`Setting::new`] refuses all else, for what `tune` would write and for
//! what a journal says that it wrote. Nothing of the list can cost data.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::host_root::HostRoot;

/// A file that holds one setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    path: String,
    form: Form,
}

/// How the file shows its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// The value: `4096`, or several numbers with white space between.
    Plain,
    /// All values there are, the one in force in brackets: `none [mq-deadline] kyber`.
    Choice,
}

/// What may be written; `*` is the rest of a name. A journal is followed by root, so whoever could forge one may set these
/// and nothing else.
///
/// Never here is what can cost acknowledged records: `write_cache` and `fua` of a disk, which is no longer told to flush
/// what it is said to keep. Nor what runs programs: `core_pattern`, `modprobe`.
const MAY_BE_WRITTEN: [&str; 52] = [
    "/proc/sys/fs/file-max",
    "/proc/sys/kernel/io_uring_disabled",
    "/proc/sys/kernel/nmi_watchdog",
    "/proc/sys/kernel/numa_balancing",
    "/proc/sys/kernel/perf_event_paranoid",
    "/proc/sys/kernel/timer_migration",
    "/proc/sys/kernel/yama/ptrace_scope",
    "/proc/sys/net/core/busy_poll",
    "/proc/sys/net/core/busy_read",
    "/proc/sys/net/core/netdev_max_backlog",
    "/proc/sys/net/core/rps_sock_flow_entries",
    "/proc/sys/net/core/somaxconn",
    "/proc/sys/net/ipv4/tcp_max_syn_backlog",
    "/proc/sys/net/ipv4/tcp_notsent_lowat",
    "/proc/sys/net/ipv4/tcp_rmem",
    "/proc/sys/net/ipv4/tcp_slow_start_after_idle",
    "/proc/sys/net/ipv4/tcp_syncookies",
    "/proc/sys/net/ipv4/tcp_timestamps",
    "/proc/sys/net/ipv4/tcp_wmem",
    "/proc/sys/vm/dirty_background_bytes",
    "/proc/sys/vm/dirty_background_ratio",
    "/proc/sys/vm/dirty_bytes",
    "/proc/sys/vm/dirty_ratio",
    "/proc/sys/vm/min_free_kbytes",
    "/proc/sys/vm/overcommit_memory",
    "/proc/sys/vm/stat_interval",
    "/proc/sys/vm/swappiness",
    "/proc/sys/vm/watermark_scale_factor",
    "/proc/sys/vm/zone_reclaim_mode",
    "/sys/block/*/queue/add_random",
    "/sys/block/*/queue/iosched/*",
    "/sys/block/*/queue/nomerges",
    "/sys/block/*/queue/nr_requests",
    "/sys/block/*/queue/read_ahead_kb",
    "/sys/block/*/queue/rq_affinity",
    "/sys/block/*/queue/scheduler",
    "/sys/block/*/queue/wbt_lat_usec",
    "/sys/class/net/*/gro_flush_timeout",
    "/sys/class/net/*/napi_defer_hard_irqs",
    "/sys/class/net/*/queues/rx-*/rps_cpus",
    "/sys/class/net/*/queues/rx-*/rps_flow_cnt",
    "/sys/class/net/*/queues/tx-*/xps_cpus",
    "/sys/devices/system/clocksource/clocksource0/current_clocksource",
    "/sys/devices/system/cpu/cpu*/cpuidle/state*/disable",
    "/sys/devices/system/cpu/cpu*/power/energy_perf_bias",
    "/sys/devices/system/cpu/cpufreq/boost",
    "/sys/devices/system/cpu/cpufreq/policy*/energy_performance_preference",
    "/sys/devices/system/cpu/cpufreq/policy*/scaling_governor",
    "/sys/devices/system/cpu/intel_pstate/min_perf_pct",
    "/sys/devices/system/cpu/intel_pstate/no_turbo",
    "/sys/kernel/mm/transparent_hugepage/defrag",
    "/sys/kernel/mm/transparent_hugepage/enabled",
];

impl Setting {
    /// `None` for what is never written.
    pub fn new(path: impl Into<String>, form: Form) -> Option<Self> {
        let path = path.into();
        MAY_BE_WRITTEN.iter().any(|pattern| matches(pattern, &path)).then_some(Self { path, form })
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn form(&self) -> Form {
        self.form
    }

    /// Whether a journal may name it.
    pub(crate) fn is_allowed(&self) -> bool {
        Self::new(self.path.clone(), self.form).is_some()
    }

    /// What is in force.
    pub(crate) fn read(&self, host: &HostRoot) -> io::Result<String> {
        let text = host.reading(&self.path)?;
        match self.form {
            Form::Plain => Ok(text),
            Form::Choice => Ok(chosen(&text).to_owned()),
        }
    }

    /// Writes it as the kernel takes it. In a recorded tree the file then shows what the kernel's would.
    pub(crate) fn write(&self, host: &HostRoot, value: &str) -> io::Result<()> {
        let place = host.place(&self.path);
        if host.is_live() {
            // One write call: the kernel takes each as a value of its own.
            return OpenOptions::new().write(true).open(place)?.write_all(value.as_bytes());
        }
        let before = fs::read_to_string(&place)?;
        let after = match self.form {
            Form::Choice => with_chosen(&before, value)?,
            Form::Plain => {
                let ending = &before[before.trim_end().len()..];
                format!("{value}{ending}")
            }
        };
        // A file that is cut first would be empty if this was the end.
        let mut file = OpenOptions::new().write(true).open(place)?;
        file.write_all(after.as_bytes())?;
        file.set_len(after.len() as u64)
    }
}

/// Part by part: a `*` never leads into another folder.
fn matches(pattern: &str, path: &str) -> bool {
    let (mut wanted, mut parts) = (pattern.split('/'), path.split('/'));
    loop {
        match (wanted.next(), parts.next()) {
            (None, None) => return true,
            (Some(wanted), Some(part)) if is_named(wanted, part) => {}
            _ => return false,
        }
    }
}

fn is_named(wanted: &str, part: &str) -> bool {
    match wanted.strip_suffix('*') {
        Some(stem) => {
            let is_elsewhere = part == "." || part == "..";
            part.len() > stem.len() && part.starts_with(stem) && !is_elsewhere
        }
        None => part == wanted,
    }
}

/// Whether two values mean the same to the kernel, which sets blanks as it likes.
pub(crate) fn same(one: &str, other: &str) -> bool {
    one.split_whitespace().eq(other.split_whitespace())
}

/// The word in brackets; a lone word where there is no choice.
fn chosen(text: &str) -> &str {
    let inside = text.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    inside.map_or(text, |(word, _)| word)
}

/// The brackets moved to `value`, which must be among the words.
fn with_chosen(text: &str, value: &str) -> io::Result<String> {
    let plain = text.replace(['[', ']'], "");
    let is_choice = text.contains('[');
    let mut at = 0;
    for word in plain.split_inclusive(char::is_whitespace) {
        if word.trim() == value {
            let end = at + value.len();
            return Ok(match is_choice {
                true => format!("{}[{value}]{}", &plain[..at], &plain[end..]),
                false => plain,
            });
        }
        at += word.len();
    }
    Err(Errno::INVAL.into())
}

#[cfg(test)]
mod tests {
    use super::{Form, Setting, same, with_chosen};
    use crate::recorded_tree::RecordedTree;

    #[test]
    fn what_can_cost_data_is_no_setting() {
        for path in [
            "/sys/block/vda/queue/write_cache",
            "/sys/block/vda/queue/fua",
            "/etc/fstab",
            "/proc/self/mem",
            "/proc/sys/../sysrq-trigger",
            "/sys/../etc/passwd",
            "/sys/block/../queue/nomerges",
            "/sys/block/vda/queue/nomerges/x",
            "/sys/block//queue/nomerges",
            "/proc/sys/kernel/core_pattern",
            "/proc/sys/kernel/modprobe",
            "relative",
        ] {
            assert_eq!(Setting::new(path, Form::Plain), None, "{path}");
        }
        assert!(Setting::new("/sys/block/vda/queue/nomerges", Form::Plain).is_some());
    }

    #[test]
    fn a_choice_moves_its_brackets_and_back() {
        let before = "none [mq-deadline] kyber \n";
        let after = with_chosen(before, "none").expect("a choice");
        assert_eq!(after, "[none] mq-deadline kyber \n");
        assert_eq!(with_chosen(&after, "mq-deadline").expect("a choice"), before);
        assert!(with_chosen(before, "bfq").is_err());
        assert!(with_chosen("always defer defer+madvise [madvise] never\n", "defer").is_ok());
    }

    #[test]
    fn a_recorded_setting_is_read_written_and_put_back_as_it_was() {
        for (form, text, wanted, shown) in [
            (Form::Plain, "4096\t131072\t6291456", "1\t2\t3", "1\t2\t3"),
            (Form::Choice, "none [mq-deadline]", "none", "none"),
            (Form::Choice, "none", "none", "none"),
        ] {
            let path = "/sys/block/vda/queue/scheduler";
            let tree = RecordedTree::unpack("").with(path, &format!("{text}\n"));
            let setting = Setting::new(path, form).expect("a setting");
            let before = setting.read(&tree.root()).expect("readable");
            setting.write(&tree.root(), wanted).expect("writable");
            assert_eq!(setting.read(&tree.root()).expect("readable"), shown);
            setting.write(&tree.root(), &before).expect("writable");
            assert_eq!(tree.text(path), format!("{text}\n"));
        }
    }

    #[test]
    fn blanks_do_not_make_a_value_another() {
        assert!(same("4096 87380\t6291456", "4096\t87380\t6291456"));
        assert!(!same("1 2", "12"));
    }
}
