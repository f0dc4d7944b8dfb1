//! Load over the wire against any Kafka-protocol broker, verified, and the numbers that count.
//!
//! May touch sockets, files of results, `/proc` and `/sys` to read. Must not know how any broker works inside: it
//! drives all alike. Pure parts have no I/O and no clock, so that they are tested as values.
//!
//! | module | job |
//! |---|---|
//! | [`workload`] | what a run does: OpenMessaging files with our keys, and the shipped ones |
//! | [`schedule`] | when each record is due: the open loop |
//! | [`histograms`] | schedule delay, service, response, end to end; percentiles with their interval |
//! | [`verification`] | chains that show that nothing was lost, doubled, reordered or altered |
//! | [`payload`] | what records contain |
//! | [`connection`] | frames over TCP, versions negotiated |
//! | [`cluster`] | the run's topics: made, led, removed |
//! | [`failure`] | why there is no result, and how the process ends |
//! | [`random`] | reproducible randomness |
//! | [`limits`] | every bound, with its arithmetic |

pub mod cluster;
pub mod connection;
pub mod failure;
pub mod histograms;
pub mod limits;
pub mod payload;
pub mod random;
pub mod schedule;
pub mod verification;
pub mod workload;
