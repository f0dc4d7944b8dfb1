//! A systemd unit that fits the machine: limits, cores, memory, a watchdog, and no more rights than a node
//! needs.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::byte_count::ByteCount;
use crate::cpu_set::CpuSet;
use crate::host::HostFacts;
use crate::host_root::HostRoot;
use crate::limits::{
    NOFILE_OF_UNIT, START_MINUTES_MAX, TASKS_BESIDE_SHARDS, TASKS_OF_A_SHARD, WATCHDOG_SECONDS,
};
use crate::shard_plan::ShardPlan;

/// What a unit is to start, and for whom.
#[derive(Clone, Debug)]
pub struct UnitWishes {
    pub program: PathBuf,
    pub user: String,
    /// Absolute: what the node may write into.
    pub data_dirs: Vec<PathBuf>,
    pub data_dirs_said: DataDirsSaid,
    /// A configuration file, absolute.
    pub config: Option<PathBuf>,
    /// Given to `serve` where somebody chose them.
    pub shards: Option<u32>,
    pub memory: Option<ByteCount>,
    /// The longest that a node may take to end in good order.
    pub stop_seconds_max: u64,
}

/// Who tells the node of its data directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataDirsSaid {
    ByFlags,
    /// The configuration file: a flag would come before it.
    InTheFile,
}

/// Where it belongs.
pub const UNIT_PATH: &str = "/etc/systemd/system/corelane.service";

/// The text of the unit.
pub fn systemd_unit(
    host: &HostRoot,
    facts: &HostFacts,
    plan: &ShardPlan,
    wishes: &UnitWishes,
) -> String {
    let mut unit = String::new();
    head(&mut unit, plan, wishes);
    start_and_end(&mut unit, wishes);
    share_of_the_machine(&mut unit, host, facts, plan);
    rights(&mut unit, wishes);
    unit.push_str("\n[Install]\nWantedBy=multi-user.target\n");
    unit
}

fn head(unit: &mut String, plan: &ShardPlan, wishes: &UnitWishes) {
    let user = &wishes.user;
    let count = plan.data_shards.len();
    add(unit, format_args!("# {UNIT_PATH}"));
    add(
        unit,
        format_args!(
            "# Written by `corelane tune unit` for this machine: {count} data shards, {} of memory.",
            plan.memory
        ),
    );
    add(unit, format_args!("#"));
    add(unit, format_args!("# Before the first start:"));
    add(unit, format_args!("#   sudo useradd --system --shell /usr/sbin/nologin {user}"));
    for directory in &wishes.data_dirs {
        let directory = directory.display();
        add(unit, format_args!("#   sudo install -d -o {user} -g {user} -m 0750 '{directory}'"));
    }
    add(
        unit,
        format_args!("#   sudo systemctl daemon-reload && sudo systemctl enable --now corelane"),
    );
    add(unit, format_args!("\n[Unit]"));
    add(
        unit,
        format_args!(
            "Description=Corelane, an event-streaming broker that speaks Kafka's protocol"
        ),
    );
    add(unit, format_args!("Wants=network-online.target"));
    add(unit, format_args!("After=network-online.target time-sync.target"));
    add(unit, format_args!("RequiresMountsFor={}", words(&wishes.data_dirs)));
}

fn start_and_end(unit: &mut String, wishes: &UnitWishes) {
    let user = &wishes.user;
    add(unit, format_args!("\n[Service]"));
    add(
        unit,
        format_args!("# The node says when clients can connect, and that its shards answer."),
    );
    add(unit, format_args!("Type=notify"));
    add(unit, format_args!("NotifyAccess=main"));
    add(unit, format_args!("WatchdogSec={WATCHDOG_SECONDS}"));
    add(unit, format_args!("ExecStart={}", command(wishes)));
    add(unit, format_args!("User={user}"));
    add(unit, format_args!("Group={user}"));
    add(unit, format_args!("UMask=0027"));
    add(unit, format_args!("Restart=on-failure"));
    add(unit, format_args!("RestartSec=1"));
    add(
        unit,
        format_args!(
            "# A start after a crash reads its journals first; an orderly end makes everything durable."
        ),
    );
    add(unit, format_args!("TimeoutStartSec={START_MINUTES_MAX}min"));
    add(unit, format_args!("TimeoutStopSec={}", wishes.stop_seconds_max));
}

fn share_of_the_machine(unit: &mut String, host: &HostRoot, facts: &HostFacts, plan: &ShardPlan) {
    add(
        unit,
        format_args!(
            "\n# A connection is an open file, and so is a segment in use; rings and --pin-memory lock memory."
        ),
    );
    add(unit, format_args!("LimitNOFILE={NOFILE_OF_UNIT}"));
    add(unit, format_args!("LimitMEMLOCK=infinity"));
    add(unit, format_args!("# A core dump is as large as the node's memory."));
    add(unit, format_args!("#LimitCORE=infinity"));
    let shards = plan.data_shards.len() as u64;
    let tasks = TASKS_BESIDE_SHARDS + shards * TASKS_OF_A_SHARD;
    add(unit, format_args!("TasksMax={tasks}"));
    let cpus = plan.data_shards.iter().map(|shard| shard.cpu).chain([plan.control_cpu]);
    let cpus = CpuSet::from_iter(cpus);
    if cpus != facts.cpus.online {
        // Cpusets of units are those of cgroup v2.
        let is_v2 = host.exists("/sys/fs/cgroup/cgroup.controllers");
        let setting = if is_v2 { "AllowedCPUs" } else { "CPUAffinity" };
        add(unit, format_args!("{setting}={cpus}"));
    }
    add(unit, format_args!("# Memory that is the node's own is the last to be taken from it."));
    add(unit, format_args!("MemoryLow={}", plan.memory.get()));
    add(unit, format_args!("OOMScoreAdjust=-900"));
    add(unit, format_args!("CPUWeight=1000"));
    add(unit, format_args!("IOWeight=1000"));
}

fn rights(unit: &mut String, wishes: &UnitWishes) {
    add(unit, format_args!("\n# The node writes into its data directories and nowhere else."));
    add(unit, format_args!("ReadWritePaths={}", words(&wishes.data_dirs)));
    let in_home =
        |path: &PathBuf| ["/home", "/root", "/run/user"].iter().any(|h| path.starts_with(h));
    let needs_home =
        wishes.data_dirs.iter().chain(&wishes.config).chain([&wishes.program]).any(in_home);
    add(unit, format_args!("ProtectHome={}", if needs_home { "no" } else { "yes" }));
    for line in [
        "ProtectSystem=strict",
        "PrivateTmp=yes",
        "PrivateDevices=yes",
        "ProtectKernelTunables=yes",
        "ProtectKernelModules=yes",
        "ProtectKernelLogs=yes",
        "ProtectControlGroups=yes",
        "ProtectClock=yes",
        "ProtectHostname=yes",
        "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
        "RestrictNamespaces=yes",
        "RestrictRealtime=yes",
        "RestrictSUIDSGID=yes",
        "LockPersonality=yes",
        "MemoryDenyWriteExecute=yes",
        "NoNewPrivileges=yes",
        "CapabilityBoundingSet=",
        "SystemCallArchitectures=native",
    ] {
        add(unit, format_args!("{line}"));
    }
}

fn add(unit: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(unit, "{line}").expect("a text takes every line");
}

fn command(wishes: &UnitWishes) -> String {
    let mut command = format!("{} serve", argument(&wishes.program));
    if wishes.data_dirs_said == DataDirsSaid::ByFlags {
        for directory in &wishes.data_dirs {
            command.push_str(&format!(" --data-dir {}", argument(directory)));
        }
    }
    if let Some(config) = &wishes.config {
        command.push_str(&format!(" --config {}", argument(config)));
    }
    if let Some(shards) = wishes.shards {
        command.push_str(&format!(" --shards {shards}"));
    }
    if let Some(memory) = wishes.memory {
        command.push_str(&format!(" --memory {}", memory.get()));
    }
    command
}

fn words(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| word(path)).collect::<Vec<_>>().join(" ")
}

/// As systemd reads one word: quoted where it must be, and without meaning for `%`.
fn word(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:,=@".contains(c) || !c.is_ascii();
    if text.chars().all(is_plain) {
        return text;
    }
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            '%' => quoted.push_str("%%"),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// The same in a command, where `$` has a meaning too.
fn argument(path: &Path) -> String {
    word(path).replace('$', "$$")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{DataDirsSaid, UnitWishes, systemd_unit};
    use crate::byte_count::ByteCount;
    use crate::host::HostFacts;
    use crate::recorded_tree::{NUMA_SERVER, RecordedTree, VIRTUAL_MACHINE};
    use crate::shard_plan::plan_shards;

    fn wishes() -> UnitWishes {
        UnitWishes {
            program: "/usr/local/bin/corelane".into(),
            user: "corelane".to_owned(),
            data_dirs: vec!["/mnt/a".into(), "/mnt/100% mine".into()],
            data_dirs_said: DataDirsSaid::ByFlags,
            config: None,
            shards: None,
            memory: None,
            stop_seconds_max: 365,
        }
    }

    fn unit(tree: &RecordedTree, wishes: &UnitWishes) -> String {
        let facts = HostFacts::read_for_unit(&tree.root());
        let plan = plan_shards(&facts, wishes.shards, wishes.memory).expect("a plan");
        systemd_unit(&tree.root(), &facts, &plan, wishes)
    }

    fn value<'unit>(unit: &'unit str, key: &str) -> Option<&'unit str> {
        let mut values = unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        let value = values.next();
        assert_eq!(values.next(), None, "{key} twice");
        value
    }

    #[test]
    fn a_unit_has_limits_a_watchdog_and_its_directories() {
        let unit = unit(&RecordedTree::unpack(VIRTUAL_MACHINE), &wishes());
        for (key, expected) in [
            ("Type", "notify"),
            ("WatchdogSec", "60"),
            ("LimitNOFILE", "1048576"),
            ("LimitMEMLOCK", "infinity"),
            ("TimeoutStopSec", "365"),
            ("OOMScoreAdjust", "-900"),
            ("ReadWritePaths", "/mnt/a \"/mnt/100%% mine\""),
            (
                "ExecStart",
                "/usr/local/bin/corelane serve --data-dir /mnt/a --data-dir \"/mnt/100%% mine\"",
            ),
        ] {
            assert_eq!(value(&unit, key), Some(expected), "{unit}");
        }
        // All cores are used, so none is named.
        assert_eq!((value(&unit, "AllowedCPUs"), value(&unit, "CPUAffinity")), (None, None));
        let sections = unit.lines().filter(|line| line.starts_with('['));
        assert_eq!(sections.collect::<Vec<_>>(), ["[Unit]", "[Service]", "[Install]"]);
    }

    #[test]
    fn fewer_shards_have_their_cores_by_the_cgroup_that_there_is() {
        let few = UnitWishes { shards: Some(4), memory: Some(ByteCount::gib(8)), ..wishes() };
        let v1 = unit(&RecordedTree::unpack(NUMA_SERVER), &few);
        assert_eq!(value(&v1, "CPUAffinity"), Some("0-4"));
        let tree = RecordedTree::unpack(NUMA_SERVER)
            .with("/sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory");
        let v2 = unit(&tree, &few);
        assert_eq!(value(&v2, "AllowedCPUs"), Some("0-4"));
        assert_eq!(value(&v2, "MemoryLow"), Some("8589934592"));
        let command = value(&v2, "ExecStart").expect("a command");
        assert!(command.ends_with(" --shards 4 --memory 8589934592"), "{command}");
    }

    /// A flag comes before the file: the node started on another directory than the file says.
    #[test]
    fn directories_of_the_file_are_left_to_the_file() {
        let of_file = UnitWishes {
            data_dirs_said: DataDirsSaid::InTheFile,
            config: Some("/etc/corelane.toml".into()),
            ..wishes()
        };
        let unit = unit(&RecordedTree::unpack(VIRTUAL_MACHINE), &of_file);
        let command = "/usr/local/bin/corelane serve --config /etc/corelane.toml";
        assert_eq!(value(&unit, "ExecStart"), Some(command));
        assert_eq!(value(&unit, "ReadWritePaths"), Some("/mnt/a \"/mnt/100%% mine\""));
    }

    /// The shell that asks may have less: 8 MiB to lock, a few cores, a part of the memory.
    #[test]
    fn a_unit_has_the_machine_and_not_what_a_shell_has_of_it() {
        let shell = "Cpus_allowed_list:\t0-1\nUid:\t1000\t1000\t1000\t1000\n";
        let tree = RecordedTree::unpack(NUMA_SERVER)
            .with("/proc/self/status", shell)
            .with("/sys/fs/cgroup/user.slice/memory.max", "4294967296")
            .with("/sys/fs/cgroup/user.slice/cpu.max", "150000 100000")
            .with("/proc/self/limits", "Max locked memory  65536  65536  bytes\n");
        let facts = HostFacts::read(&tree.root());
        assert_eq!((facts.cpus.allowed.len(), facts.cpus.usable_count()), (2, 2));
        let whole = unit(&tree, &wishes());
        assert!(whole.contains(" 63 data shards, "), "{whole}");
        assert_eq!((value(&whole, "AllowedCPUs"), value(&whole, "CPUAffinity")), (None, None));
        // What the first process may not use, its units may not, either.
        let isolated = tree.with("/proc/1/status", "Cpus_allowed_list:\t0-7\n");
        let few = unit(&isolated, &wishes());
        assert!(few.contains("CPUAffinity=0-7\n"), "{few}");
    }

    #[test]
    fn a_dollar_means_something_in_commands_only() {
        let odd = UnitWishes { data_dirs: vec![PathBuf::from("/a$b \"c\"")], ..wishes() };
        let unit = unit(&RecordedTree::unpack(VIRTUAL_MACHINE), &odd);
        assert_eq!(value(&unit, "ReadWritePaths"), Some(r#""/a$b \"c\"""#));
        assert!(value(&unit, "ExecStart").is_some_and(|c| c.ends_with(r#" "/a$$b \"c\"""#)));
    }

    #[test]
    fn a_directory_below_home_can_be_seen() {
        let tree = RecordedTree::unpack(VIRTUAL_MACHINE);
        assert_eq!(value(&unit(&tree, &wishes()), "ProtectHome"), Some("yes"));
        let home = UnitWishes { data_dirs: vec![PathBuf::from("/home/a/data")], ..wishes() };
        assert_eq!(value(&unit(&tree, &home), "ProtectHome"), Some("no"));
    }
}
