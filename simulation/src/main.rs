//! The simulation binary.
//!
//! * `disk`: the virtual disk: what a real one may do at a power cut, and no more.
//! * `random`: the seeded generator that everything draws from.
fn main() {}
