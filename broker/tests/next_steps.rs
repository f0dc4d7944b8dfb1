//! What a command says where it cannot do what it was asked, or where somebody asks it what it can do.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps nothing")]

mod node;

use node::{Node, corelane};

/// Exit code, and what was said on both outputs.
fn said(words: &[&str], input: &str) -> (Option<i32>, String) {
    let output = corelane(words, input);
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

#[test]
fn a_refused_move_names_the_command_that_shows_what_there_is() {
    let node = Node::start();
    let (bootstrap, admin) = (node.bootstrap(), node.admin());
    assert_eq!(said(&["topic", "create", "t", "-b", &bootstrap], "").0, Some(0));
    for (topic, partition, shard) in [("none", "0", "0"), ("t", "7", "0"), ("t", "0", "9")] {
        let words = ["partition", "move", topic, partition, "--shard", shard, "--admin", &admin];
        let (code, said) = said(&words, "");
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("; `corelane partition list` shows"), "{said}");
    }
}

#[test]
fn doctor_misses_a_node_where_one_is_asked_for() {
    let node = Node::start();
    let admin = node.admin();
    drop(node);
    let data = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let data = data.path().to_str().unwrap();
    let (code, said) = said(&["doctor", "--data-dir", data, "--admin", &admin], "");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&format!("node at {admin}: not running")), "{said}");
    assert!(said.contains("start one with `corelane`"), "{said}");
}

#[test]
fn inspect_says_where_to_look_and_whose_a_journal_is() {
    let mut node = Node::start();
    node.stop();
    let data = node.data_dir();
    let data = data.to_str().unwrap();
    let (code, shown) = said(&["inspect", data], "");
    assert_eq!(code, Some(0), "{shown}");
    for owner in ["shard 0 ", "shard 1 ", "controller (journal/65535)", "coordinator (journal/"] {
        assert!(shown.contains(owner), "{owner}: {shown}");
    }
    let (code, missing) = said(&["inspect", &format!("{data}/nothing")], "");
    assert_eq!(code, Some(1));
    assert!(missing.contains("`corelane inspect DATA-DIR` says what there is"), "{missing}");
}

/// Only a line feed ends a record: a carriage return before it is the record's.
#[test]
fn every_byte_of_a_line_is_kept() {
    let node = Node::start();
    let bootstrap = node.bootstrap();
    assert_eq!(said(&["topic", "create", "t", "-b", &bootstrap], "").0, Some(0));
    let (code, wrote) = said(&["produce", "--topic", "t", "-b", &bootstrap], "one\r\n\rtwo");
    assert_eq!(code, Some(0), "{wrote}");
    let (_, consumed) = said(&["consume", "--topic", "t", "-b", &bootstrap], "");
    assert_eq!(consumed, "one\r\n\rtwo\n");
}

#[test]
fn compaction_is_reported_as_having_effect() {
    let node = Node::start();
    let bootstrap = node.bootstrap();
    let create = ["topic", "create", "t", "--config", "cleanup.policy=compact", "-b", &bootstrap];
    assert_eq!(said(&create, "").0, Some(0));
    for words in [["topic", "config", "t"], ["topic", "describe", "t"]] {
        let (code, said) = said(&[&words[..], &["-b", &bootstrap]].concat(), "");
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("compact") && !said.contains("not yet"), "{said}");
    }
}

#[test]
fn commands_of_commands_show_examples() {
    for command in ["topic", "partition"] {
        let (code, said) = said(&[command, "--help"], "");
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains(&format!("Examples:\n  corelane {command} ")), "{said}");
    }
}

#[test]
fn an_offset_behind_the_end_and_names_that_collide_are_told_as_what_they_are() {
    let node = Node::start();
    let bootstrap = node.bootstrap();
    assert_eq!(said(&["topic", "create", "a.b", "-b", &bootstrap], "").0, Some(0));
    let (code, collides) = said(&["topic", "create", "a_b", "-b", &bootstrap], "");
    assert_eq!(code, Some(1), "{collides}");
    assert!(collides.contains("collides") && !collides.contains("249"), "{collides}");
    assert_eq!(said(&["produce", "a.b", "--value", "v", "-b", &bootstrap], "").0, Some(0));
    let (code, beyond) = said(&["consume", "a.b", "--from", "99999", "-b", &bootstrap], "");
    assert_eq!(code, Some(1), "{beyond}");
    assert!(beyond.contains("OFFSET_OUT_OF_RANGE") && beyond.contains("ends at 1"), "{beyond}");
    // The end itself is where the next record comes.
    let (code, end) = said(&["consume", "a.b", "--from", "1", "-b", &bootstrap], "");
    assert_eq!((code, end.contains("nothing is there")), (Some(0), true), "{end}");
}
