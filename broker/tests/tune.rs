//! `corelane tune` over a copy of a machine's files: what it prints, how it ends, and that nothing is left.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps nothing")]

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// A small machine: what is to be mended, what is in order, and where files of ours are kept.
const FILES: [(&str, &str); 13] = [
    (
        "proc/self/status",
        "Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nCapEff:\tffffffffffffffff\nSeccomp:\t0\n",
    ),
    ("proc/self/mountinfo", "22 1 8:0 / / rw,noatime,lazytime - ext4 /dev/sda rw\n"),
    ("proc/sys/kernel/osrelease", "6.12.1\n"),
    ("proc/sys/net/core/somaxconn", "128\n"),
    ("proc/sys/net/ipv4/tcp_slow_start_after_idle", "1\n"),
    ("proc/sys/net/ipv4/tcp_wmem", "4096\t16384\t4194304\n"),
    ("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n"),
    ("sys/dev/block/8:0/queue/nomerges", "0\n"),
    ("sys/dev/block/8:0/queue/scheduler", "none [mq-deadline] \n"),
    ("sys/dev/block/8:0/queue/write_cache", "write back\n"),
    ("sys/dev/block/8:0/queue/physical_block_size", "512\n"),
    ("sys/dev/block/8:0/queue/logical_block_size", "512\n"),
    ("etc/sysctl.d/README", "ours is beside it\n"),
];

/// The copy, and the journal beside it.
struct Machine {
    folder: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        let machine = Self { folder: tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap() };
        for (path, content) in FILES {
            machine.write(path, content);
        }
        fs::create_dir_all(machine.root().join("sys/block")).unwrap();
        // The disk's folder is its number here, and `8:0` is its name.
        std::os::unix::fs::symlink("../dev/block/8:0", machine.root().join("sys/block/8:0"))
            .unwrap();
        for folder in ["udev/rules.d", "tmpfiles.d"] {
            fs::create_dir_all(machine.root().join("etc").join(folder)).unwrap();
        }
        machine
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root().join(path)).unwrap()
    }

    fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_corelane"));
        command.arg("tune").args(words.split(' ')).arg("--root").arg(self.root());
        let verb = words.split(' ').next().unwrap();
        if ["plan", "apply", "rollback", "status"].contains(&verb) {
            command.arg("--state-dir").arg(self.state());
        }
        if !["rollback", "status", "shards", "unit"].contains(&verb) {
            command.args(["--data-dir", "/data"]);
        }
        command.env_remove("CORELANE_DATA_DIR").env_remove("CORELANE_CONFIG");
        command
    }

    /// The exit code and all that was said.
    fn tune(&self, words: &str) -> (i32, String) {
        said(&self.command(words).output().unwrap())
    }

    fn json(&self, words: &str) -> Value {
        let output = self.command(words).args(["--format", "json"]).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn snapshot(&self) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.root()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
                let is_folder = entry.file_type().unwrap().is_dir();
                folders.extend(is_folder.then(|| entry.path()));
                found.insert(entry.path(), fs::read(entry.path()).ok());
            }
        }
        found
    }
}

fn said(output: &Output) -> (i32, String) {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

#[test]
fn a_check_and_a_plan_say_what_is_wrong_and_write_nothing() {
    let machine = Machine::new();
    let before = machine.snapshot();
    let (code, text) = machine.tune("check");
    assert_eq!(code, 0, "{text}");
    let row = |id: &str| text.lines().find(|line| line.contains(id)).unwrap_or_default().to_owned();
    let cells = |id: &str| row(id).split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(cells("disk.nomerges:8:0"), ["!", "disk.nomerges:8:0", "0", "2", "apply"]);
    assert!(row("network.somaxconn").ends_with("apply"), "{text}");
    assert!(!text.contains("memory.huge_pages") && !text.contains('\x1b'), "{text}");
    assert!(text.contains("4 findings can be applied"), "{text}");
    let (_, all) = machine.tune("check --all");
    assert!(all.contains("✔ memory.huge_pages") && all.contains("i disk.write_cache:8:0"), "{all}");
    let (code, text) = machine.tune("plan --persist");
    assert_eq!(code, 0);
    assert!(text.contains("  - 128\n  + 4096\n"), "{text}");
    assert!(text.contains("/etc/sysctl.d/61-corelane-tune.conf: new"), "{text}");
    assert!(text.contains("nothing is written yet"), "{text}");
    assert_eq!(machine.snapshot(), before);
    assert!(!machine.state().exists());
}

#[test]
fn what_is_applied_holds_drifts_and_is_rolled_back() {
    let machine = Machine::new();
    let before = machine.snapshot();
    let (code, text) = machine.tune("apply --persist");
    assert_eq!(code, 0, "{text}");
    assert_eq!(machine.read("proc/sys/net/core/somaxconn"), "4096\n");
    assert_eq!(machine.read("sys/dev/block/8:0/queue/scheduler"), "[none] mq-deadline \n");
    assert_eq!(machine.read("sys/dev/block/8:0/queue/write_cache"), "write back\n");
    let (code, text) = machine.tune("status --strict");
    assert_eq!(code, 0, "{text}");
    let (_, text) = machine.tune("apply");
    assert!(text.contains("nothing was written"), "{text}");
    machine.write("proc/sys/net/core/somaxconn", "99\n");
    let (code, text) = machine.tune("status --strict");
    assert_eq!(code, 1);
    assert!(text.contains("changed since: 99"), "{text}");
    let (code, text) = machine.tune("rollback");
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("was changed since (to 99): left alone"), "{text}");
    let (code, text) = machine.tune("rollback --force");
    assert_eq!(code, 0, "{text}");
    assert_eq!(machine.snapshot(), before);
    assert!(!machine.state().exists(), "the journal's folder was not there, either");
    let (code, text) = machine.tune("rollback");
    assert_eq!((code, text.trim()), (0, "nothing is applied, so nothing was put back"));
    assert!(!machine.state().exists());
    let (code, text) = machine.tune("apply network.somaxconn --profile dev");
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("profile dev changes nothing"), "{text}");
    assert_eq!(machine.snapshot(), before);
}

/// Wherever the kill comes: each change is in the journal before it is made.
#[test]
fn an_apply_that_is_killed_is_rolled_back() {
    const CPUS: usize = 150;
    let machine = Machine::new();
    machine.write("sys/devices/system/cpu/online", &format!("0-{}\n", CPUS - 1));
    for cpu in 0..CPUS {
        let folder = format!("sys/devices/system/cpu/cpu{cpu}/cpuidle/state3");
        machine.write(&format!("{folder}/latency"), "133\n");
        machine.write(&format!("{folder}/disable"), "0\n");
    }
    let before = machine.snapshot();
    for lines in [1, 20, 120] {
        let mut command = machine.command("apply --profile bench --persist");
        let mut apply = command.stdout(Stdio::null()).spawn().unwrap();
        let journaled = || {
            let text = fs::read_to_string(machine.state().join("journal.jsonl"));
            text.map_or(0, |text| text.lines().count())
        };
        while journaled() < lines && apply.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        apply.kill().unwrap();
        apply.wait().unwrap();
        // The first line may announce what was not done any more.
        assert!(lines == 1 || machine.snapshot() != before, "something was changed");
        let (code, text) = machine.tune("rollback");
        assert_eq!(code, 0, "{text}");
        assert_eq!(machine.snapshot(), before, "killed after {lines} lines");
    }
}

#[test]
fn exit_codes_tell_warnings_from_what_keeps_a_node_from_starting() {
    let machine = Machine::new();
    assert_eq!(machine.tune("check --strict").0, 1);
    assert_eq!(machine.tune("check --strict --profile dev").0, 0);
    machine.write("proc/sys/kernel/osrelease", "5.10.0\n");
    let (code, text) = machine.tune("check");
    assert_eq!(code, 2);
    assert!(text.contains("✖ kernel.version"), "{text}");
    // What is left needs another kernel.
    assert_eq!(machine.tune("apply").0, 4);
    for words in ["check --frobnicate", "plan no.such.check", "explain no.such.check"] {
        let (code, text) = machine.tune(words);
        assert_eq!(code, 3, "{text}");
    }
    fs::write(machine.state().join("journal.jsonl"), "?\n").unwrap();
    let (code, text) = machine.tune("rollback");
    assert_eq!(code, 3);
    assert!(text.contains("line 1 of ") && text.contains("is damaged"), "{text}");
}

#[test]
fn programs_read_the_same() {
    let machine = Machine::new();
    let report = machine.json("check");
    assert_eq!(report["profile"], "prod");
    let findings = report["findings"].as_array().unwrap();
    let nomerges = findings.iter().find(|finding| finding["id"] == "disk.nomerges:8:0").unwrap();
    assert_eq!(nomerges["status"], "failed");
    assert_eq!(nomerges["actions"][0]["path"], "/sys/block/8:0/queue/nomerges");
    assert_eq!(report["summary"]["fatal"], 0);
    let plan = machine.json("plan network.send_buffer --persist");
    assert_eq!(plan["checks"][0]["writes"][0]["to"], "4096\t16384\t16777216");
    assert_eq!(plan["files"][0]["path"], "/etc/sysctl.d/61-corelane-tune.conf");
    assert_eq!(machine.json("apply disk.nomerges")["checks"][0]["state"], "applied");
    assert_eq!(machine.json("status")[0]["state"], "in-force");
    assert_eq!(machine.json("rollback")["changes"][0]["state"], "restored");
    assert_eq!(machine.json("explain disk.nomerges")[0]["here"][0]["current"], "0");
    let shards = machine.json("shards");
    assert_eq!(shards["plan"]["data_shards"].as_array().unwrap().len(), 1);
}

#[test]
fn a_unit_names_the_program_and_its_directories_as_they_are_from_everywhere() {
    let machine = Machine::new();
    let (code, text) =
        machine.tune("unit --data-dir some/data --program bin/corelane --memory 1GiB");
    assert_eq!(code, 0, "{text}");
    let here = std::env::current_dir().unwrap();
    let expected = format!(
        "\nExecStart={0}/bin/corelane serve --data-dir {0}/some/data --memory 1073741824\n",
        here.display()
    );
    assert!(text.contains(&expected) && text.contains("\nType=notify\n"), "{text}");
    assert_eq!(machine.tune("unit --user Ann@home").0, 3);
    let json = machine.json("unit");
    assert_eq!(json["path"], "/etc/systemd/system/corelane.service");
}

#[test]
fn a_configuration_without_a_measured_disk_is_told_so() {
    let machine = Machine::new();
    let config = machine.folder.path().join("corelane.toml");
    fs::write(&config, "shards = 2\n").unwrap();
    let mut command = machine.command("check --all");
    let (code, text) = said(&command.arg("--config").arg(&config).output().unwrap());
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("never calibrated"), "{text}");
    let (_, text) = machine.tune("check --all");
    assert!(text.contains("? service.calibration"), "{text}");
}

#[test]
fn a_unit_leaves_to_the_configuration_what_that_says() {
    let machine = Machine::new();
    let file = machine.folder.path().join("corelane.toml");
    let config = file.display();
    let unit = |words: &str| machine.tune(&format!("unit --program /p --config {config}{words}"));
    fs::write(&file, "data-dir = [\"/mnt/a\", \"/mnt/b\"]\nmemory = \"1GiB\"\n").unwrap();
    let (code, text) = unit("");
    assert_eq!(code, 0, "{text}");
    assert!(text.contains(&format!("\nExecStart=/p serve --config {config}\n")), "{text}");
    assert!(text.contains("\nReadWritePaths=/mnt/a /mnt/b\n"), "{text}");
    assert!(text.contains("\nMemoryLow=1073741824\n"), "{text}");
    let (_, text) = unit(" --data-dir /mnt/c");
    let given = format!("\nExecStart=/p serve --data-dir /mnt/c --config {config}\n");
    assert!(text.contains(&given), "{text}");
    fs::write(&file, "shards = 1\n").unwrap();
    let (_, text) = unit("");
    assert!(text.contains("serve --data-dir /var/lib/corelane/data --config "), "{text}");
    for (content, said) in [("data-dir = \"data\"\n", "is relative"), ("shard = 1\n", "shard")] {
        fs::write(&file, content).unwrap();
        let (code, text) = unit("");
        assert!(code == 3 && text.contains(said), "{text}");
    }
}

#[test]
fn explaining_teaches() {
    let machine = Machine::new();
    let (code, text) = machine.tune("explain disk.write_cache");
    assert_eq!(code, 0);
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in ["it stops the kernel from flushing it", "bench: worth knowing", "8:0 write back"] {
        assert!(words.contains(part), "{part} in {text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    let (_, text) = machine.tune("explain scheduler");
    assert!(text.contains("there is disk.scheduler"), "{text}");
}

/// As an ordinary user, whom files of others refuse. Root has to become one first.
fn as_ordinary_user(command: &mut Command) -> &mut Command {
    const NOBODY: u32 = 65_534;
    match rustix::process::geteuid().is_root() {
        true => command.uid(NOBODY).gid(NOBODY),
        false => command,
    }
}

/// Gives the copy and the journal to everyone, but not the write to `refused`.
fn open_up(folder: &Path, refused: &str) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            open_up(&entry.path(), refused);
        } else if kind.is_file() {
            let mode = if entry.path().ends_with(refused) { 0o444 } else { 0o666 };
            fs::set_permissions(entry.path(), Permissions::from_mode(mode)).unwrap();
        }
    }
    fs::set_permissions(folder, Permissions::from_mode(0o777)).unwrap();
}

/// Whether an ordinary user reaches the tree of the test at all: not where a folder above is root's alone.
fn is_reachable(machine: &Machine) -> bool {
    let mut command = Command::new("cat");
    let status =
        as_ordinary_user(command.arg(machine.root().join("proc/sys/kernel/osrelease"))).output();
    let mut program = Command::new(env!("CARGO_BIN_EXE_corelane"));
    let runs = as_ordinary_user(program.arg("--version")).output();
    [status, runs].into_iter().all(|output| output.is_ok_and(|output| output.status.success()))
}

#[test]
fn a_refused_write_is_named_and_the_others_stand_and_go_back() {
    let machine = Machine::new();
    fs::create_dir(machine.state()).unwrap();
    open_up(machine.folder.path(), "net/core/somaxconn");
    if !is_reachable(&machine) {
        eprintln!("not tried: no ordinary user reaches {}", machine.root().display());
        return;
    }
    let before = machine.snapshot();
    let (code, text) = said(&as_ordinary_user(&mut machine.command("apply")).output().unwrap());
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("✖ network.somaxconn: ") && text.contains("Permission denied"), "{text}");
    assert_eq!(machine.read("proc/sys/net/core/somaxconn"), "128\n");
    assert_eq!(machine.read("sys/dev/block/8:0/queue/nomerges"), "2\n");
    let (code, text) = said(&as_ordinary_user(&mut machine.command("rollback")).output().unwrap());
    assert_eq!(code, 0, "{text}");
    assert_eq!(machine.snapshot(), before);
}

#[test]
fn a_journal_that_cannot_be_written_lets_nothing_be_written() {
    let machine = Machine::new();
    fs::create_dir(machine.state()).unwrap();
    open_up(machine.folder.path(), "nothing");
    fs::set_permissions(machine.state(), Permissions::from_mode(0o555)).unwrap();
    if !is_reachable(&machine) {
        eprintln!("not tried: no ordinary user reaches {}", machine.root().display());
        return;
    }
    let before = machine.snapshot();
    let (code, text) = said(&as_ordinary_user(&mut machine.command("apply")).output().unwrap());
    assert_eq!(code, 3);
    assert!(text.contains("journal.jsonl") && text.contains("Permission denied"), "{text}");
    assert_eq!(machine.snapshot(), before);
}

#[test]
fn the_running_machine_is_looked_at_without_privileges() {
    let machine = Machine::new();
    open_up(machine.folder.path(), "nothing");
    if !is_reachable(&machine) {
        eprintln!("not tried: no ordinary user reaches the program");
        return;
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_corelane"));
    command.args(["tune", "check", "--format", "json", "--data-dir"]).arg(machine.root());
    let output = as_ordinary_user(&mut command).output().unwrap();
    // Whatever machine this is: nothing of it is an error.
    assert!(matches!(output.status.code(), Some(0 | 2)), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let finding = |entry: &str| {
        let findings = report["findings"].as_array().unwrap();
        findings.iter().find(|finding| finding["entry"] == entry).unwrap().clone()
    };
    assert_eq!(finding("kernel.version")["status"], "passed");
    assert_ne!(finding("cpu.clock_cost")["status"], "unknown");
    assert_ne!(finding("directory.space")["status"], "unknown");
}

#[test]
fn the_running_machine_is_changed_by_root_alone() {
    let machine = Machine::new();
    open_up(machine.folder.path(), "nothing");
    if !is_reachable(&machine) {
        eprintln!("not tried: no ordinary user reaches the program");
        return;
    }
    for verb in ["apply", "rollback"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_corelane"));
        command.args(["tune", verb, "--state-dir"]).arg(machine.state());
        let (code, text) = said(&as_ordinary_user(&mut command).output().unwrap());
        assert_eq!(code, 3);
        assert!(text.contains(&format!("sudo corelane tune {verb}")), "{text}");
    }
}
