//! How much a user may lock decides how long the rings are, not whether a node starts: 8 MiB, the limit of a stock
//! login, carry any number of shards, and so does every limit from 512 KiB up two of them. (Shares that did not know
//! of each other made 12 shards the most, and 600,000 bytes too few for two.)
//!
//! A test program of its own, because limits are the process's. Whoever may lock without limit (root) tests less here.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps nothing")]

mod node;

use node::{Node, corelane};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// For this process and what it starts; never raised again.
fn lower_to(bytes: u64) {
    let possible = getrlimit(Resource::Memlock).maximum.map_or(bytes, |most| most.min(bytes));
    let limit = Rlimit { current: Some(possible), maximum: Some(possible) };
    setrlimit(Resource::Memlock, limit).unwrap();
}

#[test]
fn every_limit_from_512_kib_up_starts_the_shards_that_are_asked_for() {
    for (limit, shards, memory) in [
        (8 << 20, "64", "6GiB"),
        (8 << 20, "16", "2GiB"),
        (1_000_000, "2", "512MiB"),
        (700_000, "2", "512MiB"),
        (600_000, "2", "512MiB"),
        (512 << 10, "12", "1GiB"),
        (512 << 10, "2", "512MiB"),
    ] {
        lower_to(limit);
        let mut node = Node::start_with(&["--shards", shards, "--memory", memory]);
        let said = node.log();
        assert!(said.contains(&format!(", {shards} shards\n")), "{limit} bytes: {said}");
        let bootstrap = node.bootstrap();
        let create = ["topic", "create", "t", "--partitions", shards, "-b", &bootstrap];
        for words in [&create[..], &["produce", "--topic", "t", "-b", &bootstrap]] {
            let done = corelane(words, "one\ntwo\n");
            assert!(done.status.success(), "{limit} bytes: {done:?}");
        }
        node.stop();
    }
}
