//! The simulation binary.
fn main() {}
