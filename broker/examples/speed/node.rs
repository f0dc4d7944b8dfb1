//! The node under measurement: started, asked what it used, ended.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

pub(crate) struct Node {
    child: Child,
    data_dir: PathBuf,
    client_port: u16,
    admin_port: u16,
}

/// What a process used so far.
#[derive(Clone, Copy, Default)]
pub(crate) struct Usage {
    pub(crate) cpu_seconds: f64,
    pub(crate) written_bytes: f64,
    pub(crate) peak_memory_bytes: u64,
}

impl Usage {
    pub(crate) fn since(&self, before: &Self) -> Self {
        Self {
            cpu_seconds: self.cpu_seconds - before.cpu_seconds,
            written_bytes: self.written_bytes - before.written_bytes,
            peak_memory_bytes: self.peak_memory_bytes,
        }
    }
}

impl Node {
    /// Starts the release binary beside this program on an empty directory.
    pub(crate) fn start(data_dir: &Path, flags: &[&str]) -> Self {
        let _ = std::fs::remove_dir_all(data_dir);
        std::fs::create_dir_all(data_dir).unwrap();
        let (client_port, admin_port) = (free_port(), free_port());
        let binary = std::env::current_exe().unwrap().parent().unwrap().join("../corelane");
        let child = Command::new(binary)
            .arg("serve")
            .args(["--data-dir".as_ref(), data_dir.as_os_str()])
            .args(["--listen", &format!("127.0.0.1:{client_port}")])
            .args(["--admin", &format!("127.0.0.1:{admin_port}")])
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("build the node first: cargo build --release");
        let node = Self { child, data_dir: data_dir.to_owned(), client_port, admin_port };
        while !node.is_ready() {
            std::thread::sleep(Duration::from_millis(5));
        }
        node
    }

    pub(crate) fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.client_port)
    }

    pub(crate) fn create_topic(&self, name: &str, partitions: i32) {
        self.topic(&["create", name, "--partitions", &partitions.to_string()]);
    }

    /// With all its records.
    #[allow(dead_code, reason = "the other program that takes this file in keeps its topics")]
    pub(crate) fn delete_topic(&self, name: &str) {
        self.topic(&["delete", name, "--yes"]);
    }

    fn topic(&self, arguments: &[&str]) {
        let binary = std::env::current_exe().unwrap().parent().unwrap().join("../corelane");
        let status = Command::new(binary)
            .arg("topic")
            .args(arguments)
            .args(["--bootstrap", &self.bootstrap()])
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "corelane topic {arguments:?} failed");
    }

    pub(crate) fn usage(&self) -> Usage {
        usage_of(self.child.id())
    }

    /// The journal's files are prewritten in the background from a moment after the start on: waits until nothing
    /// has been written for two seconds.
    #[allow(dead_code, reason = "the other program that takes this file in measures no latencies")]
    pub(crate) fn wait_until_prepared(&self) {
        const QUIET: Duration = Duration::from_secs(2);
        const LOOKS_MAX: usize = 60;
        let mut before = f64::NAN;
        for _ in 0..LOOKS_MAX {
            let written = self.usage().written_bytes;
            if written.total_cmp(&before).is_eq() {
                return;
            }
            before = written;
            std::thread::sleep(QUIET);
        }
        panic!("an idle node still writes after two minutes");
    }

    /// Ends the node in order, so that all it owes the device is written.
    pub(crate) fn stop_and_usage(self) -> Usage {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        // An ended process shows its figures until it is waited for.
        let stat = format!("/proc/{}/stat", self.child.id());
        while !std::fs::read_to_string(&stat).unwrap_or_default().contains(") Z ") {
            std::thread::sleep(Duration::from_millis(2));
        }
        self.usage()
    }

    fn is_ready(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.admin_port)) else {
            return false;
        };
        let _ = write!(stream, "GET /readyz HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).is_ok() && answer.starts_with("HTTP/1.1 200")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.data_dir);
    }
}

fn usage_of(pid: u32) -> Usage {
    let read =
        |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let stat = read("stat");
    let ticks: f64 = stat
        .rsplit_once(')')
        .map(|(_, rest)| rest.split_whitespace().skip(11).take(2))
        .into_iter()
        .flatten()
        .filter_map(|field| field.parse::<f64>().ok())
        .sum();
    let field = |text: &str, name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name))
            .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
            .unwrap_or(0)
    };
    Usage {
        // USER_HZ is 100 on every Linux that this runs on.
        cpu_seconds: ticks / 100.0,
        written_bytes: field(&read("io"), "write_bytes:") as f64,
        peak_memory_bytes: field(&read("status"), "VmHWM:") * 1024,
    }
}

/// One line about the machine.
pub(crate) fn machine_facts() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("unknown CPU", |rest| rest.trim_start_matches(['\t', ' ', ':']));
    let cores = cpu.lines().filter(|line| line.starts_with("processor")).count();
    format!("{cores} × {model}, Linux {}", read("/proc/sys/kernel/osrelease").trim())
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
