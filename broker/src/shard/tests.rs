//! A shard without an executor.
