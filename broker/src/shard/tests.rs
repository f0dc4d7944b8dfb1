//! Shards without an executor: events in, effects out, disk completions fed by hand.

mod code;
mod group_configs;
mod groups;
mod large_responses;
mod life_of_a_topic;
mod offline_directories;
mod offsets_by_time;
mod produce_and_fetch;
mod refusals;
mod stages;
mod steering;
mod world;
