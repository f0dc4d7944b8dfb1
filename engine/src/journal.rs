//! The shard's journal: many partitions made durable with one write.
//!
//! Appends of all partitions that arrive while writes are in flight form the next *group*: one
//! 4 KiB-aligned block written with O_DIRECT and RWF_DSYNC into a prewritten, recycled file. Groups
//! count in sequence order only: group *n* is acknowledged when *n* and all before it are durable.
//!
//! ```text
//! file   | group 17 | group 18 | group 19 | stale bytes of an earlier life …
//! group  | header 128 B | entry table, 88 B a row | bodies | zeros up to 4 KiB |
//! ```

pub mod entry;
pub mod group;
pub mod scan;
pub mod writer;
