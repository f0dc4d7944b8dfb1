//! Topics that allow larger batches than this node's memory can take: their producers hear of it when the node
//! starts, not when their first such batch is refused.

use coordinator::Metadata;
use coordinator::metadata::is_internal;

use super::assembly::StartNote;
use crate::shard::log_config::log_config_of;

/// Topics that are named.
const NAMED_MAX: usize = 5;

pub(super) fn note(metadata: &Metadata, batch_bytes_max: usize) -> Option<StartNote> {
    let of_clients = metadata.image().topics_by_name().filter(|topic| !is_internal(topic.name()));
    let beyond = of_clients.filter(|topic| {
        let config = log_config_of(metadata, topic.id());
        config.is_some_and(|config| config.batch_bytes_max > batch_bytes_max)
    });
    let names: Vec<String> = beyond.map(|topic| topic.name().to_string()).collect();
    if names.is_empty() {
        return None;
    }
    let more = match names.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Some(StartNote::Warning(format!(
        "max.message.bytes of {}{more} is above the {batch_bytes_max} bytes that a batch may have here: larger \
         ones are refused with MESSAGE_TOO_LARGE; give the node more --memory, or fewer --shards",
        names[..names.len().min(NAMED_MAX)].join(", ")
    )))
}
