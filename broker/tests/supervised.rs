//! A node that a supervisor started tells it when it is ready, that it is alive, and that it stops.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps nothing")]

use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// How long the node may say nothing before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// A node and the socket that it was given.
struct Supervised {
    node: Child,
    socket: UnixDatagram,
    clients: String,
    _folder: tempfile::TempDir,
}

impl Supervised {
    fn start(watchdog_micros: Option<u64>) -> Self {
        let folder = tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let ports = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [clients, admin] = ports.map(|port| port.local_addr().unwrap().to_string());
        let mut command = Command::new(env!("CARGO_BIN_EXE_corelane"));
        command
            .args(["serve", "--shards", "2", "--memory", "512MiB", "--listen", &clients])
            .args(["--admin", &admin, "--data-dir"])
            .arg(folder.path().join("data"))
            .env("NOTIFY_SOCKET", &path)
            .env_remove("WATCHDOG_PID")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if let Some(micros) = watchdog_micros {
            command.env("WATCHDOG_USEC", micros.to_string());
        }
        Self { node: command.spawn().unwrap(), socket, clients, _folder: folder }
    }

    fn hear(&self) -> String {
        let mut buffer = [0; 512];
        let length = self.socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.node.id()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        let _ = self.node.kill();
        let _ = self.node.wait();
    }
}

#[test]
fn a_node_says_ready_when_clients_can_connect_then_alive_then_stopping() {
    let mut supervised = Supervised::start(Some(400_000));
    assert!(supervised.hear().starts_with("READY=1\nSTATUS=serving"), "first of all");
    std::net::TcpStream::connect(&supervised.clients).unwrap();
    for _ in 0..3 {
        assert_eq!(supervised.hear(), "WATCHDOG=1");
    }
    supervised.signal(Signal::TERM);
    loop {
        match supervised.hear().as_str() {
            "WATCHDOG=1" => {}
            last => break assert!(last.starts_with("STOPPING=1\n"), "{last}"),
        }
    }
    assert!(supervised.node.wait().unwrap().success());
}

/// `systemctl start` waits for the first word, whatever the watchdog.
#[test]
fn without_a_watchdog_a_node_says_when_it_is_ready_and_when_it_stops() {
    let mut supervised = Supervised::start(None);
    assert!(supervised.hear().starts_with("READY=1\n"));
    supervised.signal(Signal::TERM);
    assert!(supervised.hear().starts_with("STOPPING=1\n"), "nothing in between");
    assert!(supervised.node.wait().unwrap().success());
}
