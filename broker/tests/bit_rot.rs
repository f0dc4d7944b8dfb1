//! Bytes that changed on disk: a read meets them, and the operator is told where.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps nothing")]

mod node;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use node::{Node, corelane};

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn damage_that_a_read_met_is_in_the_log_once_and_named_by_the_doctor_and_the_list() {
    let mut node = Node::start();
    let bootstrap = node.bootstrap();
    let said = |words: &[&str]| {
        let output = corelane(words, "");
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(text).unwrap())
    };
    assert!(said(&["topic", "create", "-b", &bootstrap, "rotten"]).0);
    for value in ["one", "two"] {
        let value = value.repeat(2_000);
        let (success, text) = said(&["produce", "-b", &bootstrap, "rotten", "--value", &value]);
        assert!(success, "{text}");
    }
    node.stop();
    let file = node.data_dir().join("rotten-0/00000000000000000000.log");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[1_000] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    node.launch();
    let bootstrap = node.bootstrap();
    // It tries again for half a minute before it gives up.
    let mut consumer = Command::new(env!("CARGO_BIN_EXE_corelane"))
        .args(["consume", "-b", &bootstrap, "rotten"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let list = || said(&["partition", "list", "--admin", &node.admin()]).1;
    let begun = Instant::now();
    while !list().contains("damaged") {
        assert!(begun.elapsed() < PATIENCE, "{}", list());
    }
    consumer.kill().unwrap();
    consumer.wait().unwrap();
    let file = "rotten-0/00000000000000000000.log at 0";
    let (success, text) = said(&["doctor", "--admin", &node.admin()]);
    assert!(!success && text.contains(file) && text.contains("corelane verify"), "{text}");
    node.stop();
    assert_eq!(node.log().matches(file).count(), 1, "{}", node.log());
}
