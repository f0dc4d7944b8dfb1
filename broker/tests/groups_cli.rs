//! `corelane group` and `corelane consume --group` against a real node.

#![allow(clippy::unwrap_used, reason = "the functions that tests share are tests too")]

mod node;

use std::collections::BTreeSet;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use node::{Node, corelane};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// How long something that must happen may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// Standard output of a command that succeeds.
fn text(node: &Node, words: &[&str], input: &str) -> String {
    let bootstrap = node.bootstrap();
    let words = [words, &["-b", &bootstrap]].concat();
    let output = corelane(&words, input);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

fn json(node: &Node, words: &[&str]) -> Value {
    serde_json::from_str(&text(node, &[words, &["--format", "json"]].concat(), "")).unwrap()
}

/// Exit code and standard error of a command that fails.
fn fails(node: &Node, words: &[&str]) -> (i32, String) {
    let bootstrap = node.bootstrap();
    let words = [words, &["-b", &bootstrap]].concat();
    let output = corelane(&words, "");
    assert!(!output.status.success(), "{words:?} succeeds");
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

/// The cells of a table's rows, without its headings.
fn rows(table: &str) -> Vec<Vec<&str>> {
    table.lines().skip(1).map(|line| line.split_whitespace().collect()).collect()
}

/// A `corelane consume` that runs until it is told to end; killed when dropped.
struct Consumer {
    child: Child,
    printed: PathBuf,
    said: PathBuf,
    _folder: tempfile::TempDir,
}

impl Consumer {
    fn start(node: &Node, words: &[&str]) -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let (printed, said) = (folder.path().join("printed"), folder.path().join("said"));
        let child = Command::new(env!("CARGO_BIN_EXE_corelane"))
            .arg("consume")
            .args(words)
            .args(["-b", &node.bootstrap()])
            .stdin(Stdio::null())
            .stdout(File::create(&printed).unwrap())
            .stderr(File::create(&said).unwrap())
            .spawn()
            .unwrap();
        Self { child, printed, said, _folder: folder }
    }

    fn lines(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.printed).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.said).unwrap()
    }

    /// It must end by itself, successfully.
    fn end(&mut self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
        assert!(self.child.wait().unwrap().success(), "{}", self.said());
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "it never came: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// How many partitions each member has.
fn shares(node: &Node, group: &str) -> Vec<usize> {
    let described = json(node, &["group", "describe", group]);
    let mut shares: Vec<usize> = described["members"]
        .as_array()
        .unwrap()
        .iter()
        .map(|member| {
            let topics = member["partitions"].as_object().unwrap();
            topics.values().map(|partitions| partitions.as_array().unwrap().len()).sum()
        })
        .collect();
    shares.sort_unstable();
    shares
}

/// `count` lines `from`, `from + 1`, …, spread over a topic's partitions by their keys.
fn produce(node: &Node, topic: &str, lines: std::ops::Range<u32>) {
    let input: String = lines.map(|line| format!("{line}:{line}\n")).collect();
    text(node, &["produce", "--topic", topic, "--key-separator", ":"], &input);
}

fn numbers(lines: std::ops::Range<u32>) -> BTreeSet<String> {
    lines.map(|line| line.to_string()).collect()
}

/// A consumer that processed the record at offset 2 and commits 3 receives 3 first when it comes back.
#[test]
fn a_group_goes_on_where_it_committed() {
    let node = Node::start();
    assert_eq!(
        text(&node, &["group", "list"], ""),
        "there are no groups; begin one with `corelane consume --topic TOPIC --group NAME`\n"
    );
    assert_eq!(json(&node, &["group", "list"]), Value::Array(Vec::new()));
    text(&node, &["topic", "create", "t"], "");
    // Two batches, and a batch that is left in its middle.
    for value in ["a\nb\nc\nd\n", "e\nf\n"] {
        text(&node, &["produce", "--topic", "t", "--timestamp", "-1h"], value);
    }
    let consume = ["consume", "--topic", "t", "--group", "g"];
    assert_eq!(text(&node, &[&consume[..], &["--max", "3"]].concat(), ""), "a\nb\nc\n");
    let described = json(&node, &["group", "describe", "g"]);
    assert_eq!((&described["group"], &described["type"]), (&"g".into(), &"consumer".into()));
    assert_eq!((&described["state"], &described["lag"]), (&"Empty".into(), &3.into()));
    let partition = &described["partitions"][0];
    assert_eq!(partition["committed_offset"], 3);
    assert_eq!(partition["log_end_offset"], 6);
    assert_eq!(partition["owner"], Value::Null);
    let seconds = partition["lag_seconds"].as_f64().unwrap();
    assert!((3_600.0..7_200.0).contains(&seconds), "the unread record is an hour old: {seconds}");
    assert_eq!(described["lag_seconds"], partition["lag_seconds"]);
    assert_eq!(text(&node, &consume, ""), "d\ne\nf\n");
    assert_eq!(text(&node, &consume, ""), "", "all is read");
    let described = json(&node, &["group", "describe", "g"]);
    assert_eq!((&described["lag"], &described["lag_seconds"]), (&0.into(), &0.0.into()));
    // Another group has the whole stream.
    let other = ["consume", "t", "--group", "h", "--format", "json"];
    let all = text(&node, &other, "");
    let values: Vec<Value> = all.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(values.len(), 6, "{all}");
    assert_eq!((&values[5]["offset"], &values[5]["value"]), (&5.into(), &"f".into()));
    // Where nothing is committed, --from counts.
    assert_eq!(text(&node, &["consume", "t", "--group", "i", "--from", "4"], ""), "e\nf\n");
    assert_eq!(text(&node, &["consume", "t", "--group", "i", "--from", "0"], ""), "");
}

#[test]
fn groups_are_listed_with_their_lag_by_state_and_type() {
    let node = Node::start();
    text(&node, &["topic", "create", "t", "--partitions", "2"], "");
    for (partition, lines) in [("0", "a\nb\n"), ("1", "c\n")] {
        let words = ["produce", "--topic", "t", "--partition", partition, "--timestamp", "-1h"];
        text(&node, &words, lines);
    }
    for group in ["one", "two"] {
        let words = ["group", "seek", group, "--to-earliest", "--topic", "t", "--execute"];
        text(&node, &words, "");
    }
    text(&node, &["group", "seek", "two", "--shift", "1", "--topic", "t:0", "--execute"], "");
    let mut member = Consumer::start(&node, &["t", "--group", "busy", "--follow"]);
    wait_until("three records", || member.lines().len() == 3);
    wait_until("the whole topic", || shares(&node, "busy") == [2]);
    let listed = text(&node, &["group", "list", "--lag"], "");
    assert_eq!(listed.lines().next(), Some("GROUP  TYPE      STATE   MEMBERS  LAG"), "{listed}");
    let busy = &rows(&listed)[0];
    assert_eq!(busy[..4], ["busy", "consumer", "Stable", "1"], "{listed}");
    assert_eq!(
        rows(&listed)[1..],
        [["one", "classic", "Empty", "0", "3"], ["two", "classic", "Empty", "0", "2"]]
    );
    let names = |words: &[&str]| -> Vec<String> {
        let listed = json(&node, &[&["group", "list"], words].concat());
        let groups = listed.as_array().unwrap().iter();
        groups.map(|group| group["group"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&["--state", "stable"]), ["busy"]);
    assert_eq!(names(&["--state", "Empty"]), ["one", "two"]);
    assert_eq!(names(&["--type", "consumer"]), ["busy"]);
    assert_eq!(names(&["--type", "classic"]), ["one", "two"]);
    assert_eq!(names(&[]), ["busy", "one", "two"]);
    let nothing = text(&node, &["group", "list", "--state", "Assigning"], "");
    assert_eq!(nothing, "no group is like that; `corelane group list` shows all\n");

    // Nobody waits for a terminal.
    let lag = text(&node, &["group", "lag", "two", "one", "--watch"], "");
    let cells = rows(&lag);
    assert_eq!(cells[0][..6], ["two", "t", "0", "1", "2", "1"], "{lag}");
    assert_eq!(cells[1][..6], ["two", "t", "1", "0", "1", "1"], "{lag}");
    assert_eq!(cells[2][..3], ["two", "TOTAL", "2"], "{lag}");
    assert_eq!(cells[5][..3], ["one", "TOTAL", "3"], "{lag}");
    let lag = json(&node, &["group", "lag", "one"]);
    assert_eq!((&lag[0]["group"], &lag[0]["lag"]), (&"one".into(), &3.into()));
    assert!(lag[0]["lag_seconds"].as_f64().unwrap() >= 3_600.0, "{lag}");
    assert_eq!(json(&node, &["group", "lag"]).as_array().unwrap().len(), 3);
    let (code, error) = fails(&node, &["group", "lag", "three"]);
    assert!(code == 1 && error.contains("no group three; see what there is"), "{error}");

    let described = text(&node, &["group", "describe", "busy", "--members"], "");
    assert!(
        described.starts_with("group busy  consumer protocol, Stable, 1 member\n"),
        "{described}"
    );
    assert!(described.contains("assignor uniform, epoch "), "{described}");
    assert!(described.contains(&format!("coordinator {}", node.bootstrap())), "{described}");
    assert!(described.contains("  corelane  /127.0.0.1"), "{described}");
    assert!(described.trim_end().ends_with("t:0,1"), "{described}");
    member.end(Signal::TERM);
    assert!(member.said().contains("group busy: reading t:0,1"), "{}", member.said());
    let described = json(&node, &["group", "describe", "busy"]);
    assert_eq!(
        (&described["state"], &described["lag"]),
        (&"Empty".into(), &0.into()),
        "it committed"
    );
}

#[test]
fn a_seek_is_shown_before_it_is_done() {
    let node = Node::start();
    text(&node, &["topic", "create", "t", "--partitions", "2"], "");
    for (value, time) in [("a", "1000"), ("b", "2000"), ("c", "3000")] {
        let words =
            ["produce", "-t", "t", "--partition", "0", "--value", value, "--timestamp", time];
        text(&node, &words, "");
    }
    let (code, error) = fails(&node, &["group", "seek", "g", "--to-latest"]);
    assert!(code == 1 && error.contains("name what to move with --topic"), "{error}");
    let seek = |words: &[&str]| text(&node, &[&["group", "seek", "g"], words].concat(), "");
    let shown = seek(&["--to-latest", "--topic", "t"]);
    assert_eq!(
        shown,
        "TOPIC  PARTITION  OLD  NEW\nt              0    –    3\nt              1    –    0\n\
         nothing is changed yet: repeat the command with --execute\n"
    );
    assert_eq!(
        json(&node, &["group", "list"]),
        Value::Array(Vec::new()),
        "a dry run changes nothing"
    );
    let shown = seek(&["--to-latest", "--topic", "t", "--execute"]);
    assert!(shown.ends_with("moved group g in 2 partitions\n"), "{shown}");
    for (words, expected, note) in [
        (vec!["--to-offset", "1"], 1, ""),
        (vec!["--to-offset", "9"], 3, "outside of the log: moved to its end"),
        (vec!["--shift", "-1"], 2, ""),
        (vec!["--shift", "-9"], 0, "outside of the log: moved to its start"),
        (vec!["--to-time", "1500"], 1, ""),
        (vec!["--to-time", "1970-01-01T00:00:03Z"], 2, ""),
        (vec!["--to-time", "3001"], 3, "no record of that time or later"),
        (vec!["--by-duration", "1h"], 3, "no record of that time or later"),
        (vec!["--to-earliest"], 0, ""),
    ] {
        let words = [&["group", "seek", "g", "--topic", "t:0", "--execute"], &words[..]].concat();
        let moved = json(&node, &words);
        assert_eq!(moved["executed"], true);
        assert_eq!(moved["partitions"].as_array().unwrap().len(), 1, "{moved}");
        let partition = &moved["partitions"][0];
        assert_eq!(partition["new_offset"], expected, "{words:?}: {moved}");
        assert!(partition["note"].as_str().unwrap_or_default().contains(note), "{moved}");
        let described = json(&node, &["group", "describe", "g"]);
        assert_eq!(described["partitions"][0]["committed_offset"], expected, "{words:?}");
        // Each begins at the end again.
        seek(&["--to-latest", "--execute"]);
    }
    seek(&["--to-offset", "1", "--topic", "t:0", "--execute"]);
    assert_eq!(text(&node, &["consume", "t", "--group", "g"], ""), "b\nc\n");
    let (code, error) = fails(&node, &["group", "seek", "g", "--to-latest", "--topic", "t:7"]);
    assert!(code == 1 && error.contains("has no partition 7"), "{error}");
}

#[test]
fn a_group_that_is_being_read_is_neither_moved_nor_deleted() {
    let node = Node::start();
    text(&node, &["topic", "create", "t"], "");
    text(&node, &["produce", "--topic", "t"], "a\nb\n");
    let mut member = Consumer::start(&node, &["t", "--group", "g", "--follow"]);
    wait_until("two records", || member.lines().len() == 2);
    wait_until("the whole topic", || shares(&node, "g") == [1]);
    let shown = text(&node, &["group", "seek", "g", "--to-earliest", "--topic", "t"], "");
    let why = "group g is Stable with 1 member: corelane (/127.0.0.1); stop them first";
    assert!(shown.contains(&format!("--execute would be refused: {why}")), "{shown}");
    let seek = ["group", "seek", "g", "--to-earliest", "--topic", "t", "--execute"];
    for words in [&seek[..], &["group", "delete", "g", "--yes"]] {
        let (code, error) = fails(&node, words);
        assert!(code == 1 && error.contains(why), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    // The first commit may not have come yet.
    wait_until("a commit", || {
        json(&node, &["group", "describe", "g"])["partitions"][0]["committed_offset"] == 2
    });
    let (code, error) = fails(&node, &["group", "delete-offsets", "g", "--topic", "t", "--yes"]);
    assert!(code == 1 && error.contains("GROUP_SUBSCRIBED_TO_TOPIC"), "{error}");
    member.end(Signal::INT);
    text(&node, &seek, "");
    assert_eq!(text(&node, &["consume", "t", "--group", "g"], ""), "a\nb\n");

    let words = ["group", "delete-offsets", "g", "--topic", "t:0"];
    let (code, error) = fails(&node, &words);
    assert!(code == 2 && error.contains("--yes"), "{error}");
    let forgot = text(&node, &[&words[..], &["--yes"]].concat(), "");
    assert_eq!(forgot, "group g forgot 1 partition of t\n");
    let (code, error) = fails(&node, &[&words[..], &["--yes"]].concat());
    assert_eq!(code, 1, "{error}");
    text(&node, &["group", "seek", "g", "--to-latest", "--topic", "t", "--execute"], "");
    let (code, error) = fails(&node, &["group", "delete", "g"]);
    assert!(code == 2 && error.contains("--yes"), "{error}");
    assert_eq!(text(&node, &["group", "delete", "g", "--yes"], ""), "deleted group g\n");
    assert_eq!(json(&node, &["group", "list"]), Value::Array(Vec::new()));
    for words in [vec!["describe", "g"], vec!["delete", "g", "--yes"], vec!["lag", "g"]] {
        let (code, error) = fails(&node, &[&["group"], &words[..]].concat());
        assert!(code == 1 && error.contains("`corelane group list`"), "{words:?}: {error}");
    }
}

/// Every line is read once: by either while both read, by the other after one was ended.
#[test]
fn two_processes_share_a_topic_and_one_takes_over_from_the_other() {
    let mut node = Node::start();
    text(&node, &["topic", "create", "t", "--partitions", "4"], "");
    let words = ["t", "--group", "g", "--follow"];
    let mut first = Consumer::start(&node, &words);
    wait_until("the first has all", || {
        !rows(&text(&node, &["group", "list"], "")).is_empty() && shares(&node, "g") == [4]
    });
    let second = Consumer::start(&node, &words);
    wait_until("each has two", || shares(&node, "g") == [2, 2]);
    produce(&node, "t", 0..200);
    wait_until("all lines", || first.lines().len() + second.lines().len() >= 200);
    assert!(!first.lines().is_empty() && !second.lines().is_empty(), "both read");
    first.end(Signal::TERM);
    wait_until("the second has all", || shares(&node, "g") == [4]);
    produce(&node, "t", 200..300);
    wait_until("all lines", || first.lines().len() + second.lines().len() >= 300);
    let lines = [first.lines(), second.lines()].concat();
    assert_eq!(lines.len(), 300, "none twice");
    assert_eq!(lines.into_iter().collect::<BTreeSet<_>>(), numbers(0..300));

    // It outlives its node.
    node.kill();
    node.launch();
    produce(&node, "t", 300..400);
    wait_until("all lines", || second.lines().len() + first.lines().len() >= 400);
    let lines = [first.lines(), second.lines()].concat();
    assert_eq!(lines.into_iter().collect::<BTreeSet<_>>(), numbers(0..400));
}

/// Of more members than partitions one waits, and has the partition when the other ends.
#[test]
fn a_spare_member_takes_over() {
    let node = Node::start();
    text(&node, &["topic", "create", "t"], "");
    let words = ["t", "--group", "g", "--follow"];
    let mut first = Consumer::start(&node, &words);
    text(&node, &["produce", "--topic", "t", "--value", "a"], "");
    wait_until("the first reads", || first.lines() == ["a"]);
    let second = Consumer::start(&node, &words);
    wait_until("the second is there", || shares(&node, "g") == [0, 1]);
    first.end(Signal::TERM);
    text(&node, &["produce", "--topic", "t", "--value", "b"], "");
    wait_until("the second reads", || second.lines() == ["b"]);
}

/// Dashboards for danielqsj's kafka_exporter ask for these names and labels.
#[test]
fn lag_stands_on_metrics_in_records_and_in_seconds() {
    let node = Node::start();
    let metric = |row: &str| -> Option<f64> {
        let metrics = node.admin_get("/metrics").unwrap();
        let value = metrics.lines().find_map(|line| line.strip_prefix(row)?.strip_prefix(' '));
        value.map(|value| value.parse().unwrap())
    };
    text(&node, &["topic", "create", "t", "--partitions", "3"], "");
    for (partition, lines, time) in
        [("0", "a\nb\nc\n", "-1h"), ("0", "d\n", "-10m"), ("1", "e\n", "-1h")]
    {
        let words = ["produce", "-t", "t", "--partition", partition, "--timestamp", time];
        text(&node, &words, lines);
    }
    assert_eq!(metric("kafka_brokers"), Some(1.0));
    assert_eq!(metric("kafka_topic_partitions{topic=\"t\"}"), Some(3.0));
    let of = |partition: u8| format!("{{topic=\"t\",partition=\"{partition}\"}}");
    assert_eq!(metric(&format!("kafka_topic_partition_current_offset{}", of(0))), Some(4.0));
    assert_eq!(metric(&format!("kafka_topic_partition_oldest_offset{}", of(0))), Some(0.0));
    let group = "say \"hi\"";
    let seek = ["group", "seek", group, "--execute", "--topic"];
    text(&node, &[&seek[..], &["t:0", "--to-offset", "3"]].concat(), "");
    text(&node, &[&seek[..], &["t:1", "--to-earliest"]].concat(), "");
    text(&node, &[&seek[..], &["t:2", "--to-earliest"]].concat(), "");
    let name = "consumergroup=\"say \\\"hi\\\"\"";
    let row = |what: &str, partition: u8| {
        metric(&format!(
            "kafka_consumergroup_{what}{{{name},topic=\"t\",partition=\"{partition}\"}}"
        ))
    };
    let sum = |what: &str| metric(&format!("kafka_consumergroup_{what}{{{name},topic=\"t\"}}"));
    for (partition, committed, lag) in [(0, 3.0, 1.0), (1, 0.0, 1.0), (2, 0.0, 0.0)] {
        assert_eq!(row("current_offset", partition), Some(committed), "{partition}");
        assert_eq!(row("lag", partition), Some(lag), "{partition}");
    }
    assert_eq!((sum("current_offset_sum"), sum("lag_sum")), (Some(3.0), Some(2.0)));
    let seconds = |partition: u8| row("lag_seconds", partition).unwrap();
    assert!((600.0..3_600.0).contains(&seconds(0)), "the unread record: {}", seconds(0));
    assert!(seconds(1) >= 3_600.0, "{}", seconds(1));
    assert_eq!(seconds(2).to_bits(), 0.0_f64.to_bits(), "nothing is unread");
    let members = format!("kafka_consumergroup_members{{{name}}}");
    assert_eq!(metric(&members), Some(0.0));
    for rows in ["consumergroup", "topic_partition", "consumergroup_lag_seconds"] {
        let left_out = format!("corelane_metrics_rows_left_out{{rows=\"{rows}\"}}");
        assert_eq!(metric(&left_out), Some(0.0));
    }
    text(&node, &[&seek[..], &["t:0", "--to-latest"]].concat(), "");
    assert_eq!((row("lag", 0), row("lag_seconds", 0)), (Some(0.0), Some(0.0)));
    let member = Consumer::start(&node, &["t", "--group", group, "--follow"]);
    wait_until("a member", || metric(&members) == Some(1.0));
    wait_until("its commit", || sum("lag_sum") == Some(0.0));
    drop(member);
    text(&node, &["topic", "delete", "t", "--yes"], "");
    wait_until("the topic is gone", || sum("lag_sum").is_none());
}

/// A member of the classic protocol, as most clients are, and one of the other in the same group.
#[test]
fn members_of_either_protocol_are_described_and_share_a_group() {
    let node = Node::start();
    text(&node, &["topic", "create", "t", "--partitions", "2"], "");
    for partition in ["0", "1"] {
        text(&node, &["produce", "-t", "t", "--partition", partition], "a\nb\n");
    }
    let classic: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", node.bootstrap())
        .set("client.id", "app")
        .set("group.id", "g")
        .set("auto.offset.reset", "earliest")
        .set("auto.commit.interval.ms", "100")
        .create()
        .unwrap();
    classic.subscribe(&["t"]).unwrap();
    let poll_until = |what: &str, is_so: &dyn Fn() -> bool| {
        wait_until(what, || {
            let _ = classic.poll(Duration::from_millis(100));
            is_so()
        });
    };
    let described = || json(&node, &["group", "describe", "g"]);
    poll_until("all is committed", &|| {
        !json(&node, &["group", "list"]).as_array().unwrap().is_empty()
            && described()["partitions"].as_array().unwrap().len() == 2
            && described()["lag"] == 0
            && described()["partitions"][1]["committed_offset"] == 2
    });
    let group = described();
    assert_eq!((&group["type"], &group["state"]), (&"classic".into(), &"Stable".into()), "{group}");
    assert_eq!((&group["assignor"], &group["group_epoch"]), (&"range".into(), &Value::Null));
    let owner = &group["partitions"][1]["owner"];
    assert_eq!((&owner["client_id"], &owner["host"]), (&"app".into(), &"/127.0.0.1".into()));
    assert_eq!(group["members"][0]["partitions"], serde_json::json!({ "t": [0, 1] }));
    assert_eq!(group["members"][0]["subscribed"], serde_json::json!(["t"]));
    let shown = text(&node, &["group", "describe", "g", "--members"], "");
    assert!(shown.contains("group g  classic protocol, Stable, 1 member"), "{shown}");

    let other = Consumer::start(&node, &["t", "--group", "g", "--follow"]);
    poll_until("each has one", &|| shares(&node, "g") == [1, 1]);
    let group = described();
    assert_eq!((&group["type"], &group["lag"]), (&"consumer".into(), &0.into()), "{group}");
    drop(other);
}
