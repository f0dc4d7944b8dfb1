//! Epochs and producers that a shard saved with its last checkpoint.

use std::path::Path;

use bytes::Bytes;
use engine::recovery::state_file;
use serde_json::json;

use super::small_file;
use crate::cli::failure::Failure;
use crate::cli::output::{Output, Table};

pub(super) fn inspect(path: &Path, output: &mut Output) -> Result<(), Failure> {
    let states = state_file::decode(Bytes::from(small_file(path)?));
    if output.is_json() {
        let state = |(id, state): (&engine::PartitionId, &state_file::SavedState)| {
            json!({
                "topic_id": id.topic_id.to_string(),
                "partition": id.partition.0,
                "as_of": state.as_of.0,
                "leader_epoch": state.leader_epoch.0,
                "epochs": state.epochs.pairs().iter().map(|(epoch, start)| json!({ "epoch": epoch.0, "start_offset": start.0 })).collect::<Vec<_>>(),
                "producers": state.producers.iter().map(|(id, producer)| json!({
                    "id": id.0,
                    "epoch": producer.epoch.0,
                    "last_append_ms": producer.last_append_ms,
                    "last_sequence": producer.batches.back().map(|batch| batch.last_sequence),
                })).collect::<Vec<_>>(),
            })
        };
        return output.json(&states.iter().map(state).collect::<Vec<_>>());
    }
    let mut table = Table::new(&[
        "TOPIC ID",
        "PARTITION",
        "AS OF",
        "EPOCH",
        "PRODUCERS",
        "EPOCHS (EPOCH@OFFSET)",
    ]);
    for (id, state) in &states {
        let epochs: Vec<String> =
            state.epochs.pairs().iter().map(|(epoch, start)| format!("{epoch}@{start}")).collect();
        table.push(vec![
            id.topic_id.to_string(),
            id.partition.to_string(),
            state.as_of.to_string(),
            state.leader_epoch.to_string(),
            state.producers.len().to_string(),
            epochs.join(" "),
        ]);
    }
    output.table(&table)
}
