//! A real node for tests: the `corelane` binary on free ports, its data under target/.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "shared by several test programs, each of which uses a part"
)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long a node may take to become ready or to end before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs `corelane` with these words, which may be given standard input.
pub fn corelane(words: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_corelane"))
        .args(words)
        .env("CORELANE_DATA_DIR", "/nonexistent")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that does not read its input may have ended already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// A running node; it is killed when dropped.
pub struct Node {
    child: Option<Child>,
    directory: tempfile::TempDir,
    client_port: u16,
    admin_port: u16,
    flags: Vec<String>,
}

impl Node {
    /// Starts a node with two data shards and waits until it is ready.
    pub fn start() -> Self {
        Self::start_with(&["--shards", "2", "--memory", "512MiB"])
    }

    pub fn start_with(flags: &[&str]) -> Self {
        let base = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let (client_port, admin_port) = (free_port(), free_port());
        let mut node = Self {
            child: None,
            directory: tempfile::tempdir_in(base).unwrap(),
            client_port,
            admin_port,
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
        };
        node.launch();
        node
    }

    /// Other flags from the next launch on.
    pub fn set_flags(&mut self, flags: &[&str]) {
        self.flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
    }

    /// Starts the process again on the same directory; gives the time until it was ready.
    pub fn launch(&mut self) -> Duration {
        assert!(self.child.is_none(), "the node runs");
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.directory.path().join("node.log"))
            .unwrap();
        let begun = Instant::now();
        let child = Command::new(env!("CARGO_BIN_EXE_corelane"))
            .arg("serve")
            .arg("--data-dir")
            .arg(self.data_dir())
            .args(["--listen", &self.bootstrap()])
            .args(["--admin", &format!("127.0.0.1:{}", self.admin_port)])
            .args(&self.flags)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        while !self.is_ready() {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "the node ended: {ended:?}\n{}", self.log());
            assert!(begun.elapsed() < PATIENCE, "the node is not ready\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
        begun.elapsed()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGTERM; the node must end by itself, successfully.
    pub fn stop(&mut self) {
        self.signal(Signal::TERM);
        self.wait_for_end();
    }

    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.as_ref().unwrap().id()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    /// The node must end by itself, successfully.
    pub fn wait_for_end(&mut self) {
        let mut child = self.child.take().unwrap();
        let begun = Instant::now();
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                assert!(status.success(), "{status:?}\n{}", self.log());
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "the node does not end\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.client_port)
    }

    pub fn admin(&self) -> String {
        format!("127.0.0.1:{}", self.admin_port)
    }

    pub fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("node.log")).unwrap_or_default()
    }

    /// The body of an admin page, if it answers 200.
    pub fn admin_get(&self, path: &str) -> Option<String> {
        let address: SocketAddr = self.admin().parse().unwrap();
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5)).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        head.starts_with("HTTP/1.1 200").then(|| body.to_owned())
    }

    fn is_ready(&self) -> bool {
        self.admin_get("/readyz").is_some()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("the node's log:\n{}", self.log());
        }
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
