//! Journals that are full, and folders that go with their journal.

use std::fmt::Write as _;
use std::fs;

use super::{Bench, SOMAXCONN, named};
use crate::changes::{ChangeState, Choice, Drifted, JournalError, Plan, apply, rollback, status};
use crate::limits::JOURNAL_BYTES_MAX;
use crate::profile::Profile;

const MIB: usize = 1 << 20;

/// A change that takes so many bytes of the journal and never happened: there is no such file.
fn line(number: usize, bytes: usize) -> String {
    let line = |to: &str| {
        format!(
            "{{\"record\":\"intended\",\"number\":{number},\"run\":1,\"time_ms\":0,\"boot\":null,\"check\":\"x\",\
             \"change\":{{\"kind\":\"file\",\"file\":\"sysctl\",\"from\":null,\"to\":\"{to}\"}}}}\n"
        )
    };
    line(&"#".repeat(bytes - line("").len()))
}

/// So many bytes of changes that are not undone.
fn open_changes(bytes: usize) -> String {
    let mut text = String::new();
    let mut number = 0;
    while text.len() < bytes {
        number += 1;
        let rest = bytes - text.len();
        text += &line(number, if rest < 2 * MIB { rest } else { MIB });
    }
    text
}

fn somaxconn(bench: &Bench) -> Plan {
    bench.plan(Profile::Prod, &named("network.somaxconn"))
}

/// The line behind the last one that fitted made it too large for every later command, rollback too.
#[test]
fn a_full_journal_refuses_one_more_change_and_is_rolled_back() {
    let bench = Bench::server();
    let plan = somaxconn(&bench);
    apply(&bench.host(), bench.state(), &plan).expect("a journal");
    let journal = fs::read_to_string(bench.journal()).expect("a journal");
    let announcing = journal.lines().next().expect("a line").len();
    rollback(&bench.host(), bench.state(), None, Drifted::Report).expect("a journal");
    // Room for the line that announces a change and not for the one that says that it is made.
    let most = usize::try_from(JOURNAL_BYTES_MAX).expect("16 MiB");
    fs::write(bench.journal(), open_changes(most - announcing - 9)).expect("a journal");
    let refused = apply(&bench.host(), bench.state(), &plan);
    assert!(matches!(refused, Err(JournalError::Full { .. })), "{refused:?}");
    assert_eq!(bench.tree.text(SOMAXCONN), "128\n");
    let all = rollback(&bench.host(), bench.state(), None, Drifted::Report).expect("readable");
    assert!(!all.is_incomplete() && !bench.journal().exists() && bench.is_as_before());
}

#[test]
fn what_is_undone_makes_room_for_what_is_new() {
    let bench = Bench::server();
    let mut journal = String::new();
    for number in 1..=15 {
        journal += &line(number, MIB);
        writeln!(journal, "{{\"record\":\"restored\",\"number\":{number},\"time_ms\":0}}")
            .expect("a text takes every line");
    }
    let most = usize::try_from(JOURNAL_BYTES_MAX).expect("16 MiB");
    journal += &line(16, most - journal.len() - 100);
    journal += "{\"record\":\"restored\",\"number\":16,\"time_ms\":0}\n";
    fs::write(bench.journal(), journal).expect("a journal");
    let applied = apply(&bench.host(), bench.state(), &somaxconn(&bench)).expect("room");
    assert_eq!(applied.run, 2);
    assert!(fs::metadata(bench.journal()).expect("a journal").len() < MIB as u64);
    let statuses = status(&bench.host(), bench.state()).expect("a journal");
    assert_eq!((statuses.len(), &statuses[0].state), (1, &ChangeState::InForce));
    rollback(&bench.host(), bench.state(), None, Drifted::Report).expect("a journal");
    assert!(bench.is_as_before());
    assert_eq!(fs::read_dir(bench.state()).expect("a folder").count(), 0);
}

/// A rollback made the journal's folder where there was none, and left it.
#[test]
fn the_folders_of_the_journal_come_and_go_with_it() {
    let bench = Bench::server();
    let above = bench.state().join("lib");
    let state = above.join("corelane/tuning");
    let back = || rollback(&bench.host(), &state, None, Drifted::Report).expect("a journal");
    assert!(back().changes.is_empty() && !above.exists());
    let nothing = bench.plan(Profile::Dev, &Choice::default());
    apply(&bench.host(), &state, &nothing).expect("a journal");
    assert!(!above.exists(), "nothing was written");
    apply(&bench.host(), &state, &somaxconn(&bench)).expect("a journal");
    assert!(state.exists());
    back();
    assert!(!above.exists() && bench.state().exists());
    apply(&bench.host(), &state, &somaxconn(&bench)).expect("a journal");
    fs::write(above.join("theirs"), "").expect("a file");
    back();
    assert!(above.join("theirs").exists() && !above.join("corelane").exists());
    assert!(bench.is_as_before());
}
