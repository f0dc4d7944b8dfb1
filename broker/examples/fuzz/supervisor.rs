//! Watches the process that tries the inputs: where it is, whether it moves, how much memory it has.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use crate::{Arguments, TARGETS};

/// One input to one target takes microseconds, a bomb some milliseconds.
const STUCK_AFTER: Duration = Duration::from_secs(20);
/// Samples, one input of 64 KiB and what it may become are a few dozen megabytes.
const RESIDENT_BYTES_MAX: u64 = 512 << 20;
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Where the rounds are, in a file that both processes see: the round and the target, eight bytes each.
pub(crate) struct Progress(File);

impl Progress {
    pub(crate) fn create(path: &Path) -> Self {
        Self(File::create(path).expect("the directory for temporary files can be written"))
    }

    pub(crate) fn note(&self, round: u64, target: u64) {
        let mut place = [0; 16];
        place[..8].copy_from_slice(&round.to_le_bytes());
        place[8..].copy_from_slice(&target.to_le_bytes());
        self.0.write_all_at(&place, 0).expect("sixteen bytes can be written");
    }

    fn read(path: &Path) -> Option<(u64, usize)> {
        let bytes: [u8; 16] = std::fs::read(path).ok()?.try_into().ok()?;
        let (round, target) = bytes.split_at(8);
        let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap_or_default());
        Some((number(round), usize::try_from(number(target)).ok()?))
    }
}

/// Runs the rounds in a process of their own; gives the exit code.
pub(crate) fn watch(arguments: &Arguments) -> i32 {
    let name = format!("corelane-fuzz-{}-{}", std::process::id(), arguments.seed);
    let path = std::env::temp_dir().join(name);
    let finding = supervise(arguments, &path);
    let place = Progress::read(&path);
    let _ = std::fs::remove_file(&path);
    let (round, target) = place.unwrap_or((arguments.round, 0));
    match finding {
        None => {
            let rounds = round - arguments.round;
            for (name, _) in TARGETS {
                println!("{name}: {rounds} inputs");
            }
            println!("{} passed, 0 failed (seed {})", TARGETS.len(), arguments.seed);
            0
        }
        Some(finding) => {
            let (name, _) = TARGETS[target.min(TARGETS.len() - 1)];
            println!("{name}: {finding}");
            println!(
                "repeat it with: cargo run --release -p broker --example fuzz -- --seed {} --round {round} --rounds 1",
                arguments.seed
            );
            println!("{} passed, 1 failed", TARGETS.len() - 1);
            1
        }
    }
}

/// Why the process did not get to its end, if it did not.
fn supervise(arguments: &Arguments, path: &Path) -> Option<String> {
    let mut child = Command::new(std::env::current_exe().expect("this program has a path"))
        .args(["--seconds", &arguments.seconds.to_string()])
        .args(["--seed", &arguments.seed.to_string()])
        .args(["--round", &arguments.round.to_string()])
        .args(["--rounds", &arguments.rounds.to_string()])
        .arg("--progress")
        .arg(path)
        .spawn()
        .expect("this program can be started again");
    let mut last = (None, Instant::now());
    loop {
        if let Some(status) = child.try_wait().expect("a child of ours can be waited for") {
            return ended(status);
        }
        let place = Progress::read(path);
        if place != last.0 {
            last = (place, Instant::now());
        }
        let resident = resident_bytes(&child);
        if resident > RESIDENT_BYTES_MAX {
            return Some(stopped(&mut child, &format!("{resident} bytes of memory")));
        }
        if place.is_some() && last.1.elapsed() > STUCK_AFTER {
            return Some(stopped(&mut child, "does not come to an end"));
        }
        thread::sleep(LOOK_EVERY);
    }
}

fn ended(status: ExitStatus) -> Option<String> {
    (!status.success()).then(|| format!("the process ended with {status}"))
}

fn stopped(child: &mut Child, why: &str) -> String {
    let _ = child.kill();
    let _ = child.wait();
    why.to_owned()
}

/// 0 where the system does not say.
fn resident_bytes(child: &Child) -> u64 {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
