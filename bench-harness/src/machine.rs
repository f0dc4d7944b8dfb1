//! The limits of this machine, measured in this process: what no broker on it can exceed, and what the clients can.
//!
//! * `limit`: one measured limit, with its unit, its samples and how it was measured
//! * `disk`: what `tuning`'s probes find
//! * `processor`: copying, CRC32C, system calls, clock, timers
//! * `loopback`: throughput and round trip of TCP in this machine
//! * `client_ceiling`: librdkafka against brokers that do next to nothing
//!
//! One probe after another, so that none disturbs the next; whoever shows what happens takes [`Step`]s. Others on
//! the machine make limits lower, never higher: the stolen time, and what others used, are part of the report.

mod client_ceiling;
mod disk;
mod limit;
mod loopback;
mod processor;

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use tuning::{Bandwidth, DirectoryFacts, HostFacts, HostRoot};

use crate::accounting::Watched;
use crate::failure::Failure;

pub use limit::{Group, Limit, Unit};

/// What to measure.
#[derive(Clone, Debug)]
pub struct LimitsRequest {
    /// On the disk that is measured.
    pub directory: PathBuf,
    /// Five times as long, and sweeps of block size and depth.
    pub is_thorough: bool,
    pub groups: Vec<Group>,
}

/// A probe is about to begin.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    pub number: usize,
    pub what: &'a str,
}

/// Everything that was measured. `limits.json` is this.
#[derive(Clone, Debug, Serialize)]
pub struct LimitsReport {
    pub format: u32,
    pub taken_unix_seconds: u64,
    pub took_seconds: f64,
    pub is_thorough: bool,
    /// False for a build without optimisation: its processor and client limits say nothing.
    pub is_optimised: bool,
    pub machine: HostFacts,
    pub disk: Option<DirectoryFacts>,
    pub limits: Vec<Limit>,
    /// With `thorough`: each block size and depth, and where more of either gains nothing.
    pub sweep: Vec<Bandwidth>,
    pub knees: Vec<Bandwidth>,
    pub warnings: Vec<String>,
}

impl LimitsReport {
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Limit> {
        self.limits.iter().find(|limit| limit.id == id)
    }
}

/// What probes have in common.
struct Measuring<'a> {
    request: &'a LimitsRequest,
    observe: &'a mut dyn FnMut(&Step<'_>),
    step: usize,
    limits: Vec<Limit>,
    sweep: Vec<Bandwidth>,
    knees: Vec<Bandwidth>,
    warnings: Vec<String>,
}

impl Measuring<'_> {
    fn begin(&mut self, what: &str) {
        self.step += 1;
        (self.observe)(&Step { number: self.step, what });
    }

    /// How long a probe takes that takes so long by default.
    fn time(&self, milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds) * if self.request.is_thorough { 5 } else { 1 }
    }
}

/// Measures one group after the other.
pub fn measure(
    request: &LimitsRequest,
    observe: &mut dyn FnMut(&Step<'_>),
) -> Result<LimitsReport, Failure> {
    let begin = Instant::now();
    let host = HostRoot::live();
    let watched = Watched::find("", None);
    let before = watched.snapshot();
    let mut measuring = Measuring {
        request,
        observe,
        step: 0,
        limits: Vec::new(),
        sweep: Vec::new(),
        knees: Vec::new(),
        warnings: Vec::new(),
    };
    let mut disk = None;
    for group in Group::ALL.iter().filter(|group| request.groups.contains(group)) {
        match group {
            Group::Disk => disk = Some(disk::measure(&mut measuring, &host)?),
            Group::Processor => processor::measure(&mut measuring),
            Group::Loopback => loopback::measure(&mut measuring)?,
            Group::Clients => client_ceiling::measure(&mut measuring)?,
        }
    }
    let took_seconds = begin.elapsed().as_secs_f64();
    let used = watched.snapshot().since(&before, took_seconds);
    measuring.limits.push(limit::steal(used.steal_percent, took_seconds));
    if cfg!(debug_assertions) {
        let why = "this program was built without optimisation: limits of processor and clients \
                   say nothing; build it with --release";
        measuring.warnings.push(why.to_owned());
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Ok(LimitsReport {
        format: 1,
        taken_unix_seconds: now,
        took_seconds,
        is_thorough: request.is_thorough,
        is_optimised: !cfg!(debug_assertions),
        machine: HostFacts::read(&host),
        disk,
        limits: measuring.limits,
        sweep: measuring.sweep,
        knees: measuring.knees,
        warnings: measuring.warnings,
    })
}
