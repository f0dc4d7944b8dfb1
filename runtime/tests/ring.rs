//! Facts of rings, on the real kernel and over its loopback.

#![expect(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

#[path = "ring/bench.rs"]
mod bench;
#[path = "ring/disk.rs"]
mod disk;
#[path = "ring/ending.rs"]
mod ending;
#[path = "ring/sockets.rs"]
mod sockets;
