//! Placement of partitions as JSON, and what a move answers.

use serde_json::{Value, json};

use super::http::Answer;
use crate::shard::command::{CommandReply, MoveError, Refused};
use crate::shard::placement::PlacedPartition;
use crate::shard::start::NodeFacts;

/// All partitions, or those of one topic.
pub(crate) fn list(
    facts: &NodeFacts,
    cpus: &[u32],
    placed: &[PlacedPartition],
    topic: Option<&str>,
) -> Answer {
    let wanted = placed.iter().filter(|one| topic.is_none_or(|topic| one.topic == topic));
    let rows: Vec<Value> = wanted.map(|one| row(one, facts, cpus)).collect();
    if let (Some(topic), true) = (topic, rows.is_empty()) {
        let why = format!("there is no topic {topic}; `corelane topic list` shows all");
        return Answer::refusal(404, &why);
    }
    let value = json!({
        "node_id": facts.broker.0,
        "data_shards": facts.data_shards,
        "partitions": rows,
    });
    Answer::json(200, &value)
}

fn row(one: &PlacedPartition, facts: &NodeFacts, cpus: &[u32]) -> Value {
    // The coordinator's shard has no number among the data shards.
    let damage = one.damage.iter().map(|place| {
        json!({
            "file": place.file,
            "position": place.position,
            "offset": place.offset,
            "what": place.what,
        })
    });
    let shard = (one.shard != facts.coordinator()).then_some(one.shard.0);
    json!({
        "topic": one.topic,
        "partition": one.partition,
        "shard": shard,
        "core": shard.and_then(|shard| cpus.get(usize::from(shard))),
        "directory": one.directory,
        "bytes": one.bytes,
        "log_start": one.log_start,
        "high_watermark": one.high_watermark,
        "log_end": one.log_end,
        "leader_epoch": one.leader_epoch,
        "durability": one.durability,
        "state": one.state,
        "why": one.why,
        "damage": damage.collect::<Vec<Value>>(),
    })
}

/// What comes next for whoever asked for what there is not.
const LOOK: &str = "; `corelane partition list` shows partitions, shards and log directories";

/// The answer to a move.
pub(crate) fn moved(
    facts: &NodeFacts,
    topic: &str,
    partition: i32,
    reply: &CommandReply,
) -> Answer {
    let CommandReply::MovePartition(result) = reply else {
        unreachable!("a move has a move's answer");
    };
    let moved = match result {
        Ok(moved) => moved,
        Err(Refused::LogUnavailable | Refused::Owner(_)) => {
            return Answer::refusal(503, "the metadata log cannot be written: see the node's log");
        }
        Err(Refused::Overloaded) => {
            return Answer::refusal(503, "too many changes wait: try again");
        }
        Err(Refused::Command(error)) => return refused(error),
    };
    let place = |replica: &coordinator::metadata::Replica| {
        let directory = facts.directories.iter().find(|known| known.id == replica.directory);
        json!({
            "shard": replica.shard.0,
            "directory": directory.map_or("", |directory| &directory.path),
        })
    };
    let value = json!({
        "topic": topic,
        "partition": partition,
        "from": place(&moved.from),
        "to": place(&moved.to),
    });
    Answer::json(200, &value)
}

fn refused(error: &MoveError) -> Answer {
    match error {
        MoveError::Command(error) => {
            let why = error.to_string();
            // Some say themselves what to do.
            let next = if why.contains(';') { "" } else { LOOK };
            Answer::refusal(404, &format!("{why}{next}"))
        }
        MoveError::Moving => {
            Answer::refusal(409, &format!("the partition is being moved already{LOOK}"))
        }
        MoveError::OtherDirectory => Answer::refusal(
            400,
            "a partition keeps its log directory while the node runs: leave out --dir",
        ),
        MoveError::ShardOffline => Answer::refusal(
            409,
            "the log directory of that shard's journal failed: choose another shard",
        ),
        MoveError::Owner(error) => {
            let why = format!("its owner could not hand it over ({error:?}); see the node's log");
            Answer::refusal(503, &why)
        }
    }
}
