//! Runs worlds one after the other.

use std::cell::Cell;

use crate::engine_world::{EngineWorld, Tally, WorldOptions};
use crate::node_world::NodeWorld;
use crate::options::{Options, WorldKind};
use crate::plant::Plant;
use crate::report::{Report, command};
use crate::violation::{Checker, Violation};

/// Worlds that a planted fault may survive at most.
pub(crate) const PLANTED_WORLDS_MAX: u64 = 400;

thread_local! {
    /// The seed of the world that is running, for whoever must say how to see it again.
    static RUNNING: Cell<Option<(u64, Options)>> = const { Cell::new(None) };
}

/// What one world came to.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) tally: Tally,
    pub(crate) trace_hash: u64,
    pub(crate) violation: Option<Violation>,
}

/// Runs the world of one seed.
pub(crate) fn run_world(seed: u64, options: &Options) -> Outcome {
    RUNNING.set(Some((seed, *options)));
    let Options { plant, steps, trace, .. } = *options;
    let groups = options.world == WorldKind::Groups;
    let of_world = WorldOptions { seed, plant, steps, trace, groups };
    let outcome = match options.world {
        WorldKind::Engine => {
            let mut world = EngineWorld::new(of_world);
            let violation = world.run().err();
            Outcome { tally: world.tally(), trace_hash: world.trace_hash(), violation }
        }
        WorldKind::Node | WorldKind::Groups => {
            let mut world = NodeWorld::new(of_world);
            let violation = world.run().err();
            Outcome { tally: world.tally(), trace_hash: world.trace_hash(), violation }
        }
    };
    RUNNING.set(None);
    outcome
}

/// The command that runs the current world again, for the panic hook.
pub(crate) fn running_command() -> Option<String> {
    RUNNING.get().map(|(seed, options)| command(seed, &options))
}

pub(crate) fn running_plant() -> Option<Plant> {
    RUNNING.get().map(|running| running.1.plant)
}

/// Makes worlds until enough cuts have happened, or something is found; a planted fault gets a number of
/// worlds. `progress` is told after each.
pub(crate) fn run(options: &Options, mut progress: impl FnMut(&Report)) -> Report {
    let mut report = Report::default();
    let goes_on = |report: &Report| match options.plant {
        Plant::Nothing => report.tally.cuts < options.cuts,
        _ => report.worlds < PLANTED_WORLDS_MAX,
    };
    while report.failed.is_none() && goes_on(&report) {
        let seed = options.seed + report.worlds;
        let outcome = run_world(seed, options);
        report.worlds += 1;
        report.tally.merge(&outcome.tally);
        report.trace_hash = report.trace_hash.rotate_left(5) ^ outcome.trace_hash;
        let found = outcome.violation.filter(|violation| counts(options.plant, violation));
        report.failed = found.map(|violation| (seed, violation));
        progress(&report);
    }
    report
}

/// A planted fault is found by a checker of what it breaks. That a world came to a halt is a failure of the
/// node, and no proof that a checker sees the fault.
fn counts(plant: Plant, violation: &Violation) -> bool {
    plant == Plant::Nothing || violation.checker != Checker::Progress
}

#[cfg(test)]
mod tests {
    use super::{Plant, counts};
    use crate::violation::Checker;

    #[test]
    fn a_world_that_halts_fails_a_run_and_proves_nothing_of_a_planted_fault() {
        let halted = Checker::Progress.violated("not answered");
        assert!(counts(Plant::Nothing, &halted));
        assert!(!counts(Plant::NoSnapshot, &halted));
        assert!(counts(Plant::NoSnapshot, &Checker::ProducersKnown.violated("gone")));
    }
}
