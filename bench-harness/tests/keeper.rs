//! The process between `compare` and a broker: it leaves nothing behind.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps nothing")]

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

fn keep(folder: &Path, command: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_corelane-bench"))
        .arg("keep-broker")
        .arg(folder)
        .arg("--")
        .args(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn the_end_of_the_pipe_ends_the_broker_and_removes_its_folder() {
    let parent = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let folder = parent.path().join("fresh");
    std::fs::create_dir(&folder).unwrap();
    let mut keeper = keep(&folder, &["sleep", "100000"]);
    let mut line = String::new();
    BufReader::new(keeper.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let broker = Path::new("/proc").join(line.trim());
    assert!(broker.exists() && folder.join("broker.log").is_file());
    // What happens to the pipe of a program that is killed.
    drop(keeper.stdin.take());
    assert!(keeper.wait().unwrap().success());
    assert!(!broker.exists() && !folder.exists());
}

#[test]
fn a_broker_that_is_not_there_is_told_and_leaves_nothing() {
    let parent = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let folder = parent.path().join("fresh");
    std::fs::create_dir(&folder).unwrap();
    let mut keeper = keep(&folder, &["/nowhere/broker"]);
    drop(keeper.stdin.take());
    let mut said = String::new();
    keeper.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(said.contains("No such file"), "{said}");
    assert!(keeper.wait().unwrap().success() && !folder.exists());
}
