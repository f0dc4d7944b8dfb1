//! A partition's groups from its log: read from log start to log end as any reader would, and replayed.
//! Until then every question is answered with "loading": never as if nothing was committed.

use std::rc::Rc;

use bytes::Bytes;
use coordinator::Metadata;
use coordinator::group::home::partition_of;
use coordinator::group::{DurableRecord, GroupConfig, GroupRecord, Groups};
use engine::PartitionId;
use engine::request::{ReadError, ReadRequest, ReadTarget, Records};
use protocol::record_batch::{BatchWalk, Compression, RecordIterator};
use protocol::{Offset, Str};

use super::Shard;
use super::partition::{GroupPartition, PartitionState};
use super::settings::group_settings;
use crate::limits::{DECOMPRESSED_BYTES_MAX, GROUP_READ_BYTES};
use crate::shard::mail::Mail;
use crate::shard::owner::Wait;

impl Shard {
    /// The partition is open here: its groups are loaded.
    pub(in crate::shard) fn begin_loading_groups(&mut self, id: PartitionId) {
        let Some(offsets) = self.owner.engine.offsets(id) else { return };
        let settings = group_settings(self.replica.metadata());
        let new = || GroupPartition::new(settings.clone());
        let partition = self.groups.partitions.entry(id).or_insert_with(new);
        partition.begin_loading(settings, offsets.log_start, offsets.log_end);
        let metadata = self.replica.metadata();
        for (group, config) in configured_groups(metadata, id) {
            partition.groups.set_config(group, Some(config));
        }
        if let Some(topics) = &self.groups.topics {
            partition.groups.set_topics(Rc::clone(topics));
        }
        self.go_on_loading(id);
    }

    /// Reads on, or is ready. Also asked when the high watermark moves: nothing above it can be read.
    pub(in crate::shard) fn go_on_loading(&mut self, id: PartitionId) {
        let Some(partition) = self.groups.partitions.get_mut(&id) else { return };
        let PartitionState::Loading { next, end, is_reading: false } = partition.state else {
            return;
        };
        if next >= end {
            return self.activate_groups(id);
        }
        let Some(offsets) = self.owner.engine.offsets(id) else { return };
        if next >= offsets.high_watermark {
            return;
        }
        partition.state = PartitionState::Loading { next, end, is_reading: true };
        let token = self.wait_for(Wait::GroupRead(id));
        let target = ReadTarget::Offset(next);
        let bytes_max = GROUP_READ_BYTES;
        self.owner.engine.read(ReadRequest { token, partition: id, target, bytes_max });
    }

    fn activate_groups(&mut self, id: PartitionId) {
        self.look_at_topics();
        let now = self.moment();
        if let Some(partition) = self.groups.partitions.get_mut(&id) {
            partition.activate(now);
        }
        if let Some(what) = self.groups.beyond_memory() {
            self.outbox.post(self.node.main(), Mail::Trouble { what });
        }
    }

    pub(in crate::shard) fn on_groups_read(
        &mut self,
        id: PartitionId,
        result: Result<Records, ReadError>,
    ) {
        let Some(partition) = self.groups.partitions.get_mut(&id) else { return };
        let PartitionState::Loading { next, end, .. } = partition.state else { return };
        let read = match result {
            Ok(records) => replay(&mut partition.groups, &records, next),
            // Its log start moved meanwhile: begun again from there.
            Err(ReadError::OutOfRange { .. }) => return self.begin_loading_groups(id),
            Err(ReadError::NotOwner) => Err("its log is not here".to_owned()),
            Err(ReadError::Unavailable) => Err("its log cannot be read".to_owned()),
        };
        match read {
            Ok(next) => {
                partition.state = PartitionState::Loading { next, end, is_reading: false };
                self.go_on_loading(id);
            }
            Err(why) => {
                partition.state = PartitionState::Failed;
                let index = id.partition;
                let what = format!("groups in partition {index} of __consumer_offsets: {why}");
                self.outbox.post(self.node.main(), Mail::Trouble { what });
            }
        }
    }
}

/// Groups of this partition, whether they exist or not, with what an operator set for them.
fn configured_groups(
    metadata: &Metadata,
    id: PartitionId,
) -> impl Iterator<Item = (&Str, GroupConfig)> {
    let count = metadata.image().topic(id.topic_id).map_or(0, |topic| topic.partitions().len());
    let groups = metadata.image().configured_groups().map(|(group, _)| group);
    let mine = groups.filter(move |group| partition_of(group, count) == id.partition);
    mine.filter_map(|group| Some((group, metadata.group_config(group)?)))
}

/// Gives the offset behind the last record that was replayed.
fn replay(groups: &mut Groups, records: &Records, from: Offset) -> Result<Offset, String> {
    let bytes = Bytes::from(records.parts.concat());
    let mut next = records.next.max(from);
    for batch in BatchWalk::new(&bytes) {
        let batch = batch.map_err(|error| error.to_string())?;
        let header = batch.header;
        next = next.max(header.next_offset());
        if header.attributes.is_control() {
            continue;
        }
        let codec = header.attributes.compression().unwrap_or(Compression::None);
        let data = bytes.slice_ref(batch.record_data());
        let data = codec.decompress(&data, DECOMPRESSED_BYTES_MAX);
        let data = data.map_err(|error| format!("offset {}: {error}", header.base_offset))?;
        for record in RecordIterator::new(&data, header.record_count) {
            let record = record.map_err(|error| format!("{}: {error}", header.base_offset))?;
            // Nobody finds what has no key.
            let Some(key) = record.key else { continue };
            let value = record.value.map(Bytes::copy_from_slice);
            let decoded = DurableRecord::decode(&Bytes::copy_from_slice(key), value.as_ref());
            let decoded = decoded.map_err(|error| format!("{}: {error}", header.base_offset))?;
            groups.replay(&GroupRecord::Durable(decoded));
        }
    }
    Ok(next)
}
