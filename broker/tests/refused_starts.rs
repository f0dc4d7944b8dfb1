//! Starts that are refused: each says in one sentence why, and which command comes next.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps nothing")]

mod node;

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use node::Node;

/// What a node says that does not start with these arguments.
fn refused(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_corelane"))
        .arg("serve")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
    let lines: Vec<&str> = said.lines().filter(|line| !line.starts_with("info: ")).collect();
    assert_eq!(lines.len(), 1, "{arguments:?}: {said}");
    lines[0].to_owned()
}

/// A directory below the build folder, and flags that let a node start in it.
struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        Self { directory }
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().unwrap().to_owned()
    }

    fn refused_in(&self, name: &str) -> String {
        let path = self.path(name);
        refused(&["--data-dir", &path, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
    }
}

#[test]
fn a_port_in_use_is_named_with_the_command_that_shows_by_whom() {
    let place = Place::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let (port, data) = (address.port().to_string(), place.path("data"));
    let address = address.to_string();
    for (listen, admin) in [(address.as_str(), "127.0.0.1:0"), ("127.0.0.1:0", &address)] {
        let said = refused(&["--data-dir", &data, "--listen", listen, "--admin", admin]);
        assert!(said.contains(&format!("{address} is in use")), "{said}");
        assert!(said.contains(&format!("ss -ltnp 'sport = :{port}'")), "{said}");
    }
    assert!(!Path::new(&data).exists(), "nothing is created by a start that is refused");
}

/// The node met its own lock, beside a directory that it had begun.
#[test]
fn a_directory_that_is_given_twice_is_named_twice() {
    let place = Place::new();
    let data = place.path("data");
    let ports = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    for other in [data.clone(), place.path("elsewhere/../data/")] {
        let given = ["--data-dir", &data, "--data-dir", &other];
        let said = refused(&[&given[..], &ports].concat());
        assert!(said.contains(&format!("--data-dir {other} are the same directory")), "{said}");
        assert!(!Path::new(&data).exists(), "nothing is created by a start that is refused");
    }
}

/// It was an input/output error of a mapping, beside a directory that was begun.
#[test]
fn more_memory_than_shards_can_have_is_refused_with_what_they_can_have() {
    let place = Place::new();
    let data = place.path("data");
    let said = refused(&["--data-dir", &data, "--memory", "999TiB", "--shards", "2"]);
    assert!(said.contains("--memory 999 TiB is more than the shards can use"), "{said}");
    assert!(said.contains("give 2 TiB or less"), "{said}");
    assert!(!Path::new(&data).exists());
}

/// The environment has texts, and its truths are texts, too.
#[test]
fn truths_of_the_environment_and_of_flags_are_understood() {
    let place = Place::new();
    let data = place.path("data");
    let code = |truth: Option<&str>, flag: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_corelane"));
        command.args(["serve", "--data-dir", &data, "--memory", "1MiB"]).args(flag);
        if let Some(truth) = truth {
            command.env("CORELANE_PIN_MEMORY", truth);
        }
        command.stdin(Stdio::null()).output().unwrap().status.code()
    };
    // 1: understood, and refused for the memory.
    for truth in ["1", "0", "true", "false"] {
        assert_eq!(code(Some(truth), &[]), Some(1), "{truth}");
    }
    for flag in ["--pin-memory", "--pin-memory=true", "--pin-memory=false"] {
        assert_eq!(code(None, &[flag]), Some(1), "{flag}");
    }
    assert_eq!(code(Some("perhaps"), &[]), Some(2));
}

#[test]
fn a_refusal_is_json_where_json_is_asked_for() {
    let place = Place::new();
    let data = place.path("data");
    let said_of = |words: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_corelane")).args(words).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        let last: serde_json::Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
        (output.status.code(), last["error"].clone())
    };
    let (code, error) = said_of(&["--format", "json", "--data-dir", &data, "--data-dir", &data]);
    assert_eq!((code, &error["kind"]), (Some(1), &"failed".into()));
    assert_eq!(error["next"], "give each one once");
    let (code, error) = said_of(&["topic", "--format=json", "lisst"]);
    assert_eq!((code, &error["kind"]), (Some(2), &"usage".into()));
    assert!(error["message"].as_str().unwrap().contains("lisst"), "{error}");
    let (code, error) = said_of(&["topic", "list", "--format", "json", "-b", "127.0.0.1:1"]);
    assert_eq!(code, Some(1));
    assert!(error["next"].as_str().unwrap().contains("start a node"), "{error}");
}

#[test]
fn a_second_node_on_a_directory_is_told_of_the_first() {
    let node = Node::start();
    let data = node.data_dir();
    let data = data.to_str().unwrap();
    let said = refused(&["--data-dir", data, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    assert!(said.contains(data) && said.contains("is in use by the node"), "{said}");
    assert!(said.contains("(kill ") && said.contains("--data-dir"), "{said}");
    assert!(node.admin_get("/readyz").is_some(), "the first node is left alone");
}

#[test]
fn a_file_where_the_directory_should_be_is_moved_away() {
    let place = Place::new();
    std::fs::write(place.path("file"), "not a directory").unwrap();
    for name in ["file", "file/data"] {
        let said = place.refused_in(name);
        assert!(said.contains(&place.path(name)), "{said}");
        assert!(said.contains("ls -ld") && said.contains("--data-dir"), "{said}");
        assert!(!said.contains("install -d"), "{said}");
    }
}

#[test]
fn a_directory_that_may_not_be_written_is_mended_or_replaced() {
    // Nobody, root included, writes here.
    let said = refused(&[
        "--data-dir",
        "/proc/corelane-data",
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
    ]);
    assert!(said.contains("/proc/corelane-data cannot be created"), "{said}");
    assert!(said.contains("--data-dir"), "{said}");
}

/// A node without its metadata log began a new cluster beside the data of the old one.
#[test]
fn partitions_without_their_metadata_log_start_no_new_cluster() {
    let mut node = Node::start();
    node.stop();
    let data = node.data_dir();
    std::fs::remove_dir_all(data.join("__cluster_metadata-0")).unwrap();
    let place = data.to_str().unwrap();
    let said = refused(&["--data-dir", place, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    assert!(said.contains("__cluster_metadata-0 is missing"), "{said}");
    assert!(said.contains("backup") && said.contains("--data-dir"), "{said}");
}

/// The directory's name is durable before anything in it.
#[test]
fn a_first_start_that_was_cut_short_is_begun_again() {
    let mut node = Node::start();
    node.stop();
    let data = node.data_dir();
    let metadata = data.join("__cluster_metadata-0");
    std::fs::remove_dir_all(data.join("journal")).unwrap();
    std::fs::remove_dir_all(&metadata).unwrap();
    std::fs::create_dir(&metadata).unwrap();
    node.launch();
    node.stop();

    std::fs::remove_dir_all(data.join("journal")).unwrap();
    std::fs::write(metadata.join("partition.metadata"), "not what was written").unwrap();
    let place = data.to_str().unwrap();
    let flags = ["--data-dir", place, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let (code, said) = corelane(&[&["serve"], &flags[..]].concat());
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("__cluster_metadata-0 is missing or damaged"), "{said}");
}

#[test]
fn an_identity_that_the_metadata_does_not_know_is_corrected() {
    let mut node = Node::start();
    node.stop();
    let data = node.data_dir();
    let meta = data.join("meta.properties");
    let sound = std::fs::read_to_string(&meta).unwrap();
    let cluster = sound.lines().find_map(|line| line.strip_prefix("cluster.id=")).unwrap();
    let other = format!("{}{}", if cluster.starts_with('A') { "B" } else { "A" }, &cluster[1..]);
    for (key, from, to) in [("cluster.id", cluster, other.as_str()), ("node.id", "1", "2")] {
        let changed = sound.replace(&format!("{key}={from}"), &format!("{key}={to}"));
        std::fs::write(&meta, changed).unwrap();
        let place = data.to_str().unwrap();
        let arguments = ["--data-dir", place, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
        let said = refused(&arguments);
        assert!(said.contains(&format!("correct the line to {key}={from}")), "{said}");
    }
    std::fs::write(&meta, sound).unwrap();
    node.launch();
}

/// Exit code and what it says of another command.
fn corelane(words: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_corelane"))
        .args(words)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

/// A node with two log directories; each partition of its topic `t` has been in the journals of both.
fn node_with_two_directories(second: &str) -> Node {
    let node = Node::start_with(&["--shards", "2", "--memory", "512MiB", "--data-dir", second]);
    let (bootstrap, admin) = (node.bootstrap(), node.admin());
    let topic = ["topic", "create", "t", "--partitions", "2", "-b", &bootstrap];
    assert_eq!(corelane(&topic).0, Some(0));
    for partition in ["0", "1"] {
        for shard in ["0", "1"] {
            let words = ["partition", "move", "t", partition, "--shard", shard, "--admin", &admin];
            assert_eq!(corelane(&words).0, Some(0));
            let words = ["produce", "t", "--partition", partition, "--value", shard];
            assert_eq!(corelane(&[&words[..], &["-b", &bootstrap]].concat()).0, Some(0));
        }
    }
    node
}

fn assert_holds_everything(node: &Node) {
    for partition in ["0", "1"] {
        let words = ["consume", "t", "--partition", partition, "-b", &node.bootstrap()];
        assert_eq!(corelane(&words), (Some(0), "0\n1\n".to_owned()));
    }
}

/// A partition whose log is in one directory and whose shard's journal is in the other lost what it had
/// acknowledged when the node was started without the other one, and went on as if it had never been.
#[test]
fn a_start_without_one_of_the_log_directories_is_refused() {
    let place = Place::new();
    let (second, empty) = (place.path("second"), place.path("empty"));
    let mut node = node_with_two_directories(&second);
    node.kill();
    let first = node.data_dir();
    let first = first.to_str().unwrap();
    let meta = Path::new(first).join("meta.properties");
    let before = std::fs::read(&meta).unwrap();
    let alone: [&[&str]; 3] = [
        &["--data-dir", first],
        &["--data-dir", &second],
        // Where it should be mounted, it is no better than none.
        &["--data-dir", first, "--data-dir", &empty],
    ];
    let ports = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    for (given, missing) in alone.into_iter().zip([&second, first, &second]) {
        let said = refused(&[given, &ports[..]].concat());
        assert!(said.contains(&format!("the node's data in {missing} are missing")), "{said}");
        assert!(said.contains("give all --data-dir"), "{said}");
    }
    assert_eq!(std::fs::read(&meta).unwrap(), before, "nothing was begun");
    for (words, expected) in [(&[][..], 1), (&["--accept-loss", "--yes"][..], 2)] {
        let (code, said) = corelane(&[&["verify", first], words].concat());
        assert_eq!(code, Some(expected), "{said}");
        assert!(said.contains(&format!("the node's data in {second} are missing")), "{said}");
    }
    node.launch();
    assert_holds_everything(&node);
}

/// A new identity for journals that have another would make them unreadable for good.
#[test]
fn journals_without_meta_properties_get_no_new_identity() {
    let mut node = Node::start();
    node.stop();
    let data = node.data_dir();
    let meta = data.join("meta.properties");
    let kept = std::fs::read(&meta).unwrap();
    std::fs::remove_file(&meta).unwrap();
    let place = data.to_str().unwrap();
    let said = refused(&["--data-dir", place, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    assert!(said.contains("meta.properties is missing"), "{said}");
    assert!(said.contains("backup") && said.contains("--data-dir"), "{said}");
    std::fs::write(&meta, kept).unwrap();
    node.launch();
}
