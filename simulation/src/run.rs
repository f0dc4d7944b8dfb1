//! Runs worlds one after the other and says what came of it.

use std::cell::Cell;
use std::fmt::Write as _;
use std::time::Instant;

use crate::engine_world::{CutPhase, EngineWorld, Tally, WorldOptions};
use crate::options::Options;
use crate::plant::Plant;
use crate::violation::Violation;

/// Worlds that a planted fault may survive at most.
pub(crate) const PLANTED_WORLDS_MAX: u64 = 400;

thread_local! {
    /// Of the world that is running, for whoever must say how to see it again.
    static RUNNING: Cell<Option<(u64, u64, Plant)>> = const { Cell::new(None) };
}

/// What one world came to.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) tally: Tally,
    pub(crate) trace_hash: u64,
    pub(crate) violation: Option<Violation>,
}

/// Runs the world of one seed.
pub(crate) fn run_world(options: WorldOptions) -> Outcome {
    RUNNING.set(Some((options.seed, options.steps, options.plant)));
    let mut world = EngineWorld::new(options);
    let violation = world.run().err();
    RUNNING.set(None);
    Outcome { tally: world.tally(), trace_hash: world.trace_hash(), violation }
}

/// The command that runs the current world again, for the panic hook.
pub(crate) fn running_command() -> Option<String> {
    RUNNING.get().map(|(seed, steps, plant)| command(seed, steps, plant))
}

pub(crate) fn running_plant() -> Option<Plant> {
    RUNNING.get().map(|running| running.2)
}

fn command(seed: u64, steps: u64, plant: Plant) -> String {
    let mut line = format!("simulation --cuts 1 --seed {seed} --steps {steps} --trace");
    if plant != Plant::Nothing {
        let _ = write!(line, " --plant {}", plant.name());
    }
    line
}

/// What a whole run came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    pub(crate) worlds: u64,
    pub(crate) tally: Tally,
    pub(crate) trace_hash: u64,
    pub(crate) failed: Option<(u64, Violation)>,
}

/// Makes worlds until enough cuts have happened, or something is found.
pub(crate) fn run(options: &Options) -> Report {
    let mut report = Report::default();
    while report.tally.cuts < options.cuts {
        let seed = options.seed + report.worlds;
        let outcome = run_world(WorldOptions {
            seed,
            plant: options.plant,
            steps: options.steps,
            trace: options.trace,
        });
        report.worlds += 1;
        report.tally.merge(&outcome.tally);
        report.trace_hash = report.trace_hash.rotate_left(5) ^ outcome.trace_hash;
        if let Some(violation) = outcome.violation {
            report.failed = Some((seed, violation));
            break;
        }
    }
    report
}

/// Runs a planted fault until it is found.
pub(crate) fn run_planted(options: &Options) -> Report {
    let mut report = Report::default();
    let mut seed = options.seed;
    while report.failed.is_none() && report.worlds < PLANTED_WORLDS_MAX {
        let one = run(&Options { cuts: 1, seed, ..*options });
        report.worlds += one.worlds;
        report.tally.merge(&one.tally);
        report.failed = one.failed;
        seed += one.worlds;
    }
    report
}

/// The report for people, and whether all is well.
pub(crate) fn describe(options: &Options, report: &Report, begun: Instant) -> (String, bool) {
    let mut text = String::new();
    let tally = &report.tally;
    let _ = writeln!(
        text,
        "{} worlds from seed {}: {} power cuts, {} kills, {} orderly stops, {} failed disks, {} damaged disks",
        report.worlds,
        options.seed,
        tally.cuts,
        tally.kills,
        tally.stops,
        tally.failures,
        tally.damages
    );
    let _ = writeln!(
        text,
        "{} appends ({} MiB, {} sent again), {} reads, {} batches compared, {} answers told of damage, {} s of virtual time",
        tally.appends,
        tally.appended_bytes >> 20,
        tally.duplicates,
        tally.reads,
        tally.batches_checked,
        tally.told_damage,
        tally.virtual_ms / 1000
    );
    let _ = writeln!(text, "power cuts that interrupted");
    for phase in CutPhase::ALL {
        let _ = writeln!(text, "  {:<28}{:>7}", phase.name(), tally.phases.count(phase));
    }
    let seconds = begun.elapsed().as_secs_f64();
    let _ = writeln!(
        text,
        "trace {:016x}, {:.1} s, {:.0} cuts/s",
        report.trace_hash,
        seconds,
        tally.cuts as f64 / seconds.max(0.001)
    );
    if let Some((seed, violation)) = &report.failed {
        let _ = writeln!(text, "FOUND in the world of seed {seed}: {violation}");
        let _ = writeln!(text, "see it again: {}", command(*seed, options.steps, options.plant));
    }
    (text, report.failed.is_none())
}
