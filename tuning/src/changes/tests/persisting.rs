//! What outlives a start of the machine, and what ends with it.

use std::fs;

use super::{Bench, SOMAXCONN, named};
use crate::changes::{
    ChangeState, Choice, Drifted, OwnedFile, RolledBackState, apply, rollback, status,
};
use crate::profile::Profile;

const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// A value that happened to be ours was "put back", and any other kept every rollback from being whole.
#[test]
fn what_no_file_kept_ends_with_a_start_of_the_machine_whatever_is_there_then() {
    for value in ["4096\n", "128\n", "777\n"] {
        let bench = Bench::server();
        let plan = bench.plan(Profile::Prod, &named("network.somaxconn"));
        apply(&bench.host(), bench.state(), &plan).expect("a journal");
        bench.set(BOOT, "another\n");
        bench.set(SOMAXCONN, value);
        let statuses = status(&bench.host(), bench.state()).expect("a journal");
        assert_eq!(statuses[0].state, ChangeState::Ended, "{value}");
        let all = rollback(&bench.host(), bench.state(), None, Drifted::Report).expect("a journal");
        assert_eq!(all.changes[0].state, RolledBackState::Ended, "{value}");
        assert!(!all.is_incomplete() && !bench.journal().exists());
        assert_eq!(bench.tree.text(SOMAXCONN), value);
    }
}

/// Also where a rollback was killed behind our file, which goes first.
#[test]
fn what_a_file_kept_is_put_back_after_a_start_of_the_machine() {
    for is_file_gone in [false, true] {
        let bench = Bench::server();
        let choice = Choice { persist: true, ..named("network.somaxconn") };
        let plan = bench.plan(Profile::Prod, &choice);
        apply(&bench.host(), bench.state(), &plan).expect("a journal");
        let boot = bench.tree.text(BOOT);
        // The machine read our file, so the value is there again.
        bench.set(BOOT, "another\n");
        let statuses = status(&bench.host(), bench.state()).expect("a journal");
        assert!(statuses.iter().all(|one| one.state == ChangeState::InForce), "{statuses:?}");
        if is_file_gone {
            fs::remove_file(bench.tree.place(OwnedFile::Sysctl.path())).expect("our file");
        }
        let all = rollback(&bench.host(), bench.state(), None, Drifted::Report).expect("a journal");
        assert!(!all.is_incomplete(), "{all:?}");
        bench.set(BOOT, &boot);
        assert!(bench.is_as_before(), "{all:?}");
    }
}

/// A rollback that was killed behind the last version of our file leaves both in the journal.
#[test]
fn a_file_that_is_gone_with_all_its_versions_is_as_before() {
    let bench = Bench::server();
    for name in ["network.somaxconn", "network.send_buffer"] {
        let choice = Choice { persist: true, ..named(name) };
        let plan = bench.plan(Profile::Prod, &choice);
        apply(&bench.host(), bench.state(), &plan).expect("a journal");
    }
    fs::remove_file(bench.tree.place(OwnedFile::Sysctl.path())).expect("our file");
    let all = rollback(&bench.host(), bench.state(), None, Drifted::Report).expect("a journal");
    assert!(!all.is_incomplete() && bench.is_as_before(), "{all:?}");
}

/// It kept all that the journal had: of runs without it, too, and what somebody had changed since.
#[test]
fn persist_keeps_what_is_asked_for_and_still_ours() {
    let bench = Bench::server();
    let run = |name: &str, persist| {
        let choice = Choice { persist, ..named(name) };
        let plan = bench.plan(Profile::Prod, &choice);
        let shown = plan.files(&bench.host(), bench.state()).expect("a journal");
        apply(&bench.host(), bench.state(), &plan).expect("a journal");
        for file in shown {
            assert_eq!(bench.tree.text(file.path), file.to, "what was shown is what is written");
        }
    };
    let says = |name: &str| bench.tree.text(OwnedFile::Sysctl.path()).contains(name);
    run("network.somaxconn", false);
    run("network.send_buffer", true);
    assert!(says("tcp_wmem") && !says("somaxconn"));
    // In order already, by a run of before: now it is to stay so.
    run("network.somaxconn", true);
    assert!(says("tcp_wmem") && says("somaxconn"));
    bench.set(SOMAXCONN, "7\n");
    run("memory.huge_pages", true);
    assert!(says("tcp_wmem") && !says("somaxconn"));
    bench.set(SOMAXCONN, "4096\n");
    let all = rollback(&bench.host(), bench.state(), None, Drifted::Report).expect("a journal");
    assert!(!all.is_incomplete() && bench.is_as_before(), "{all:?}");
}

#[test]
fn a_file_of_ours_with_nothing_left_to_keep_keeps_nothing() {
    let bench = Bench::server();
    let persisted = |name| Choice { persist: true, ..named(name) };
    let plan = bench.plan(Profile::Prod, &persisted("network.somaxconn"));
    apply(&bench.host(), bench.state(), &plan).expect("a journal");
    bench.set(SOMAXCONN, "7\n");
    let plan = bench.plan(Profile::Prod, &persisted("memory.huge_pages"));
    apply(&bench.host(), bench.state(), &plan).expect("a journal");
    assert_eq!(bench.tree.text(OwnedFile::Sysctl.path()).lines().count(), 1, "our first line");
    bench.set(SOMAXCONN, "4096\n");
    let all = rollback(&bench.host(), bench.state(), None, Drifted::Report).expect("a journal");
    assert!(!all.is_incomplete() && bench.is_as_before(), "{all:?}");
}

#[test]
fn a_file_that_wins_over_ours_is_named_by_plan_and_apply() {
    let bench = Bench::server();
    let theirs = "/etc/sysctl.d/99-sysctl.conf";
    bench.set(theirs, "net.core.somaxconn = 256\n");
    let choice = Choice { persist: true, ..named("network.somaxconn") };
    let plan = bench.plan(Profile::Prod, &choice);
    let shown = plan.files(&bench.host(), bench.state()).expect("a journal");
    let applied = apply(&bench.host(), bench.state(), &plan).expect("a journal");
    let by = applied.overruled.iter().map(|one| one.by.as_str());
    assert_eq!(by.collect::<Vec<_>>(), [theirs]);
    assert_eq!(shown[0].overruled, applied.overruled);
}
