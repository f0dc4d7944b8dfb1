//! A process between this program and a broker: when this program ends, however it ends, the broker ends and its
//! folder is removed.
//!
//! ```text
//!   corelane-bench compare ──pipe──► corelane-bench keep-broker ──► broker
//!            ends, is killed, panics      reads the pipe's end:        killed
//!                                         removes the folder
//! ```
//!
//! The pipe has no other writer, so its end is the end of this program or of the [`Kept`]. The keeper is in a process
//! group of its own: a terminal's Ctrl-C does not reach it. Handlers of signals would not see SIGKILL.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::{DATA_FOLDER_DEFAULT, Launch};
use crate::failure::{Exit, Failure};
use crate::limits::BROKER_LOG_LINES_TOLD;

/// The name of the hidden command.
pub const COMMAND: &str = "keep-broker";
/// In the broker's folder: what it prints.
const LOG_FILE: &str = "broker.log";
/// Of this program and its peers: an environment that was meant for others changes no broker here.
const FOREIGN_SETTINGS: [&str; 3] = ["CORELANE_", "KAFKA_", "JAVA_TOOL_OPTIONS"];

/// A broker whose keeper runs. Dropped, both have ended and the folder is gone.
#[derive(Debug)]
pub(crate) struct Kept {
    keeper: Child,
    /// Its end ends the broker.
    pipe: Option<ChildStdin>,
    folder: PathBuf,
    process: u32,
}

impl Kept {
    pub(crate) fn start(keeper: &Path, folder: &Path, launch: &Launch) -> Result<Self, Failure> {
        let program = launch.program.display();
        let failed = |error: &io::Error| Failure::new(format!("{program} cannot be kept: {error}"));
        let mut child = Command::new(keeper)
            .arg(COMMAND)
            .arg(folder)
            .arg("--")
            .arg(&launch.program)
            .args(&launch.arguments)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| failed(&error))?;
        let output = child.stdout.take().expect("it is piped");
        let mut kept =
            Self { pipe: child.stdin.take(), keeper: child, folder: folder.into(), process: 0 };
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).map_err(|error| failed(&error))?;
        kept.process = line
            .trim()
            .parse()
            .map_err(|_| Failure::new(format!("{program} cannot be started: {}", line.trim())))?;
        Ok(kept)
    }

    pub(crate) const fn process(&self) -> u32 {
        self.process
    }

    /// The keeper collects it at once, so that it is no zombie.
    pub(crate) fn has_ended(&self) -> bool {
        !Path::new("/proc").join(self.process.to_string()).exists()
    }

    /// What the broker said last.
    pub(crate) fn last_lines(&self) -> String {
        let log = fs::read(self.folder.join(LOG_FILE)).unwrap_or_default();
        last_lines(&String::from_utf8_lossy(&log))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        drop(self.pipe.take());
        let _ = self.keeper.wait();
    }
}

/// The keeper itself: comes back when the pipe has ended, the broker is dead and its folder is gone.
pub fn keep(folder: &Path, command: &[String]) -> Result<Exit, Failure> {
    let started = start(folder, command);
    let _ = match &started {
        Ok(broker) => writeln!(io::stdout(), "{}", broker.id()),
        Err(error) => writeln!(io::stdout(), "{error}"),
    };
    let _ = io::stdout().flush();
    let waiting = started.map(|mut broker| {
        let id = i32::try_from(broker.id()).ok().and_then(Pid::from_raw);
        // A handle on this very process: its number may be another's by then.
        let handle = id.and_then(|id| pidfd_open(id, PidfdFlags::empty()).ok());
        let collecting = std::thread::spawn(move || broker.wait());
        wait_for_the_end();
        if let Some(handle) = handle {
            let _ = pidfd_send_signal(&handle, Signal::KILL);
        }
        let _ = collecting.join();
    });
    if waiting.is_err() {
        wait_for_the_end();
    }
    fs::remove_dir_all(folder).map_err(|error| Failure::new(error.to_string()))?;
    // The folder that nobody named, where nobody else's is in it.
    if let Some(parent) = folder.parent().filter(|parent| parent.ends_with(DATA_FOLDER_DEFAULT)) {
        let _ = fs::remove_dir(parent);
    }
    Ok(Exit::Done)
}

fn start(folder: &Path, command: &[String]) -> io::Result<Child> {
    let log = File::create(folder.join(LOG_FILE))?;
    let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut broker = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if FOREIGN_SETTINGS.iter().any(|start| text.starts_with(start)) {
            broker.env_remove(&name);
        }
    }
    broker
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
}

fn wait_for_the_end() {
    let mut nothing = [0; 64];
    while io::stdin().read(&mut nothing).is_ok_and(|length| length > 0) {}
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(BROKER_LOG_LINES_TOLD)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::last_lines;
    use crate::limits::BROKER_LOG_LINES_TOLD;

    #[test]
    fn the_last_lines_are_told_and_empty_ones_are_none() {
        assert_eq!(last_lines("a\n\nb\n"), "a\nb");
        assert_eq!(last_lines(""), "");
        let many: Vec<String> = (0..100).map(|at| at.to_string()).collect();
        let told = last_lines(&many.join("\n"));
        assert_eq!(told.lines().count(), BROKER_LOG_LINES_TOLD);
        assert!(told.ends_with("99"));
    }
}
