//! Fixed seeds, a few seconds: the worlds hold, and are the same twice.

use crate::engine_world::WorldOptions;
use crate::options::Options;
use crate::plant::Plant;
use crate::run::{run, run_world};

fn world(seed: u64) -> WorldOptions {
    WorldOptions { seed, plant: Plant::Nothing, steps: 60, trace: false }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in [1, 2, 3] {
        let (first, second) = (run_world(world(seed)), run_world(world(seed)));
        assert_eq!(first.violation, None);
        assert_eq!(first.trace_hash, second.trace_hash, "seed {seed}");
    }
    assert_ne!(run_world(world(1)).trace_hash, run_world(world(2)).trace_hash);
}

#[test]
fn power_cuts_lose_nothing_that_was_acknowledged() {
    let report = run(&Options { cuts: 60, seed: 1000, steps: 80, ..Options::default() });
    assert_eq!(report.failed, None);
}
