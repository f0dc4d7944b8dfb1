//! A process in `/proc`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::read;

/// USER_HZ is 100 on every Linux that this runs on.
pub(super) const TICKS_PER_SECOND: f64 = 100.0;
/// LISTEN, in `/proc/net/tcp`.
const STATE_LISTEN: &str = "0A";

/// Since the process began.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProcessUsage {
    /// Of all its threads, kernel workers of its rings included.
    pub cpu_seconds: f64,
    pub written_bytes: u64,
    pub peak_memory_bytes: u64,
    pub resident_bytes: u64,
}

/// `None` where there is no such process (any more).
pub(super) fn usage(root: &Path, pid: u32) -> Option<ProcessUsage> {
    let folder = process(root, pid);
    let cpu_seconds = cpu_seconds(&read(&folder.join("stat")))?;
    let status = read(&folder.join("status"));
    Some(ProcessUsage {
        cpu_seconds,
        written_bytes: field(&read(&folder.join("io")), "write_bytes:").unwrap_or(0),
        peak_memory_bytes: field(&status, "VmHWM:").unwrap_or(0) * 1024,
        resident_bytes: field(&status, "VmRSS:").unwrap_or(0) * 1024,
    })
}

pub(super) fn thread_cpu(root: &Path, pid: u32) -> BTreeMap<u32, f64> {
    let tasks = fs::read_dir(process(root, pid).join("task"));
    let tasks = tasks.into_iter().flatten().flatten();
    tasks
        .filter_map(|task| {
            let id = task.file_name().to_str()?.parse().ok()?;
            Some((id, cpu_seconds(&read(&task.path().join("stat")))?))
        })
        .collect()
}

/// Programs that listen for a container's broker and only pass on what they get: what they use is not the broker's.
const FORWARDERS: [&str; 7] =
    ["docker-proxy", "rootlessport", "rootlesskit", "slirp4netns", "conmon", "pasta", "pasta.avx2"];

/// The process whose socket listens on the port; needs to be its user, or root. `None` also where it only forwards.
pub(super) fn listening_on(root: &Path, port: u16) -> Option<u32> {
    let tables = ["proc/net/tcp", "proc/net/tcp6"].map(|table| read(&root.join(table)));
    let sockets: Vec<String> =
        tables.iter().flat_map(|table| listening_inodes(table, port)).collect();
    let links: Vec<PathBuf> =
        sockets.iter().map(|inode| PathBuf::from(format!("socket:[{inode}]"))).collect();
    let processes = fs::read_dir(root.join("proc")).ok()?.flatten();
    let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let listener = pids.find(|pid| {
        let files = fs::read_dir(process(root, *pid).join("fd"));
        let files = files.into_iter().flatten().flatten();
        files.filter_map(|file| fs::read_link(file.path()).ok()).any(|link| links.contains(&link))
    })?;
    let name = read(&process(root, listener).join("comm"));
    (!FORWARDERS.contains(&name.trim_end())).then_some(listener)
}

/// Inodes of the sockets of a table that listen on the port.
fn listening_inodes(table: &str, port: u16) -> Vec<String> {
    let wanted = format!(":{port:04X}");
    let lines = table.lines().skip(1);
    lines
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let is_it = fields.get(1)?.ends_with(&wanted) && *fields.get(3)? == STATE_LISTEN;
            is_it.then(|| fields.get(9).map(|inode| (*inode).to_owned())).flatten()
        })
        .collect()
}

/// Of a `stat` file, whose second field may contain anything but ends with the last parenthesis.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

pub(super) fn field(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

pub(super) fn process(root: &Path, pid: u32) -> PathBuf {
    root.join("proc").join(pid.to_string())
}

#[cfg(test)]
mod tests {
    use super::{cpu_seconds, field, listening_inodes, listening_on};

    #[test]
    fn cpu_time_is_read_behind_any_name() {
        let stat = "12 (a ) (b) S 1 12 12 0 -1 4194304 9 0 0 0 250 150 0 0 20 0 4 0 5 6 7";
        assert_eq!(cpu_seconds(stat), Some(4.0));
        assert_eq!(cpu_seconds(""), None);
    }

    #[test]
    fn fields_and_listening_sockets_are_found() {
        assert_eq!(field("VmPeak:\t 9 kB\nVmHWM:\t  123 kB\n", "VmHWM:"), Some(123));
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:2384 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 777 1 x
   1: 0100007F:2384 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 778 1 x
   2: 0100007F:2385 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 779 1 x";
        assert_eq!(listening_inodes(table, 9092), ["777"]);
    }

    /// Its CPU time was told as that of the broker in the container behind it.
    #[test]
    fn who_only_forwards_to_a_container_is_not_the_broker() {
        let root = tempfile::tempdir().unwrap();
        let process = root.path().join("proc/77");
        std::fs::create_dir_all(process.join("fd")).unwrap();
        std::fs::create_dir_all(root.path().join("proc/net")).unwrap();
        let table = "head\n 0: 0100007F:2384 00000000:0000 0A 0:0 00:0 0 0 0 777 1 x\n";
        std::fs::write(root.path().join("proc/net/tcp"), table).unwrap();
        std::os::unix::fs::symlink("socket:[777]", process.join("fd/3")).unwrap();
        for (name, found) in [("corelane", Some(77)), ("docker-proxy", None)] {
            std::fs::write(process.join("comm"), format!("{name}\n")).unwrap();
            assert_eq!(listening_on(root.path(), 9092), found, "{name}");
        }
    }
}
