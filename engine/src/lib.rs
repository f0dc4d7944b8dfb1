//! A partition's log and a shard's journal.
