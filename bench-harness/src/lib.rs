//! Load over the wire against any Kafka-protocol broker, verified, and the numbers that count.
//!
//! May touch sockets, files of results, `/proc` and `/sys` to read. Must not know how any broker works inside: it
//! drives all alike. Pure parts have no I/O and no clock, so that they are tested as values.
//!
//! | module | job |
//! |---|---|
//! | [`workload`] | what a run does: OpenMessaging files with our keys, and the shipped ones |
//! | [`cli`] | the command line |
//! | [`brokers`] | brokers under test: started, timed, stopped without a trace |
//! | [`run`] | one run from its topics to its result (`run/setup`, `run/phases`) |
//! | [`compare`] | brokers side by side: blocks, repeats, ratios |
//! | [`warm_up`] | when a warm-up is over |
//! | [`collector`] | windows of all threads, second by second |
//! | [`accounting`] | what broker, client, host and disk used |
//! | [`bounds`] | which of the machine's limits bounds a figure |
//! | [`results`] | the report and its files |
//! | [`report`] | one HTML page of results: what matters first, charts, the machine |
//! | [`diff`] | two results side by side: comparable or not, and each measure's ratio |
//! | `figures` | numbers as people read them |
//! | [`search`] | `ramp` and `slo`: which rate is run next, and what came of it |
//! | [`schedule`] | when each record is due: the open loop |
//! | [`histograms`] | schedule delay, service, response, end to end; percentiles with their interval |
//! | [`verification`] | chains that show that nothing was lost, doubled, reordered or altered |
//! | [`payload`] | what records contain |
//! | [`connection`] | frames over TCP, versions negotiated |
//! | [`cluster`] | the run's topics: made, led, removed |
//! | [`null_broker`] | a broker that keeps nothing: the ceiling of client, loopback and CRC |
//! | [`machine`] | the limits of this machine and of the clients, measured |
//! | [`clients`] | what sends and reads: `rdkafka` and `raw` |
//! | [`run_clock`] | the run's clock, its phases, when subscriptions begin |
//! | [`recorder`] | what a thread records, handed over once a second |
//! | [`keys`] | which key each record has |
//! | [`interruption`] | Ctrl-C |
//! | [`failure`] | why there is no result, and how the process ends |
//! | [`random`] | reproducible randomness |
//! | [`statistics`] | ratios of runs measured side by side, with intervals |
//! | [`limits`] | every bound, with its arithmetic |

pub mod accounting;
pub mod bounds;
pub mod brokers;
pub mod cli;
pub mod clients;
pub mod cluster;
pub mod collector;
pub mod compare;
pub mod connection;
pub mod diff;
pub mod failure;
mod figures;
pub mod histograms;
pub mod interruption;
pub mod keys;
pub mod limits;
pub mod machine;
pub mod null_broker;
pub mod payload;
pub mod random;
pub mod recorder;
pub mod report;
pub mod results;
pub mod run;
pub mod run_clock;
pub mod schedule;
pub mod search;
pub mod statistics;
pub mod verification;
pub mod warm_up;
pub mod workload;
