//! The command line against a node that lost one of its log directories: what is online goes
//! on, and what is not is named with its cause and the next command.

#![allow(clippy::unwrap_used, reason = "the functions that tests share are tests too")]

mod node;

use std::path::Path;
use std::time::{Duration, Instant};

use node::{Node, corelane};
use protocol::partitioner::partition_for_key;
use serde_json::Value;

const PARTITIONS: u32 = 4;
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether it succeeds, and both outputs.
fn run(node: &Node, words: &[&str], input: &str) -> (bool, String, String) {
    let bootstrap = node.bootstrap();
    let output = corelane(&[words, &["-b", &bootstrap]].concat(), input);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

fn succeeds(node: &Node, words: &[&str], input: &str) -> (String, String) {
    let (success, output, error) = run(node, words, input);
    assert!(success, "{words:?}: {error}");
    (output, error)
}

/// Fails with the one sentence that names the partition, why, and what to do.
fn is_offline(node: &Node, words: &[&str], partition: u32) {
    let (success, output, error) = run(node, words, "");
    assert!(!success, "{words:?}: {output}");
    assert_eq!(error.lines().count(), 1, "{words:?}: {error}");
    let sentence = format!("partition {partition} of t is offline: its log directory on broker 1");
    assert!(error.contains(&sentence) && error.contains("corelane doctor"), "{words:?}: {error}");
}

/// Partitions by state.
fn placed(node: &Node) -> (Vec<u32>, Vec<u32>) {
    let words = ["partition", "list", "t", "--admin", &node.admin(), "--format", "json"];
    let output = corelane(&words, "");
    let placed: Value = serde_json::from_slice(&output.stdout).unwrap();
    let all = placed["partitions"].as_array().unwrap();
    assert_eq!(all.len(), PARTITIONS as usize, "{placed}");
    let number = |one: &Value| u32::try_from(one["partition"].as_u64().unwrap()).unwrap();
    let of = |state: &str| all.iter().filter(|one| one["state"] == state).map(number).collect();
    (of("online"), of("offline"))
}

/// A node whose topic `t` has partitions in a directory that was given up, each with its number as a record.
fn node_without_a_directory() -> Node {
    let second = tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap();
    let second = second.path().join("data");
    let flags = ["--shards", "2", "--memory", "512MiB"];
    let mut node =
        Node::start_with(&[&flags[..], &["--data-dir", second.to_str().unwrap()]].concat());
    succeeds(&node, &["topic", "create", "t", "--partitions", "4"], "");
    for partition in 0..PARTITIONS {
        let partition = partition.to_string();
        let words = ["produce", "--topic", "t", "--partition", &partition, "--value", &partition];
        succeeds(&node, &words, "");
    }
    node.stop();
    node.set_flags(&[&flags[..], &["--give-up-missing-data-dir"]].concat());
    node.launch();
    node
}

/// Each of these waited for a leader of the partitions that it had nothing to do with.
#[test]
fn clients_of_online_partitions_work_beside_offline_ones() {
    let node = node_without_a_directory();
    let (online, offline) = placed(&node);
    assert!(!online.is_empty() && !offline.is_empty(), "{online:?} {offline:?}");
    for partition in &online {
        let partition = partition.to_string();
        let words = ["consume", "--topic", "t", "--partition", &partition];
        assert_eq!(succeeds(&node, &words, "").0, format!("{partition}\n"));
        let words = ["produce", "--topic", "t", "--partition", &partition, "--value", "more"];
        succeeds(&node, &words, "");
        assert_eq!(
            succeeds(&node, &["topic", "describe", "t"], "").0.matches("none").count(),
            offline.len()
        );
    }
    for partition in &offline {
        let number = partition.to_string();
        is_offline(&node, &["consume", "--topic", "t", "--partition", &number], *partition);
        let first = online[0].to_string();
        let words = ["consume", "--topic", "t", "--partition", &first, "--partition", &number];
        is_offline(&node, &words, *partition);
        let words = ["produce", "--topic", "t", "--partition", &number, "--value", "x"];
        is_offline(&node, &words, *partition);
    }
}

#[test]
fn a_whole_topic_is_read_as_far_as_it_is_online() {
    let node = node_without_a_directory();
    let (online, offline) = placed(&node);
    let (output, error) = succeeds(&node, &["consume", "--topic", "t"], "");
    let mut read: Vec<&str> = output.lines().collect();
    read.sort_unstable();
    let expected: Vec<String> = online.iter().map(u32::to_string).collect();
    assert_eq!(read, expected);
    let told: Vec<&str> = error.lines().collect();
    assert_eq!(told.len(), offline.len(), "{error}");
    for (told, partition) in told.iter().zip(&offline) {
        assert!(
            told.starts_with(&format!("not read: partition {partition} of t is offline")),
            "{told}"
        );
    }
}

#[test]
fn records_without_a_key_go_to_online_partitions_and_a_key_to_its_own() {
    let node = node_without_a_directory();
    let (online, offline) = placed(&node);
    for turn in 0..2 * PARTITIONS {
        let value = turn.to_string();
        succeeds(&node, &["produce", "--topic", "t", "--value", &value], "");
    }
    let (output, _) = succeeds(&node, &["consume", "--topic", "t"], "");
    assert_eq!(output.lines().count(), online.len() + 2 * PARTITIONS as usize);
    let key_of = |partition: u32| {
        let keys = (0..).map(|key: u32| key.to_string());
        keys.into_iter()
            .find(|key| partition_for_key(key.as_bytes(), PARTITIONS) == partition)
            .unwrap()
    };
    for partition in &online {
        let words = ["produce", "--topic", "t", "--key", &key_of(*partition), "--value", "v"];
        let (output, _) = succeeds(&node, &words, "");
        assert!(output.contains(&format!("partition {partition},")), "{output}");
    }
    let key = key_of(offline[0]);
    is_offline(&node, &["produce", "--topic", "t", "--key", &key, "--value", "v"], offline[0]);
    // What goes to other partitions is written, and told.
    let lines = format!("{}:kept\n{key}:refused\n", key_of(online[0]));
    let words = ["produce", "--topic", "t", "--key-separator", ":"];
    let (success, output, error) = run(&node, &words, &lines);
    assert!(!success && error.contains("is offline"), "{error}");
    assert!(output.contains(&format!("wrote 1 record to t, partition {},", online[0])), "{output}");
}

#[test]
fn the_doctor_names_partitions_whose_directory_is_missing() {
    let node = node_without_a_directory();
    let (_, offline) = placed(&node);
    let data = node.data_dir();
    let words = ["doctor", "--data-dir", data.to_str().unwrap(), "--admin", &node.admin()];
    let output = corelane(&words, "");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(!output.status.success(), "{said}");
    for partition in offline {
        let sentence = format!("t-{partition} is offline: its log directory is missing");
        assert!(said.contains(&sentence) && said.contains("--data-dir"), "{said}");
    }
}

/// Metadata went on naming a leader, and clients went on asking it.
#[test]
fn a_directory_that_fails_while_the_node_runs_takes_its_partitions_alone() {
    let second = tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap();
    let second = second.path().join("data");
    let flags = ["--shards", "2", "--memory", "512MiB", "--data-dir", second.to_str().unwrap()];
    let mut node = Node::start_with(&flags);
    succeeds(&node, &["topic", "create", "t", "--partitions", "4"], "");
    for partition in 0..PARTITIONS {
        let partition = partition.to_string();
        let words = ["produce", "--topic", "t", "--partition", &partition, "--value", &partition];
        succeeds(&node, &words, "");
    }
    std::fs::remove_dir_all(&second).unwrap();
    // The first thing that is asked of the directory fails, and nothing less does.
    let (success, _, error) = run(&node, &["topic", "create", "u", "--partitions", "4"], "");
    assert!(!success && error.contains("KAFKA_STORAGE_ERROR"), "{error}");
    let begun = Instant::now();
    while !succeeds(&node, &["topic", "describe", "t"], "").0.contains("none") {
        assert!(begun.elapsed() < PATIENCE, "every partition still has a leader");
    }
    let (online, offline) = placed(&node);
    assert!(!online.is_empty() && !offline.is_empty(), "{online:?} {offline:?}");
    let (output, error) = succeeds(&node, &["consume", "--topic", "t"], "");
    assert_eq!(output.lines().count(), online.len(), "{output}");
    assert_eq!(error.lines().count(), offline.len(), "{error}");
    let partition = offline[0].to_string();
    is_offline(&node, &["consume", "--topic", "t", "--partition", &partition], offline[0]);
    is_offline(&node, &["produce", "t", "--partition", &partition, "--value", "x"], offline[0]);
    succeeds(&node, &["produce", "t", "--value", "goes on"], "");
    // What is new goes where it can live.
    succeeds(&node, &["topic", "create", "v", "--partitions", "4"], "");
    for partition in 0..PARTITIONS {
        let partition = partition.to_string();
        succeeds(&node, &["produce", "v", "--partition", &partition, "--value", "new"], "");
    }
    assert_eq!(succeeds(&node, &["consume", "v"], "").0.lines().count(), PARTITIONS as usize);
    node.stop();
    let log = node.log();
    let said = format!("{} failed while the node ran", second.display());
    assert!(log.contains(&said) && !log.contains("nothing is left to recover"), "{log}");
}
