//! One file for each API: a decoded request becomes mail to owners or to the controller, their answers
//! become the response. No I/O, no algorithms: those are below.
//!
//! A request that needs others is kept as a [`Work`] in the shard's slab. Its response is built at once
//! with REQUEST_TIMED_OUT in every part, and answers fill the parts in: so whatever is missing at the
//! deadline has the right code already.
//!
//! `produce`, `fetch`, `list_offsets`, `offset_for_leader_epoch`, `delete_records`, `describe_log_dirs`,
//! `init_producer_id`, `metadata`, `api_versions`, `find_coordinator`, `describe_cluster`,
//! `describe_topic_partitions`, `create_topics`, `create_partitions`, `delete_topics`,
//! `describe_configs`, `alter_configs`, `incremental_alter_configs`, `list_config_resources`, `join_group`,
//! `sync_group`, `heartbeat`,
//! `leave_group`, `offset_commit`, `offset_fetch`, `offset_delete`, `describe_groups`, `list_groups`,
//! `delete_groups`, `consumer_group_heartbeat`, `consumer_group_describe`: the APIs. `commands`: what those to the controller have in common; `groups`: what those to
//! the group coordinator have. `authorise`: may this principal do that. `topic_view`: a topic as the
//! describing APIs show it; `leader_hint`: as those are told who asked the wrong one.

mod alter_configs;
pub(crate) mod api_versions;
mod authorise;
mod commands;
mod consumer_group_describe;
mod consumer_group_heartbeat;
mod create_partitions;
mod create_topics;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_topic_partitions;
mod fetch;
mod find_coordinator;
mod groups;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
mod join_group;
mod leader_hint;
mod leave_group;
mod list_config_resources;
mod list_groups;
mod list_offsets;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod produce;
mod sync_group;
mod topic_view;

use protocol::messages::delete_records::DeleteRecordsResponse;
use protocol::messages::list_offsets::ListOffsetsResponse;
use protocol::messages::offset_for_leader_epoch::OffsetForLeaderEpochResponse;

/// What a request in progress waits for.
#[derive(Debug)]
pub(crate) enum Work {
    Produce(produce::Produce),
    Fetch(Box<fetch::Fetch>),
    ListOffsets(Joined<ListOffsetsResponse>),
    OffsetForLeaderEpoch(Joined<OffsetForLeaderEpochResponse>),
    DeleteRecords(Joined<DeleteRecordsResponse>),
    DescribeLogDirs(describe_log_dirs::DescribeLogDirs),
    InitProducerId,
    FindCoordinator(find_coordinator::FindingCoordinator),
    Group(Box<groups::GroupRequest>),
    Metadata(metadata::Creating),
    CreateTopics(create_topics::Creating),
    CreatePartitions(create_partitions::Growing),
    DeleteTopics(delete_topics::Deleting),
    AlterConfigs(alter_configs::Altering),
    IncrementalAlterConfigs(alter_configs::Altering),
}

/// A response whose partitions are filled in by their owners.
#[derive(Debug)]
pub(crate) struct Joined<R> {
    response: R,
    /// Of each part: topic and partition in the response.
    places: Vec<(usize, usize)>,
    outstanding: usize,
}

impl<R> Joined<R> {
    fn new(response: R) -> Self {
        Self { response, places: Vec::new(), outstanding: 0 }
    }

    /// A part that is asked for.
    fn expect(&mut self, topic: usize, partition: usize) -> u32 {
        self.places.push((topic, partition));
        self.outstanding += 1;
        u32::try_from(self.places.len() - 1).expect("a frame is below 4 GiB")
    }

    /// Where an answer belongs.
    fn place(&mut self, part: u32) -> (usize, usize) {
        self.outstanding -= 1;
        self.places[usize::try_from(part).expect("usize is at least 32 bits")]
    }
}
