//! README.md's first page does what it says: its commands are run as they stand there, and what they print is
//! compared line by line with what it shows.
//!
//! In a shown line `…` stands for any text, and a line of its own for any lines. Ports are the test's own, given by
//! the environment; what the README shows of the usual ones is read as these.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps nothing")]

use std::fs::File;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a command, or a start, may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);
/// What the README calls to start a node; here it is built already.
const START: &str = "cargo run --release";

/// A command of the README with what it shows of its output.
#[derive(Debug)]
struct Step {
    command: String,
    shown: Vec<String>,
}

/// The `console` blocks between the heading of the first page and the next heading.
fn steps() -> Vec<Step> {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("README.md");
    let text = std::fs::read_to_string(readme).unwrap();
    let page = text.split("\n## First page\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut steps: Vec<Step> = Vec::new();
    let mut is_inside = false;
    for line in page.lines() {
        if line.starts_with("```") {
            is_inside = line == "```console";
        } else if let (true, Some(command)) = (is_inside, line.strip_prefix("$ ")) {
            steps.push(Step { command: command.to_owned(), shown: Vec::new() });
        } else if is_inside {
            steps.last_mut().unwrap().shown.push(line.to_owned());
        }
    }
    steps
}

/// A newcomer's folder, with a node that dies with the test.
struct Newcomer {
    folder: tempfile::TempDir,
    clients: String,
    admin: String,
    node: Option<Child>,
    exports: String,
}

impl Newcomer {
    fn new() -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        std::fs::create_dir_all(folder.path().join("target/release")).unwrap();
        let program = folder.path().join("target/release/corelane");
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_corelane"), program).unwrap();
        let ports = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [clients, admin] = ports.each_ref().map(|port| port.local_addr().unwrap().to_string());
        Self { folder, clients, admin, node: None, exports: String::new() }
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.folder.path())
            .env("CORELANE_LISTEN", &self.clients)
            .env("CORELANE_ADMIN", &self.admin)
            .env("CORELANE_BOOTSTRAP_SERVER", &self.clients)
            .env("CORELANE_MEMORY", "512MiB")
            .stdin(Stdio::null());
        command
    }

    /// Starts the node in its terminal; gives what it printed until it was ready.
    fn start(&mut self, last_line: &str) -> String {
        if let Some(mut killed) = self.node.take() {
            killed.wait().unwrap();
        }
        let said = self.said();
        let out = File::create(&said).unwrap();
        let mut command = self.command("target/release/corelane");
        // As `cargo run` calls it.
        command.arg0("target/release/corelane").stderr(out.try_clone().unwrap()).stdout(out);
        self.node = Some(command.spawn().unwrap());
        let begun = Instant::now();
        loop {
            let text = std::fs::read_to_string(&said).unwrap();
            if text.lines().any(|line| line == last_line) {
                return text;
            }
            let ended = self.node.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none() && begun.elapsed() < PATIENCE, "{ended:?}: {text}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn said(&self) -> PathBuf {
        self.folder.path().join("terminal")
    }

    /// In the other terminal: what `export` said before still holds.
    fn run(&mut self, line: &str) -> String {
        let script = format!("{}{line}", self.exports);
        let output = self.command("bash").args(["-c", &script]).output().unwrap();
        let printed = [output.stdout, output.stderr].concat();
        let printed = String::from_utf8(printed).unwrap();
        assert!(output.status.success(), "{line}: {printed}");
        if line.starts_with("export ") {
            self.exports.push_str(&format!("{line}\n"));
        }
        printed
    }

    /// What the README shows, with this test's ports.
    fn here(&self, shown: &str) -> String {
        shown.replace("127.0.0.1:9092", &self.clients).replace("127.0.0.1:9644", &self.admin)
    }
}

impl Drop for Newcomer {
    fn drop(&mut self) {
        if let Some(mut node) = self.node.take() {
            let _ = node.kill();
            let _ = node.wait();
        }
    }
}

/// Whether `line` is `shown`, with any text for each `…`.
fn is_line(shown: &str, line: &str) -> bool {
    let mut parts = shown.split('…');
    let Some(mut rest) = line.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts = parts.peekable();
    let is_exact = parts.peek().is_none();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    is_exact && rest.is_empty()
}

/// Whether the lines are the shown ones, with any lines for each `…` that is a line of its own.
fn are_lines(shown: &[String], lines: &[&str]) -> bool {
    match (shown.split_first(), lines.split_first()) {
        (None, None) => true,
        (Some((first, others)), _) if first == "…" => {
            are_lines(others, lines)
                || lines.split_first().is_some_and(|(_, rest)| are_lines(shown, rest))
        }
        (Some((first, others)), Some((line, rest))) => {
            is_line(first, line) && are_lines(others, rest)
        }
        _ => false,
    }
}

#[test]
fn the_first_page_does_what_it_shows() {
    let steps = steps();
    let mut newcomer = Newcomer::new();
    let mut starts = 0;
    for Step { command, shown } in &steps {
        let printed = if command == START {
            starts += 1;
            newcomer.start(shown.last().unwrap())
        } else {
            newcomer.run(command)
        };
        let shown: Vec<String> = shown.iter().map(|line| newcomer.here(line)).collect();
        let lines: Vec<&str> = printed.lines().collect();
        assert!(are_lines(&shown, &lines), "$ {command}\nshown:\n{shown:#?}\nprinted:\n{lines:#?}");
    }
    assert_eq!(starts, 2, "{steps:?}");
    assert!(steps.iter().any(|step| step.command.starts_with("kill -9 ")), "{steps:?}");
    let count = |what: &str| steps.iter().filter(|step| step.command.contains(what)).count();
    assert_eq!(count(" consume "), 4, "twice alone, twice in a group: {steps:?}");
    assert_eq!(count(" group "), 2, "{steps:?}");
}

#[test]
fn shown_lines_are_patterns_only_where_they_say_so() {
    for (shown, line, expected) in [
        ("one", "one", true),
        ("one", "one more", false),
        ("…", "anything", true),
        ("  data  ./d, …", "  data  ./d, 2 shards", true),
        ("a … b", "a and b", true),
        ("a … b", "a and c", false),
        ("b…", "a b", false),
    ] {
        assert_eq!(is_line(shown, line), expected, "{shown} and {line}");
    }
    let shown = ["…".to_owned(), "b".to_owned()];
    assert!(are_lines(&shown, &["a", "a", "b"]) && are_lines(&shown, &["b"]));
    assert!(!are_lines(&shown, &["a", "b", "c"]) && !are_lines(&shown, &[]));
}
