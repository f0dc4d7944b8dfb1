//! A produce request's time is accounted for, stage by stage.

use std::time::Duration;

use protocol::messages::produce::ProduceResponse;

use super::produce_and_fetch::{create, produce};
use super::world::{World, batch, owner};

const PRODUCE: i16 = 9;

/// (count, milliseconds in all) of a stage on a shard.
fn stage(world: &World, shard: usize, name: &str) -> (u64, u128) {
    let stages = world.shard(shard).metrics.stages.named();
    let (_, durations) = stages.into_iter().find(|(known, _)| *known == name).unwrap();
    (durations.count(), durations.sum().as_millis())
}

#[test]
fn the_disk_s_time_is_that_of_the_durable_write_and_only_hops_between_shards_count() {
    let mut world = World::new(2);
    let setup = world.connect(0);
    create(&mut world, setup, "t", 1);
    let records = batch(&["a"], 1_700_000_000_000);
    let owner = owner(&world, "t", 0);
    // The first append makes the segment's file; the next ones have only the journal to wait for.
    world.ask(setup, PRODUCE, produce(-1, "t", 0, records.clone()));
    for front in [owner, 1 - owner] {
        let client = world.connect(front);
        let before = |name| stage(&world, owner, name);
        let (hops, writes, total) =
            (before("hop").0, before("durable_write"), stage(&world, front, "total"));
        let hops_back = stage(&world, front, "hop_back").0;
        world.send(client, PRODUCE, produce(-1, "t", 0, records.clone()));
        world.now.monotonic = world.now.monotonic + Duration::from_millis(7);
        world.settle();
        assert!(world.response::<ProduceResponse>(client, PRODUCE).is_some());
        let after = |name| stage(&world, owner, name);
        let is_other = u64::from(front != owner);
        assert_eq!(after("durable_write"), (writes.0 + 1, writes.1 + 7));
        assert_eq!(stage(&world, front, "total"), (total.0 + 1, total.1 + 7), "nothing is left");
        assert_eq!(after("hop").0, hops + is_other);
        assert_eq!(stage(&world, front, "hop_back").0, hops_back + is_other);
    }
    assert_eq!(stage(&world, 1 - owner, "durable_write").0, 0, "counted where the log is");
}
