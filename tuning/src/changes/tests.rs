//! Recorded machines, changed and changed back.

mod journal_room;
mod live;
mod persisting;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use tempfile::TempDir;

use crate::catalogue::{Examined, examine};
use crate::changes::{
    AppliedState, ChangeState, Choice, Drifted, JournalError, OwnedFile, Plan, PlanError,
    RolledBackState, apply, rollback, status,
};
use crate::directory::DirectoryFacts;
use crate::finding::Finding;
use crate::host::{HostFacts, RingProbe};
use crate::host_root::HostRoot;
use crate::profile::Profile;
use crate::recorded_tree::{DOCKER, RecordedTree, TUNABLE_NUMA_SERVER, TUNABLE_VIRTUAL_MACHINE};

const SOMAXCONN: &str = "/proc/sys/net/core/somaxconn";
const SWAPPINESS: &str = "/proc/sys/vm/swappiness";
const SCHEDULER: &str = "/sys/block/nvme0n1/queue/scheduler";

const ETC_FOLDERS: &str = "= /etc/sysctl.d/x\n= /etc/udev/rules.d/x\n= /etc/tmpfiles.d/x\n@ /sys/block/nvme0n1 -> \
     ../devices/pci0000:00/nvme/nvme0/nvme0n1\n";

/// A machine, and a state directory apart from it.
struct Bench {
    tree: RecordedTree,
    directory: &'static str,
    state: TempDir,
    before: BTreeMap<PathBuf, Vec<u8>>,
}

impl Bench {
    fn new(text: &str, directory: &'static str) -> Self {
        let tree = RecordedTree::unpack(text);
        let before = tree.snapshot();
        Self { tree, directory, state: state_folder(), before }
    }

    fn server() -> Self {
        Self::new(TUNABLE_NUMA_SERVER, "/data")
    }

    fn host(&self) -> HostRoot {
        self.tree.root()
    }

    fn state(&self) -> &Path {
        self.state.path()
    }

    fn journal(&self) -> PathBuf {
        self.state().join("journal.jsonl")
    }

    fn findings(&self, profile: Profile) -> Vec<Finding> {
        let host = self.host();
        let directories = vec![DirectoryFacts::recorded(&host, Path::new(self.directory))];
        let facts = HostFacts::read(&host);
        let (config, calibration) = (None, None);
        let ring = RingProbe::Works;
        let cards = BTreeMap::new();
        let examined = Examined { facts, ring, cards, directories, config, calibration };
        examine(&host, &examined, profile)
    }

    fn plan(&self, profile: Profile, choice: &Choice) -> Plan {
        Plan::new(&self.findings(profile), profile, choice).expect("a plan")
    }

    fn set(&self, path: &str, text: &str) {
        fs::write(self.tree.place(path), text).expect("a file");
    }

    fn is_as_before(&self) -> bool {
        self.tree.snapshot() == self.before
    }
}

/// In memory where there is such a place: these tests sync some thousand lines, and a busy disk takes its time.
fn state_folder() -> TempDir {
    let in_memory = tempfile::tempdir_in("/dev/shm");
    in_memory.or_else(|_| tempfile::tempdir()).expect("a folder")
}

/// Everything that can be written, on disk too.
fn everything() -> Choice {
    let names = ["kernel", "cpu", "memory", "disk", "network"].map(str::to_owned).into();
    Choice { names, allow_risky: true, persist: true }
}

fn named(name: &str) -> Choice {
    Choice { names: vec![name.to_owned()], ..Choice::default() }
}

#[test]
fn every_apply_that_is_rolled_back_leaves_the_machine_as_it_was() {
    let container = format!("{DOCKER}\n{ETC_FOLDERS}");
    for (text, directory) in [
        (TUNABLE_NUMA_SERVER, "/data"),
        (TUNABLE_VIRTUAL_MACHINE, "/"),
        (container.as_str(), "/data"),
    ] {
        for (profile, choice) in [
            (Profile::Dev, Choice::default()),
            (Profile::Prod, Choice { persist: true, ..Choice::default() }),
            (Profile::Bench, everything()),
            (Profile::Container, everything()),
        ] {
            let bench = Bench::new(text, directory);
            let plan = bench.plan(profile, &choice);
            assert!(bench.is_as_before(), "a plan changes nothing");
            let applied = apply(&bench.host(), bench.state(), &plan).expect("a journal");
            assert!(!applied.has_failed(), "{applied:?}");
            let is_changed = !bench.is_as_before();
            assert_eq!(is_changed, !plan.checks.is_empty());
            let all = rollback(&bench.host(), bench.state(), None, Drifted::Report);
            assert!(!all.expect("a journal").is_incomplete());
            assert!(bench.is_as_before(), "{text:.40} {profile} {choice:?}");
            assert!(!bench.journal().exists(), "nothing is left of the journal");
        }
    }
}

#[test]
fn what_was_planned_is_in_force_and_a_second_apply_writes_nothing() {
    let bench = Bench::server();
    let plan = bench.plan(Profile::Bench, &everything());
    let applied = apply(&bench.host(), bench.state(), &plan).expect("a journal");
    assert!(applied.checks.iter().all(|c| matches!(c.state, AppliedState::Applied { .. })));
    for check in &plan.checks {
        let findings = bench.findings(Profile::Bench);
        let finding = findings.iter().find(|finding| finding.id == check.id).expect("found again");
        assert_eq!(finding.status, crate::check::Status::Passed, "{}", check.id);
    }
    let statuses = status(&bench.host(), bench.state()).expect("a journal");
    assert!(statuses.len() > plan.checks.len());
    assert!(statuses.iter().all(|one| one.state == ChangeState::InForce));
    let length = fs::metadata(bench.journal()).expect("a journal").len();
    let again = apply(&bench.host(), bench.state(), &plan).expect("a journal");
    assert!(again.checks.iter().all(|check| check.state == AppliedState::Already));
    assert_eq!(fs::metadata(bench.journal()).expect("a journal").len(), length);
}

#[test]
fn settings_are_kept_in_files_of_ours_alone() {
    let bench = Bench::server();
    let plan = bench.plan(Profile::Prod, &everything());
    let shown = plan.files(&bench.host(), bench.state()).expect("a journal");
    apply(&bench.host(), bench.state(), &plan).expect("a journal");
    for file in shown {
        assert_eq!(bench.tree.text(file.path), file.to, "what was shown is what is written");
    }
    let sysctls = bench.tree.text(OwnedFile::Sysctl.path());
    assert!(sysctls.starts_with("# Written by `corelane tune apply --persist`"));
    assert!(sysctls.contains("net.core.somaxconn = 4096\n"));
    let rules = bench.tree.text(OwnedFile::Udev.path());
    // By identity where the disk has one.
    assert!(rules.contains("ATTR{wwid}==\"eui.0025384331408197\", ATTR{queue/nomerges}=\"2\"\n"));
    assert!(rules.contains("KERNEL==\"nvme1n1\", ATTR{queue/nomerges}=\"2\"\n"));
    let card = "SUBSYSTEM==\"net\", KERNEL==\"eth2\", ATTR{queues/rx-0/rps_flow_cnt}=\"32768\"\n";
    assert!(rules.contains(card), "{rules}");
    let tmpfiles = bench.tree.text(OwnedFile::Tmpfiles.path());
    assert!(tmpfiles.contains("w /sys/kernel/mm/transparent_hugepage/enabled - - - - madvise\n"));
    let all = rollback(&bench.host(), bench.state(), None, Drifted::Report);
    assert!(!all.expect("a journal").is_incomplete() && bench.is_as_before());
}

#[test]
fn files_of_ours_whose_journal_is_gone_go_with_the_next_rollback() {
    let bench = Bench::server();
    let choice = Choice { persist: true, ..named("network.somaxconn") };
    apply(&bench.host(), bench.state(), &bench.plan(Profile::Prod, &choice)).expect("a journal");
    fs::remove_file(bench.journal()).expect("a journal");
    let statuses = status(&bench.host(), bench.state()).expect("none");
    let states: Vec<&ChangeState> = statuses.iter().map(|one| &one.state).collect();
    assert_eq!(states, [&ChangeState::Forgotten]);
    rollback(&bench.host(), bench.state(), None, Drifted::Report).expect("a journal");
    // What was there before the setting nobody knows any more.
    bench.set(SOMAXCONN, "128\n");
    assert!(bench.is_as_before() && !bench.journal().exists());
}

#[test]
fn a_file_of_ours_that_somebody_edits_is_theirs_to_keep() {
    let bench = Bench::server();
    let choice = Choice { persist: true, ..named("network.somaxconn") };
    apply(&bench.host(), bench.state(), &bench.plan(Profile::Prod, &choice)).expect("a journal");
    let path = OwnedFile::Sysctl.path();
    let edited = bench.tree.text(path) + "vm.swappiness = 5\n";
    bench.set(path, &edited);
    let back = |drifted| rollback(&bench.host(), bench.state(), None, drifted).expect("a journal");
    assert!(back(Drifted::Report).is_incomplete());
    assert_eq!(bench.tree.text(path), edited);
    assert!(!back(Drifted::Keep).is_incomplete());
    // The next rollback found our first line, and removed it with what they wrote below.
    assert!(back(Drifted::Report).changes.is_empty());
    let below = |text: &str| text.split_once('\n').map(|(_, rest)| rest.to_owned());
    assert_eq!(below(&bench.tree.text(path)), below(&edited));
    let again = apply(&bench.host(), bench.state(), &bench.plan(Profile::Prod, &choice));
    assert!(again.expect("a journal").has_failed(), "theirs is not replaced");
}

/// As amd-pstate does; a recorded tree does not, so the test does.
#[test]
fn an_energy_preference_that_went_with_the_governor_comes_back_with_it() {
    let bench = Bench::server();
    let plan = bench.plan(Profile::Prod, &named("cpu.governor"));
    apply(&bench.host(), bench.state(), &plan).expect("a journal");
    let policy = "/sys/devices/system/cpu/cpufreq/policy2";
    bench.set(&format!("{policy}/energy_performance_preference"), "performance\n");
    rollback(&bench.host(), bench.state(), None, Drifted::Report).expect("a journal");
    assert!(bench.is_as_before());
}

#[test]
fn somebody_elses_file_is_not_replaced() {
    let bench = Bench::server();
    bench.set(OwnedFile::Sysctl.path(), "vm.swappiness = 5\n");
    let choice = Choice { persist: true, ..named("network.somaxconn") };
    let applied = apply(&bench.host(), bench.state(), &bench.plan(Profile::Prod, &choice));
    let applied = applied.expect("a journal");
    assert!(applied.has_failed());
    assert_eq!(bench.tree.text(OwnedFile::Sysctl.path()), "vm.swappiness = 5\n");
    rollback(&bench.host(), bench.state(), None, Drifted::Report).expect("a journal");
    assert_eq!(bench.tree.text(SOMAXCONN), "128\n");
}

#[test]
fn a_machine_that_would_not_read_our_files_is_told_so() {
    let bench = Bench::new(DOCKER, "/data");
    let choice = Choice { persist: true, ..named("network.somaxconn") };
    let plan = bench.plan(Profile::Prod, &choice);
    let shown = plan.files(&bench.host(), bench.state()).expect("a journal");
    let applied = apply(&bench.host(), bench.state(), &plan);
    let checks = applied.expect("a journal").checks;
    let AppliedState::Failed { error, .. } = &checks[1].state else { panic!("{checks:?}") };
    assert_eq!(shown[0].refused.as_ref(), Some(error), "the plan said so");
    assert!(error.starts_with("there is no ") && error.ends_with("without --persist"), "{error}");
    rollback(&bench.host(), bench.state(), None, Drifted::Report).expect("a journal");
    assert!(bench.is_as_before());
}

/// As if the power went behind each line of the journal, or in the middle of the next: what the line says
/// was written, what it does not say was not. What the last line announces may be there or not.
#[test]
fn an_apply_that_was_cut_short_anywhere_is_rolled_back() {
    let names = ["cpu.governor", "memory.huge_pages", "disk.scheduler", "network.somaxconn"];
    let names = names.map(str::to_owned).into();
    let choice = Choice { names, persist: true, ..Choice::default() };
    let bench = Bench::server();
    let plan = bench.plan(Profile::Prod, &choice);
    apply(&bench.host(), bench.state(), &plan).expect("a journal");
    let journal = fs::read(bench.journal()).expect("a journal");
    rollback(&bench.host(), bench.state(), None, Drifted::Report).expect("a journal");
    let lines: Vec<&[u8]> = journal.split_inclusive(|&byte| byte == b'\n').collect();
    assert_eq!(lines.len(), 2 * (3 + 1 + 2 + 1 + 3), "{}", String::from_utf8_lossy(&journal));
    for cut in 0..lines.len() {
        for (is_written, torn) in [(false, 0), (true, 1), (false, 40), (true, usize::MAX)] {
            for (at, line) in lines[..=cut].iter().enumerate() {
                let value: serde_json::Value = serde_json::from_slice(line).expect("a line");
                if value["record"] == "intended" && (is_written || at < cut) {
                    make(&bench, &value["change"]);
                }
            }
            let rest = lines.get(cut + 1).copied().unwrap_or_default();
            let torn = &rest[..torn.min(rest.len().saturating_sub(1))];
            fs::write(bench.journal(), [&lines[..=cut].concat(), torn].concat()).expect("it");
            let statuses = status(&bench.host(), bench.state()).expect("a journal");
            let (last, before) = statuses.split_last().expect("something was noted");
            assert!(before.iter().all(|one| one.state == ChangeState::InForce));
            let is_noted = lines[cut].starts_with(b"{\"record\":\"intended\"");
            let is_cut = !is_written && is_noted;
            let expected = if is_cut { ChangeState::NotWritten } else { ChangeState::InForce };
            assert_eq!(last.state, expected);
            let all = rollback(&bench.host(), bench.state(), None, Drifted::Report);
            assert!(!all.expect("a journal").is_incomplete());
            assert!(bench.is_as_before(), "cut after line {cut}, written: {is_written}");
        }
    }
}

fn make(bench: &Bench, change: &serde_json::Value) {
    let change: crate::changes::Change = serde_json::from_value(change.clone()).expect("a change");
    change.make(&bench.host()).expect("it can be made");
}

#[test]
fn a_file_that_was_cut_short_leaves_nothing_beside_it() {
    let bench = Bench::server();
    let choice = Choice { persist: true, ..named("network.somaxconn") };
    apply(&bench.host(), bench.state(), &bench.plan(Profile::Prod, &choice)).expect("a journal");
    bench.set("/etc/sysctl.d/.61-corelane-tune.conf.new", "# Writ");
    rollback(&bench.host(), bench.state(), None, Drifted::Report).expect("a journal");
    assert!(bench.is_as_before());
}

#[test]
fn an_apply_goes_on_behind_a_torn_line() {
    let bench = Bench::server();
    let plan = bench.plan(Profile::Prod, &named("network.somaxconn"));
    apply(&bench.host(), bench.state(), &plan).expect("a journal");
    let mut journal = fs::read(bench.journal()).expect("a journal");
    journal.extend(b"{\"record\":\"intended\",\"numb");
    fs::write(bench.journal(), journal).expect("a journal");
    let plan = bench.plan(Profile::Prod, &named("memory.huge_pages"));
    apply(&bench.host(), bench.state(), &plan).expect("a journal");
    assert_eq!(status(&bench.host(), bench.state()).expect("a journal").len(), 2);
    rollback(&bench.host(), bench.state(), None, Drifted::Report).expect("a journal");
    assert!(bench.is_as_before());
}

#[test]
fn a_write_that_fails_takes_its_check_back_and_no_other() {
    let bench = Bench::server();
    let plan = bench.plan(Profile::Prod, &Choice::default());
    // The third policy is gone, as when a processor goes offline between plan and apply.
    let policy = "/sys/devices/system/cpu/cpufreq/policy3/scaling_governor";
    fs::remove_file(bench.tree.place(policy)).expect("a file");
    let applied = apply(&bench.host(), bench.state(), &plan).expect("a journal");
    let state = |id: &str| &applied.checks.iter().find(|check| check.id == id).expect("it").state;
    let AppliedState::Failed { error, undo_error } = state("cpu.governor") else {
        panic!("{applied:?}")
    };
    assert!(error.contains("policy3/scaling_governor cannot be read"), "{error}");
    assert_eq!(*undo_error, None);
    let first = "/sys/devices/system/cpu/cpufreq/policy1/scaling_governor";
    assert_eq!(bench.tree.text(first), "powersave\n");
    assert!(matches!(state("network.somaxconn"), AppliedState::Applied { .. }));
    rollback(&bench.host(), bench.state(), None, Drifted::Report).expect("a journal");
    bench.set(policy, "powersave\n");
    assert!(bench.is_as_before());
}

/// The journal kept it as not undone, and nobody heard of it.
#[test]
fn a_failed_write_that_cannot_be_taken_back_is_told() {
    let bench = Bench::server();
    let mut plan = bench.plan(Profile::Prod, &named("network.somaxconn"));
    "7".clone_into(&mut plan.checks[0].writes[0].to);
    // A file that neither shrinks nor grows: the end of the shorter value cannot be cut off, and what was there before
    // finds no room any more.
    let mut sealed =
        File::from(memfd_create("setting", MemfdFlags::ALLOW_SEALING).expect("a file"));
    sealed.write_all(b"4096   \n").expect("written");
    fcntl_add_seals(&sealed, SealFlags::SHRINK | SealFlags::GROW).expect("sealed");
    let place = bench.tree.place(SOMAXCONN);
    fs::remove_file(&place).expect("a file");
    symlink(format!("/proc/self/fd/{}", sealed.as_raw_fd()), &place).expect("a link");
    let applied = apply(&bench.host(), bench.state(), &plan).expect("a journal");
    let AppliedState::Failed { undo_error, .. } = &applied.checks[0].state else {
        panic!("{applied:?}")
    };
    let undo_error = undo_error.as_deref().expect("why it is not as before");
    assert!(undo_error.contains("does not take `4096`"), "{undo_error}");
    assert_eq!(status(&bench.host(), bench.state()).expect("a journal").len(), 1);
}

#[test]
fn a_value_that_the_kernel_does_not_have_is_refused_and_leaves_nothing() {
    let bench = Bench::server();
    let mut plan = bench.plan(Profile::Prod, &named("disk.scheduler:nvme0n1"));
    "elevator".clone_into(&mut plan.checks[0].writes[0].to);
    let applied = apply(&bench.host(), bench.state(), &plan).expect("a journal");
    assert!(applied.has_failed());
    assert!(bench.is_as_before() && !bench.journal().exists());
}

#[test]
fn drift_is_reported_and_left_alone_unless_it_is_said_otherwise() {
    for (drifted, left, forgotten) in [
        (Drifted::Report, "7\n", false),
        (Drifted::Restore, "128\n", true),
        (Drifted::Keep, "7\n", true),
    ] {
        let bench = Bench::server();
        let plan = bench.plan(Profile::Prod, &Choice::default());
        apply(&bench.host(), bench.state(), &plan).expect("a journal");
        bench.set(SOMAXCONN, "7\n");
        let statuses = status(&bench.host(), bench.state()).expect("a journal");
        let changed = statuses.iter().find(|one| one.id == "network.somaxconn").expect("it");
        assert_eq!(changed.state, ChangeState::Drifted { actual: "7".to_owned() });
        let all = rollback(&bench.host(), bench.state(), None, drifted).expect("a journal");
        assert_eq!(all.is_incomplete(), !forgotten);
        assert_eq!(bench.tree.text(SOMAXCONN), left);
        assert_eq!(bench.journal().exists(), !forgotten);
        bench.set(SOMAXCONN, "128\n");
        assert!(bench.is_as_before(), "all else is restored");
    }
}

#[test]
fn runs_are_undone_one_by_one() {
    let bench = Bench::server();
    for (name, run) in [("network.somaxconn", 1), ("memory.huge_pages", 2)] {
        let plan = bench.plan(Profile::Prod, &named(name));
        let applied = apply(&bench.host(), bench.state(), &plan).expect("a journal");
        assert_eq!(applied.run, run);
    }
    let undone = rollback(&bench.host(), bench.state(), Some(1), Drifted::Report);
    let ids: Vec<String> = undone.expect("a journal").changes.into_iter().map(|c| c.id).collect();
    assert_eq!(ids, ["memory.huge_pages"]);
    assert_eq!(bench.tree.text(SOMAXCONN), "4096\n");
    rollback(&bench.host(), bench.state(), None, Drifted::Report).expect("a journal");
    assert!(bench.is_as_before());
}

/// The kernel gives a new scheduler numbers of its own; a recorded tree does not, so the test does.
#[test]
fn numbers_that_went_with_the_scheduler_come_back_with_it() {
    let bench = Bench::server();
    let plan = bench.plan(Profile::Prod, &named("disk.scheduler:nvme0n1"));
    apply(&bench.host(), bench.state(), &plan).expect("a journal");
    assert_eq!(bench.tree.text(SCHEDULER), "[none] mq-deadline kyber\n");
    bench.set("/sys/block/nvme0n1/queue/nr_requests", "1023\n");
    bench.set("/sys/block/nvme0n1/queue/wbt_lat_usec", "75000\n");
    rollback(&bench.host(), bench.state(), None, Drifted::Report).expect("a journal");
    assert!(bench.is_as_before());
}

#[test]
fn after_a_start_of_the_machine_settings_are_as_before_and_our_files_still_go() {
    let bench = Bench::server();
    let choice = Choice { persist: true, ..named("network.somaxconn") };
    apply(&bench.host(), bench.state(), &bench.plan(Profile::Prod, &choice)).expect("a journal");
    bench.set(SOMAXCONN, "128\n");
    let boot = "/proc/sys/kernel/random/boot_id";
    let old = bench.tree.text(boot);
    bench.set(boot, "another\n");
    let statuses = status(&bench.host(), bench.state()).expect("a journal");
    assert_eq!(statuses[0].state, ChangeState::Reset { since_start: true });
    assert_eq!(statuses[1].state, ChangeState::InForce);
    let all = rollback(&bench.host(), bench.state(), None, Drifted::Report).expect("a journal");
    assert_eq!(all.changes[1].state, RolledBackState::Already);
    bench.set(boot, &old);
    assert!(bench.is_as_before());
}

#[test]
fn a_device_that_is_gone_has_nothing_to_restore() {
    let bench = Bench::server();
    let plan = bench.plan(Profile::Prod, &named("disk.nomerges:nvme1n1"));
    apply(&bench.host(), bench.state(), &plan).expect("a journal");
    fs::remove_file(bench.tree.place("/sys/block/nvme1n1")).expect("a link");
    let statuses = status(&bench.host(), bench.state()).expect("a journal");
    assert_eq!(statuses[0].state, ChangeState::Gone);
    let all = rollback(&bench.host(), bench.state(), None, Drifted::Report).expect("a journal");
    assert_eq!(all.changes[0].state, RolledBackState::Gone);
    assert!(!bench.journal().exists());
}

#[test]
fn two_at_once_are_refused() {
    let bench = Bench::server();
    let held = super::journal::LockedJournal::open(bench.state()).expect("the first");
    let second = rollback(&bench.host(), bench.state(), None, Drifted::Report);
    assert!(matches!(second, Err(JournalError::Locked { .. })));
    drop(held);
    rollback(&bench.host(), bench.state(), None, Drifted::Report).expect("a journal");
}

#[test]
fn a_journal_that_names_what_is_never_written_is_not_followed() {
    let bench = Bench::server();
    let plan = bench.plan(Profile::Prod, &named("memory.swap"));
    assert!(plan.checks.is_empty(), "there is no swap");
    assert_eq!(plan.skipped[0].reason, "in order already");
    let line = r#"{"record":"intended","number":1,"run":1,"time_ms":0,"boot":null,"check":"x","change":{"kind":"setting","path":"PATH","form":"plain","from":"evil","to":"60"}}"#;
    for path in [
        "/etc/passwd",
        "/sys/block/nvme0n1/queue/write_cache",
        "/sys/../etc/passwd",
        // Below /proc/sys, and a program that runs as root.
        "/proc/sys/kernel/core_pattern",
    ] {
        fs::write(bench.journal(), line.replace("PATH", path) + "\n").expect("a journal");
        let refused = rollback(&bench.host(), bench.state(), None, Drifted::Restore);
        assert!(matches!(refused, Err(JournalError::Forbidden { line: 1, .. })), "{path}");
    }
    fs::write(bench.journal(), line.replace("PATH", SWAPPINESS) + "\n{}\n").expect("a journal");
    let refused = rollback(&bench.host(), bench.state(), None, Drifted::Report);
    assert!(matches!(refused, Err(JournalError::Damaged { line: 2, .. })));
    assert!(bench.is_as_before());
}

#[test]
fn risky_changes_and_names_without_a_meaning_are_not_planned() {
    let bench = Bench::server();
    let plan = bench.plan(Profile::Prod, &named("cpu.clock_source"));
    assert!(plan.checks.is_empty());
    assert!(plan.skipped[0].reason.ends_with("only with --allow-risky"));
    let findings = bench.findings(Profile::Prod);
    let error = |name: &str| Plan::new(&findings, Profile::Prod, &named(name)).expect_err("none");
    assert_eq!(error("swapiness"), PlanError::NoSuchCheck { name: "swapiness".to_owned() });
    assert_eq!(
        error("disk.scheduler:sda"),
        PlanError::NothingHere { name: "disk.scheduler:sda".to_owned() }
    );
    let beginnings = bench.plan(Profile::Prod, &named("memory.huge_pages"));
    assert_eq!(beginnings.checks.len(), 1, "a name is no beginning of another");
}

/// What was named was written all the same.
#[test]
fn a_developers_machine_is_not_changed_even_where_a_check_is_named() {
    let bench = Bench::server();
    let plan = bench.plan(Profile::Dev, &everything());
    assert!(plan.checks.is_empty() && !plan.persist, "{plan:?}");
    let somaxconn = plan.skipped.iter().find(|skipped| skipped.id == "network.somaxconn");
    let reason = &somaxconn.expect("it is said").reason;
    assert!(reason.starts_with("profile dev changes nothing"), "{reason}");
    assert!(bench.findings(Profile::Dev).iter().all(|finding| !finding.is_appliable()));
}

#[test]
fn nothing_is_planned_beside_another_tuner() {
    let bench = Bench::server();
    fs::create_dir_all(bench.tree.place("/proc/90")).expect("a folder");
    bench.set("/proc/90/comm", "tuned\n");
    assert_eq!(bench.plan(Profile::Prod, &Choice::default()).conflict.as_deref(), Some("tuned"));
    let choice = Choice { allow_risky: true, ..Choice::default() };
    assert_eq!(bench.plan(Profile::Prod, &choice).conflict, None);
}
