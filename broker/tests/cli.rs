//! The command line against a real node: what the README's first page does, and what goes wrong.

#![allow(clippy::unwrap_used, reason = "the functions that tests share are tests too")]

mod node;

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};

use node::{Node, corelane};
use protocol::partitioner::partition_for_key;
use serde_json::Value;

/// Standard output of a command that succeeds.
fn succeeds(words: &[&str], input: &str) -> String {
    let output = corelane(words, input);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// Exit code and standard error of a command that fails.
fn fails(words: &[&str]) -> (i32, String) {
    let output = corelane(words, "");
    assert!(!output.status.success(), "{words:?} succeeds");
    let error = String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), error)
}

/// With the node's address and JSON.
fn json(node: &Node, words: &[&str], input: &str) -> Value {
    let bootstrap = node.bootstrap();
    let mut all = words.to_vec();
    all.extend(["--format", "json", "-b", &bootstrap]);
    serde_json::from_str(&succeeds(&all, input)).unwrap()
}

/// With the node's address, as people see it.
fn text(node: &Node, words: &[&str], input: &str) -> String {
    let bootstrap = node.bootstrap();
    let mut all = words.to_vec();
    all.extend(["-b", &bootstrap]);
    succeeds(&all, input)
}

fn consumed(node: &Node, words: &[&str]) -> Vec<Value> {
    let mut all = vec!["consume"];
    all.extend(words);
    all.extend(["--output", "json"]);
    text(node, &all, "").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn what_was_produced_is_consumed_again_after_a_kill() {
    let mut node = Node::start();
    assert_eq!(
        text(&node, &["topic", "create", "orders"], ""),
        "created topic orders with 1 partition\n"
    );
    let said = text(&node, &["produce", "--topic", "orders"], "one\ntwo\nthree\n");
    assert!(said.starts_with("wrote 3 records to orders\n"), "{said}");
    assert_eq!(text(&node, &["consume", "--topic", "orders"], ""), "one\ntwo\nthree\n");
    node.kill();
    node.launch();
    assert_eq!(text(&node, &["consume", "--topic", "orders"], ""), "one\ntwo\nthree\n");
    assert_eq!(
        text(&node, &["produce", "--topic", "orders", "--value", "four"], ""),
        "wrote 1 record to orders, partition 0, offset 3\n"
    );
}

fn metric(node: &Node, name: &str) -> u64 {
    let metrics = node.admin_get("/metrics").unwrap();
    let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {name} in {metrics}")).parse().unwrap()
}

#[test]
fn a_start_says_what_it_took_from_the_journal() {
    let mut node = Node::start();
    assert_eq!(metric(&node, "corelane_recovered_entries"), 0, "there was nothing");
    text(&node, &["topic", "create", "orders", "--partitions", "4"], "");
    text(&node, &["produce", "--topic", "orders"], "one\ntwo\nthree\n");
    node.stop();
    node.launch();
    assert_eq!(metric(&node, "corelane_recovered_entries"), 0, "it ended in good order");
    assert_eq!(metric(&node, "corelane_recovered_bytes"), 0);
    assert!(!node.log().contains("recovered"), "{}", node.log());
    let value = "x".repeat(10_000);
    text(&node, &["produce", "--topic", "orders", "--value", &value], "");
    node.kill();
    node.launch();
    let entries = metric(&node, "corelane_recovered_entries");
    let bytes = metric(&node, "corelane_recovered_bytes");
    assert!(entries > 0 && bytes > 10_000, "{entries} entries, {bytes} bytes");
    let said = format!("recovered {entries} journal entries, {bytes} bytes");
    assert!(node.log().contains(&said), "{}", node.log());
    node.stop();
    node.launch();
    assert_eq!(metric(&node, "corelane_recovered_entries"), 0, "it ended in good order again");
}

#[test]
fn a_key_chooses_the_partition_that_javas_producer_chooses() {
    let node = Node::start();
    text(&node, &["topic", "create", "user-purchases", "--partitions", "12"], "");
    for key in ["user-12345", "a", "", "ü"] {
        let words = ["produce", "--topic", "user-purchases", "--key", key, "--value", key];
        let written = json(&node, &words, "");
        let partition = partition_for_key(key.as_bytes(), 12);
        assert_eq!(written["partitions"][0]["partition"], partition, "{key}");
        let partition = partition.to_string();
        let records = consumed(&node, &["--topic", "user-purchases", "--partition", &partition]);
        assert!(records.iter().any(|record| record["key"] == key), "{records:?}");
    }
    let lines = "k1:v1\nk2:v2:more\nk1:v3\n";
    let words = ["produce", "--topic", "user-purchases", "--key-separator", ":"];
    assert_eq!(json(&node, &words, lines)["records"], 3);
    let words = ["consume", "--topic", "user-purchases", "--output", "key-value"];
    let all = text(&node, &words, "");
    assert!(all.contains("k2\tv2:more\n"), "{all}");
    let (first, second) = (all.find("k1\tv1").unwrap(), all.find("k1\tv3").unwrap());
    assert!(first < second, "records of a key keep their order");
}

#[test]
fn every_codec_and_acknowledgement_gives_back_headers_and_times() {
    let node = Node::start();
    text(&node, &["topic", "create", "codecs"], "");
    let mut expected = Vec::new();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        for acks in ["0", "1", "all"] {
            let value = format!("{codec} {acks}");
            let words = [
                "produce",
                "--topic",
                "codecs",
                "--compression",
                codec,
                "--acks",
                acks,
                "--value",
                &value,
                "--header",
                "source=shop",
                "--header",
                "empty=",
                "--timestamp",
                "2026-01-01T00:00:00Z",
            ];
            text(&node, &words, "");
            expected.push(value);
            // acks=0 says nothing: the next one waits for it in the same log, on another connection.
            let count = expected.len().to_string();
            let words = ["--topic", "codecs", "--follow", "--count", &count];
            assert_eq!(consumed(&node, &words).len(), expected.len());
        }
    }
    let records = consumed(&node, &["--topic", "codecs"]);
    let values: Vec<&str> =
        records.iter().map(|record| record["value"].as_str().unwrap()).collect();
    assert_eq!(values, expected);
    for record in &records {
        assert_eq!(record["time"], "2026-01-01T00:00:00.000Z");
        assert_eq!(record["key"], Value::Null);
        assert_eq!(record["headers"][0]["key"], "source");
        assert_eq!(record["headers"][0]["value"], "shop");
        assert_eq!(record["headers"][1]["value"], "");
    }
}

#[test]
fn a_consumer_begins_where_it_is_told_to() {
    let node = Node::start();
    text(&node, &["topic", "create", "places"], "");
    for (value, time) in [("a", "1000"), ("b", "2000"), ("c", "3000"), ("d", "4000")] {
        let words = ["produce", "--topic", "places", "--value", value, "--timestamp", time];
        text(&node, &words, "");
    }
    for (from, expected) in [
        ("beginning", "a\nb\nc\nd\n"),
        ("2", "c\nd\n"),
        ("end", ""),
        ("time:2500", "c\nd\n"),
        ("time:1970-01-01T00:00:02Z", "b\nc\nd\n"),
        ("-1h", ""),
    ] {
        let words = ["consume", "--topic", "places", "--from", from];
        assert_eq!(text(&node, &words, ""), expected, "--from {from}");
    }
    let words = ["consume", "--topic", "places", "--from", "1", "--count", "2", "--follow"];
    assert_eq!(text(&node, &words, ""), "b\nc\n");
    assert_eq!(text(&node, &["consume", "places", "--from", "3"], ""), "d\n");
    let bootstrap = node.bootstrap();
    let words = ["consume", "--topic", "places", "--from", "99", "-b", &bootstrap, "--follow"];
    let (code, error) = fails(&words);
    assert_eq!(code, 1);
    assert!(error.contains("OFFSET_OUT_OF_RANGE") && error.contains("--from beginning"), "{error}");
}

#[test]
fn topics_are_listed_described_configured_and_deleted() {
    let node = Node::start();
    let created = json(&node, &["topic", "create", "t", "-p", "3", "-c", "retention.ms=5000"], "");
    assert_eq!((&created["partitions"], &created["created"]), (&3.into(), &true.into()));
    let again = json(&node, &["topic", "create", "t", "--if-not-exists"], "");
    assert_eq!(again["created"], false);
    text(&node, &["produce", "--topic", "t", "--partition", "1", "--value", "x"], "");
    let described = json(&node, &["topic", "describe", "t"], "");
    let partition = &described["partitions"][1];
    assert_eq!((&partition["log_start_offset"], &partition["end_offset"]), (&0.into(), &1.into()));
    assert!(partition["bytes"].as_i64().unwrap() > 60, "{partition}");
    assert_eq!(described["configs"][0]["name"], "retention.ms");
    let shown = text(&node, &["topic", "describe", "t"], "");
    assert!(shown.contains("set: retention.ms=5000"), "{shown}");
    let words = ["topic", "config", "t", "--set", "segment.ms=7000", "--delete", "retention.ms"];
    let settings = json(&node, &words, "");
    assert_eq!(settings.as_array().unwrap().len(), 1);
    assert_eq!(
        (&settings[0]["name"], &settings[0]["value"]),
        (&"segment.ms".into(), &"7000".into())
    );
    let all = json(&node, &["topic", "config", "t", "--all"], "");
    assert!(all.as_array().unwrap().len() > 20);
    let listed = json(&node, &["topic", "list"], "");
    assert_eq!((&listed[0]["topic"], &listed[0]["partitions"]), (&"t".into(), &3.into()));
    let (code, error) = fails(&["topic", "delete", "t", "-b", &node.bootstrap()]);
    assert_eq!(code, 2, "nobody can answer: {error}");
    text(&node, &["topic", "delete", "t", "--yes"], "");
    assert_eq!(json(&node, &["topic", "list"], ""), Value::Array(Vec::new()));
}

#[test]
fn a_partition_moves_to_another_shard_and_keeps_its_records() {
    let node = Node::start();
    text(&node, &["topic", "create", "lanes", "--partitions", "2"], "");
    text(&node, &["produce", "--topic", "lanes", "--partition", "0"], "one\ntwo\n");
    let admin = node.admin();
    let list = |topic: &str| -> Value {
        let words = ["partition", "list", topic, "--admin", &admin, "--format", "json"];
        serde_json::from_str(&succeeds(&words, "")).unwrap()
    };
    let placed = list("lanes");
    assert_eq!(placed["partitions"].as_array().unwrap().len(), 2);
    let from = placed["partitions"][0]["shard"].as_u64().unwrap();
    assert!(!placed["partitions"][0]["why"].as_str().unwrap().is_empty());
    let to = (1 - from).to_string();
    let words = ["partition", "move", "lanes", "0", "--shard", &to, "--admin", &admin];
    let said = succeeds(&words, "");
    assert!(said.contains(&format!("from shard {from} to shard {to}")), "{said}");
    assert_eq!(list("lanes")["partitions"][0]["shard"], 1 - from);
    assert_eq!(text(&node, &["consume", "--topic", "lanes"], ""), "one\ntwo\n");
    text(&node, &["produce", "--topic", "lanes", "--partition", "0", "--value", "three"], "");
    assert_eq!(text(&node, &["consume", "--topic", "lanes"], ""), "one\ntwo\nthree\n");
    let words = ["partition", "move", "lanes", "7", "--shard", "0", "--admin", &admin];
    assert_eq!(fails(&words).0, 1);
}

#[test]
fn failures_are_one_sentence_that_says_what_to_do_next() {
    let node = Node::start();
    let bootstrap = node.bootstrap();
    for (words, code, expected) in [
        (vec!["topic", "list", "-b", "127.0.0.1:1"], 1, "start a node with `corelane`"),
        (vec!["topic", "list", "-b", "nonsense"], 2, "try 127.0.0.1:9092"),
        (vec!["topic", "describe", "none", "-b", &bootstrap], 1, "corelane topic list"),
        (vec!["produce", "--topic", "none", "--value", "x", "-b", &bootstrap], 1, "topic create"),
        (vec!["topic", "create", "a/b", "-b", &bootstrap], 1, "INVALID_TOPIC_EXCEPTION"),
        (vec!["topic", "create", "x", "-c", "no.such=1", "-b", &bootstrap], 1, "no.such"),
        (vec!["partition", "list", "--admin", "127.0.0.1:1"], 1, "--admin"),
        (vec!["inspect", "/nonexistent/x"], 1, "No such file"),
        (vec!["verify", env!("CARGO_TARGET_TMPDIR")], 2, "meta.properties"),
    ] {
        let (actual, error) = fails(&words);
        assert_eq!(actual, code, "{words:?}: {error}");
        assert!(error.contains(expected), "{words:?}: {error}");
        assert_eq!(error.trim_end().lines().count(), 1, "{words:?}: {error}");
    }
}

#[test]
fn the_files_of_a_stopped_node_are_inspected_and_verified() {
    let mut node = Node::start();
    text(&node, &["topic", "create", "files"], "");
    let lines: String = (0..5_000).map(|at| format!("line {at} {}\n", "x".repeat(200))).collect();
    text(&node, &["produce", "--topic", "files", "--compression", "lz4"], &lines);
    let data = node.data_dir();
    let data = data.to_str().unwrap().to_owned();
    let (code, error) = fails(&["verify", &data]);
    assert_eq!(code, 1);
    assert!(error.contains("in use"), "a running node is not verified: {error}");
    node.kill();
    let report: Value =
        serde_json::from_str(&succeeds(&["verify", &data, "--format", "json"], "")).unwrap();
    assert_eq!(report["damages"], Value::Array(Vec::new()));
    assert!(report["records"].as_u64().unwrap() >= 5_000, "{report}");
    node.launch();
    node.stop();
    let said = succeeds(&["verify", &data], "");
    assert!(said.contains("no damage"), "{said}");
    let shown = succeeds(&["inspect", &data], "");
    assert!(shown.contains("files-0"), "{shown}");
    succeeds(&["inspect", &format!("{data}/journal")], "");
    succeeds(&["inspect", &format!("{data}/meta.properties")], "");
    let segment = format!("{data}/files-0/00000000000000000000.log");
    let shown = succeeds(&["inspect", &segment, "--records", "--format", "json"], "");
    let first: Value = serde_json::from_str(shown.lines().next().unwrap()).unwrap();
    assert_eq!((&first["base_offset"], &first["compression"]), (&0.into(), &"lz4".into()));
    assert!(first["contents"][0]["value"].as_str().unwrap().starts_with("line 0 "));
    for file in ["index", "timeindex"] {
        succeeds(&["inspect", &format!("{data}/files-0/00000000000000000000.{file}")], "");
    }
    flip(Path::new(&segment), 100);
    let output = corelane(&["verify", &data], "");
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("00000000000000000000.log at 0: the batch's CRC"), "{said}");
    assert!(said.contains("hurts files-0: offsets 0 to"), "{said}");
}

#[test]
fn accepting_a_loss_brings_a_suspect_partition_back() {
    let mut node = Node::start();
    text(&node, &["topic", "create", "hurt"], "");
    for value in ["one", "two", "three"] {
        text(&node, &["produce", "--topic", "hurt", "--value", value], "");
    }
    node.kill();
    let data = node.data_dir();
    damage_journal_of(&data, b"two");
    let data = data.to_str().unwrap().to_owned();
    let output = corelane(&["verify", &data], "");
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("hurt-0: offsets 1 to 2 are missing"), "{said}");
    // Until the loss is accepted the node serves what is left, and says so at each start.
    for _ in 0..2 {
        node.launch();
        assert_eq!(text(&node, &["consume", "--topic", "hurt"], ""), "one\n");
        let bootstrap = node.bootstrap();
        let mut words = vec!["produce", "--topic", "hurt", "--value", "no", "-b", &bootstrap];
        words.extend(["--timeout", "1"]);
        let (code, error) = fails(&words);
        assert_eq!(code, 1);
        assert!(error.contains("KAFKA_STORAGE_ERROR") && error.contains("doctor"), "{error}");
        let admin = node.admin();
        let output = corelane(&["doctor", "--data-dir", &data, "--admin", &admin], "");
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("hurt-0 lost") && said.contains("corelane verify"), "{said}");
        node.stop();
    }
    assert!(node.log().contains("served up to offset 1 and takes no records"), "{}", node.log());
    let said = succeeds(&["verify", "--accept-loss", "--yes", &data], "");
    assert!(said.contains("hurt-0: offsets 1 to 2 are given up"), "{said}");
    assert!(succeeds(&["verify", &data], "").contains("no damage"));
    let note = Path::new(&data).join("hurt-0/accept-loss");
    assert!(note.exists());
    node.launch();
    assert!(!note.exists(), "the node has done what the note asked for");
    let said = "hurt-0: its loss was accepted: the log goes on at offset 1 in leader epoch 1";
    assert!(node.log().contains(said), "{}", node.log());
    assert_eq!(text(&node, &["consume", "--topic", "hurt"], ""), "one\n");
    assert_eq!(
        text(&node, &["produce", "--topic", "hurt", "--value", "again"], ""),
        "wrote 1 record to hurt, partition 0, offset 1\n"
    );
    node.kill();
    node.launch();
    assert_eq!(text(&node, &["consume", "--topic", "hurt"], ""), "one\nagain\n");
    node.stop();
    let segment = format!("{data}/hurt-0/00000000000000000000.log");
    let shown = succeeds(&["inspect", &segment, "--format", "json"], "");
    let batches: Vec<Value> =
        shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let epochs: Vec<&Value> = batches.iter().map(|batch| &batch["leader_epoch"]).collect();
    assert_eq!(epochs, [0, 1], "{shown}");
}

/// A partition whose directory is gone was created anew and empty, and took records.
#[test]
fn a_partition_without_its_directory_is_suspect_and_never_begins_anew() {
    let mut node = Node::start();
    // More than the journal keeps of a log whose segment is complete.
    let long = format!("{}\n", "x".repeat(10_000));
    for topic in ["gone", "short", "unnamed", "other"] {
        text(&node, &["topic", "create", topic], "");
        let lines = if topic == "gone" { &long } else { "one\ntwo\n" };
        text(&node, &["produce", "--topic", topic], lines);
    }
    node.stop();
    let data = node.data_dir();
    std::fs::remove_dir_all(data.join("gone-0")).unwrap();
    std::fs::remove_dir_all(data.join("short-0")).unwrap();
    // Another topic id. With one that cannot be read the partition would be known by its name.
    let metadata = data.join("unnamed-0/partition.metadata");
    let mut named = std::fs::read(&metadata).unwrap();
    named[24] = if named[24] == b'B' { b'C' } else { b'B' };
    std::fs::write(&metadata, named).unwrap();
    let data = data.to_str().unwrap().to_owned();
    let output = corelane(&["verify", &data], "");
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("gone-0") && said.contains("unnamed-0"), "{said}");
    node.launch();
    let bootstrap = node.bootstrap();
    assert_eq!(text(&node, &["consume", "--topic", "gone"], ""), "");
    assert_eq!(text(&node, &["consume", "--topic", "short"], ""), "one\ntwo\n", "the journal's");
    // What is in the directory is served; whether it is all, nobody knows.
    assert_eq!(text(&node, &["consume", "--topic", "unnamed"], ""), "one\ntwo\n");
    for topic in ["gone", "unnamed"] {
        let words = ["produce", "-t", topic, "--value", "x", "-b", &bootstrap, "--timeout", "1"];
        let (code, error) = fails(&words);
        assert!(code == 1 && error.contains("KAFKA_STORAGE_ERROR"), "{error}");
    }
    text(&node, &["produce", "--topic", "other", "--value", "three"], "");
    node.stop();
    let said = succeeds(&["verify", "--accept-loss", "--yes", &data], "");
    assert!(said.contains("gone-0: offsets 0 to 0 are given up"), "{said}");
    node.launch();
    for (topic, expected) in [("gone", "three\n"), ("unnamed", "one\ntwo\nthree\n")] {
        text(&node, &["produce", "--topic", topic, "--value", "three"], "");
        assert_eq!(text(&node, &["consume", "--topic", topic], ""), expected);
    }
}

/// A producer that is at work while its node is killed writes every line once, in order.
#[test]
fn a_producer_survives_a_kill_of_its_node() {
    let mut node = Node::start();
    text(&node, &["topic", "create", "steady"], "");
    let bootstrap = node.bootstrap();
    let mut producer = Command::new(env!("CARGO_BIN_EXE_corelane"))
        .args(["produce", "--topic", "steady", "-b", &bootstrap])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = producer.stdin.take().unwrap();
    let mut line = 0;
    let mut write = |count: usize| {
        for _ in 0..count {
            writeln!(input, "{line}").unwrap();
            line += 1;
        }
        input.flush().unwrap();
    };
    // Only who has reached its node once bears that it is away.
    write(1);
    text(&node, &["consume", "--topic", "steady", "--follow", "--count", "1"], "");
    for _ in 0..3 {
        write(500);
        node.kill();
        write(500);
        node.launch();
    }
    write(500);
    drop(input);
    assert!(producer.wait().unwrap().success());
    let expected: String = (0..3_501).map(|line| format!("{line}\n")).collect();
    assert_eq!(text(&node, &["consume", "--topic", "steady"], ""), expected);
}

#[test]
fn lines_of_meta_properties_are_compared_with_the_metadata() {
    let mut node = Node::start();
    text(&node, &["topic", "create", "t"], "");
    text(&node, &["produce", "--topic", "t", "--value", "x"], "");
    node.stop();
    let data = node.data_dir();
    let meta = data.join("meta.properties");
    let sound = std::fs::read_to_string(&meta).unwrap();
    for key in ["cluster.id", "node.id", "directory.id", "corelane.journal.salt"] {
        let changed: Vec<String> = sound
            .lines()
            .map(|line| match line.strip_prefix(&format!("{key}=")) {
                Some("1") => format!("{key}=3"),
                Some(value) if value.starts_with('1') => format!("{key}=2{}", &value[1..]),
                Some(value) => format!("{key}=1{}", &value[1..]),
                None => line.to_owned(),
            })
            .collect();
        std::fs::write(&meta, changed.join("\n") + "\n").unwrap();
        let output = corelane(&["verify", data.to_str().unwrap()], "");
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1), "{key}: {said}");
        assert!(said.contains("meta.properties"), "{key}: {said}");
    }
    std::fs::write(&meta, sound).unwrap();
    succeeds(&["verify", data.to_str().unwrap()], "");
}

fn flip(path: &Path, at: u64) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

/// Flips a bit of the value wherever the beginning of a journal holds it.
fn damage_journal_of(data: &Path, value: &[u8]) {
    let mut damaged = 0;
    for shard in std::fs::read_dir(data.join("journal")).unwrap() {
        for file in std::fs::read_dir(shard.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let mut bytes = Vec::new();
            File::open(&path).unwrap().take(1 << 20).read_to_end(&mut bytes).unwrap();
            if let Some(at) = bytes.windows(value.len()).position(|window| window == value) {
                flip(&path, at as u64);
                damaged += 1;
            }
        }
    }
    assert!(damaged > 0, "a journal holds the record");
}

/// Nobody shall be able to make a released node lose records by a word in its environment.
#[cfg(not(feature = "planted-faults"))]
#[test]
fn a_build_without_the_feature_knows_nothing_of_planted_faults() {
    let binary = std::fs::read(env!("CARGO_BIN_EXE_corelane")).unwrap();
    let holds = |name: &[u8]| binary.windows(name.len()).any(|window| window == name);
    assert!(holds(b"CORELANE_DATA_DIR"), "names of variables can be found in the binary");
    assert!(!holds(b"CORELANE_PLANT"));
}

#[test]
fn a_start_without_one_of_several_data_directories_takes_nothing_from_the_others() {
    let base = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let second = tempfile::tempdir_in(base).unwrap();
    let both = ["--shards", "2", "--memory", "512MiB", "--data-dir"];
    let second_path = second.path().join("data");
    let mut node = Node::start_with(&[&both[..], &[second_path.to_str().unwrap()]].concat());
    text(&node, &["topic", "create", "t", "--partitions", "4"], "");
    for (partition, value) in [("0", "a"), ("1", "b"), ("2", "c"), ("3", "d")] {
        let words = ["produce", "--topic", "t", "--partition", partition, "--value", value];
        text(&node, &words, "");
    }
    let values = |node: &Node| {
        let read = consumed(node, &["--topic", "t"]);
        let mut values: Vec<_> = read.iter().map(|record| record["value"].to_string()).collect();
        values.sort_unstable();
        values
    };
    let before = values(&node);
    assert_eq!(before.len(), 4);
    node.kill();
    let first = node.data_dir();
    let words = ["serve", "--data-dir", first.to_str().unwrap()];
    let (code, error) =
        fails(&[&words[..], &["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]].concat());
    assert_eq!(code, 1);
    assert!(error.contains(second_path.to_str().unwrap()), "{error}");
    assert!(error.contains("--give-up-missing-data-dir"), "{error}");
    node.launch();
    assert_eq!(values(&node), before, "with both again nothing is missing");
    node.kill();
    node.set_flags(&["--shards", "2", "--memory", "512MiB", "--give-up-missing-data-dir"]);
    node.launch();
    assert!(node.log().contains("given up"), "{}", node.log());
}

/// Journals of the shards that had two partitions last are gone with their directory. One was written on
/// there: its log was cut where the shard before had let it go, whatever its own segments held.
#[test]
fn what_segments_hold_beyond_a_journal_that_was_given_up_is_not_cut_off() {
    for orderly in [true, false] {
        let base = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let second = tempfile::tempdir_in(base).unwrap();
        let flags = ["--shards", "2", "--memory", "512MiB"];
        let second_path = second.path().join("data");
        let with_second = [&flags[..], &["--data-dir", second_path.to_str().unwrap()]].concat();
        let mut node = Node::start_with(&with_second);
        for topic in ["a", "b", "c", "d", "e", "f", "g", "h"] {
            text(&node, &["topic", "create", topic], "");
        }
        let first = node.data_dir().canonicalize().unwrap();
        let topics = topics_of(&node, &first, 0);
        let (written, idle) = (&topics[0], &topics[1]);
        let produce = |node: &Node, topic: &str, value: &str| {
            let words = ["produce", "--topic", topic, "--compression", "none"];
            text(node, &words, &format!("{value}\n"));
        };
        // Straight to its segment, where it stands whatever comes then.
        let long = "x".repeat(600_000);
        for topic in [written, idle] {
            produce(&node, topic, "before");
            let admin = node.admin();
            let words = ["partition", "move", topic, "0", "--shard", "1", "--admin", &admin];
            succeeds(&words, "");
        }
        produce(&node, written, "");
        produce(&node, written, &long);
        if orderly {
            node.stop()
        } else {
            node.kill()
        }
        let segment = first.join(format!("{written}-0/00000000000000000000.log"));
        let before = std::fs::read(&segment).unwrap();

        begin_without_the_second(&first, &format!("{idle}-0"), &flags);
        let given_up = [&flags[..], &["--give-up-missing-data-dir"]].concat();
        node.set_flags(&given_up);
        node.launch();
        let said = format!("{written}-0: acknowledged records are missing or damaged");
        assert!(node.log().contains(&said), "{}", node.log());
        assert!(node.log().contains(&format!("{idle}-0: the journal")), "{}", node.log());
        produce(&node, idle, "after");
        let read = consumed(&node, &["--topic", idle]);
        assert_eq!(read.iter().map(|one| &one["value"]).collect::<Vec<_>>(), ["before", "after"]);
        node.stop();
        assert!(std::fs::read(&segment).unwrap() == before, "the segment is as it was");
        // Other records may have had this offset in the epoch before.
        let log = first.join(format!("{idle}-0/00000000000000000000.log"));
        let shown = succeeds(&["inspect", log.to_str().unwrap(), "--format", "json"], "");
        let batches = shown.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let epochs: Vec<Value> = batches.map(|batch| batch["leader_epoch"].clone()).collect();
        assert_eq!(epochs, [0, 1]);
        let first = first.to_str().unwrap();
        let found = corelane(&["verify", first], "");
        let found = String::from_utf8(found.stdout).unwrap();
        assert!(found.contains(&format!("{written}-0")), "{found}");
        assert!(!found.contains(&format!("{idle}-0")), "{found}");
        if orderly {
            // Nothing was lost but the journal that said so.
            succeeds(&["verify", "--accept-loss", "--yes", first], "");
            node.set_flags(&flags);
            node.launch();
            let read = consumed(&node, &["--topic", written]);
            assert_eq!(read.len(), 3);
            assert_eq!(read[2]["value"], long);
        }
    }
}

/// A start that is cut short once it gave the other directory up; the next one must give it up again.
fn begin_without_the_second(first: &Path, partition: &str, flags: &[&str]) {
    // What recovery cannot read.
    let metadata = first.join(partition).join("partition.metadata");
    let hidden = first.join("hidden");
    std::fs::rename(&metadata, &hidden).unwrap();
    std::fs::create_dir(&metadata).unwrap();
    let serve = ["serve", "--data-dir", first.to_str().unwrap(), "--admin", "127.0.0.1:0"];
    let serve = [&serve[..], &["--listen", "127.0.0.1:0"], flags].concat();
    let (_, error) = fails(&[&serve[..], &["--give-up-missing-data-dir"]].concat());
    assert!(!error.contains("--give-up-missing-data-dir"), "it got further: {error}");
    std::fs::remove_dir(&metadata).unwrap();
    std::fs::rename(&hidden, &metadata).unwrap();
    assert!(fails(&serve).1.contains("--give-up-missing-data-dir"));
}

/// Topics whose only partition is in this log directory and has this shard.
fn topics_of(node: &Node, directory: &Path, shard: u64) -> Vec<String> {
    let admin = node.admin();
    let shown = succeeds(&["partition", "list", "--format", "json", "--admin", &admin], "");
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let all = shown["partitions"].as_array().unwrap().iter();
    let of_it = all.filter(|one| one["directory"] == directory.to_str().unwrap());
    let of_it = of_it.filter(|one| one["shard"] == shard);
    of_it.map(|one| one["topic"].as_str().unwrap().to_owned()).collect()
}
