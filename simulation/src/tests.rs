//! Fixed seeds, a few seconds: the worlds hold, and are the same twice.

use crate::options::{Options, WorldKind};
use crate::plant::Plant;
use crate::run::{run, run_world};

fn engine() -> Options {
    Options { steps: 60, ..Options::default() }
}

fn node() -> Options {
    Options { world: WorldKind::Node, ..engine() }
}

fn groups() -> Options {
    Options { world: WorldKind::Groups, ..engine() }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for (options, seeds) in [(engine(), 1..4), (node(), 1..2), (groups(), 1..2)] {
        for seed in seeds {
            let (first, second) = (run_world(seed, &options), run_world(seed, &options));
            assert_eq!(first.violation, None, "{:?} {seed}", options.world);
            assert_eq!(first.trace_hash, second.trace_hash, "{:?} {seed}", options.world);
        }
    }
    assert_ne!(run_world(1, &engine()).trace_hash, run_world(2, &engine()).trace_hash);
}

#[test]
fn power_cuts_lose_nothing_that_was_acknowledged() {
    let report = run(&Options { cuts: 60, seed: 1000, steps: 80, ..engine() }, |_| ());
    assert_eq!(report.failed, None);
}

#[test]
fn power_cuts_of_a_whole_node_lose_nothing_that_was_acknowledged() {
    let report = run(&Options { cuts: 10, seed: 1000, ..node() }, |_| ());
    assert_eq!(report.failed, None);
}

#[test]
fn groups_keep_their_place_and_one_owner_for_each_partition() {
    let report = run(&Options { cuts: 10, seed: 1000, ..groups() }, |_| ());
    assert_eq!(report.failed, None);
}

/// Worlds that found something once, as they were then; the story of each is with what mended it.
///
/// * 1423: partitions were being created when the node was told to end; their rows waited for a journal that
///   took nothing any more, and the end for them.
/// * 301398: a journal file was full while the word that a partition had left was in flight in it; the
///   next file did not repeat it, and nobody knew of the partition when the first one was recycled.
/// * 40, whole node: fetches of one connection had read as much as it may pin, and waited for the answer to
///   an older one, which waited for them.
/// * 57, whole node: records were deleted from a partition that had just moved, before its new shard's
///   journal had its row; after a power cut that shard seemed to own an empty log.
/// * 1638, whole node: the first start was cut short when the metadata log had a directory and nothing in
///   it; no start would go on from there.
/// * 1123, whole node: the metadata log, which the end of the node had closed, refused that a deleted topic is
///   forgotten; the controller tried that again at once, for ever.
/// * 2251, whole node: that a length could not be read was taken for a file that is not there.
/// * 2245, whole node: a topic was deleted while one of its partitions was on its way to another shard; the
///   deletion was told to be complete, and the partition came back to stay.
/// * 500091: a segment with a large run was deleted before a checkpoint had saved the producers in it; after a power
///   cut the newest sequence of one was forgotten, and its next batch refused.
/// * 600586: the journal spoke of a partition whose directory was not durable yet; its creation failed, and the next
///   start took its files for durable, which were in the page cache alone.
/// * 600885: the last block of a log, which a start has from its file, was served without a look at its CRCs.
/// * 620037: of a topic in memory more had been deleted than a power cut left; the checker wanted its log start above its
///   end.
/// * 630214: the journal's word that a partition was deleted did not say how far its files were; a power cut
///   brought them back, and they were called suspect.
/// * 466: of a partition that was being deleted the journal still said how much of it had been acknowledged, when the
///   files that had it were written over already; after a kill it was called suspect.
/// * 1476: a key's newest record was a tombstone that nobody knew of; its time passed, and the checker missed the record
///   that it had deleted.
/// * 877: the power went before a producer heard that its first batches were refused, because its partition was moved
///   between them and the next; the checker took the sequence that was missing then for lost.
/// * 500167: an orderly end waited, without a pause, for a checkpoint that would not begin any more.
#[test]
fn what_was_found_once_stays_mended() {
    let worlds = [
        (1423, engine()),
        (301_398, engine()),
        (500_091, engine()),
        (500_167, engine()),
        (600_586, Options { steps: 120, ..engine() }),
        (600_885, Options { steps: 120, ..engine() }),
        (620_037, Options { steps: 120, ..engine() }),
        (630_214, Options { steps: 120, ..node() }),
        (40, node()),
        (466, Options { steps: 120, ..node() }),
        (57, node()),
        (877, node()),
        (1476, Options { steps: 120, ..node() }),
        (1638, node()),
        (1123, node()),
        (2245, node()),
        (2251, node()),
    ];
    for (seed, options) in worlds {
        let outcome = run_world(seed, &Options { steps: 120, ..options });
        assert_eq!(outcome.violation, None, "{:?} {seed}", options.world);
    }
}

/// Worlds in which a planted fault must be found; most need one or two.
const PLANTED_WORLDS: u64 = 60;

/// Whether a run finds the fault: a checker does, or an assertion of the engine.
fn is_found(plant: Plant, world: Options) -> bool {
    (1..=PLANTED_WORLDS).any(|seed| {
        let options = Options { plant, ..world };
        let outcome = std::panic::catch_unwind(|| run_world(seed, &options));
        outcome.map_or(true, |outcome| outcome.violation.is_some())
    })
}

fn missed<'a>(plants: impl IntoIterator<Item = &'a Plant>, world: Options) -> Vec<&'static str> {
    plants.into_iter().filter(|plant| !is_found(**plant, world)).map(|plant| plant.name()).collect()
}

#[test]
fn every_planted_fault_is_found() {
    let of_groups = |plant: &&Plant| plant.worlds() == [WorldKind::Groups];
    let (of_groups, others): (Vec<&Plant>, Vec<&Plant>) = Plant::ALL.iter().partition(of_groups);
    assert_eq!(missed(others, engine()), Vec::<&str>::new());
    assert_eq!(missed(of_groups, groups()), Vec::<&str>::new());
}

/// `simulation --plants` looks for the others in whole nodes, too, which takes longer.
#[test]
fn broken_promises_of_a_whole_node_are_found() {
    let plants = [
        Plant::AcknowledgedAtLogEnd,
        Plant::MemoryTopics,
        Plant::DurableWritesArePlain,
        Plant::NoDirectorySync,
    ];
    assert_eq!(missed(&plants, node()), Vec::<&str>::new());
}
