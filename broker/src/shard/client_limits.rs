//! What broker properties allow clients: they are read once, when the shard starts.

use coordinator::Metadata;

use super::start::NodeFacts;
use crate::limits::{FETCH_SESSIONS_MAX, RESPONSE_BYTES_MAX};

/// The limits of one shard's fetches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FetchLimits {
    /// `fetch.max.bytes`, within what a response may ever pin.
    pub(crate) bytes_max: usize,
    /// This shard's part of `max.incremental.fetch.session.cache.slots`.
    pub(crate) sessions_max: usize,
}

impl FetchLimits {
    pub(crate) fn new(metadata: &Metadata, node: &NodeFacts) -> Self {
        let slots = size(metadata, "max.incremental.fetch.session.cache.slots");
        let (shards, me) = (usize::from(node.data_shards.max(1)), usize::from(node.me.0));
        let part = slots / shards + usize::from(me < slots % shards);
        Self {
            bytes_max: size(metadata, "fetch.max.bytes").min(RESPONSE_BYTES_MAX),
            sessions_max: part.min(FETCH_SESSIONS_MAX),
        }
    }
}

/// The limits that follow from memory, with those of the properties.
pub(crate) fn net_limits(metadata: &Metadata, planned: net::Limits) -> net::Limits {
    // Negative is never, as in Kafka.
    let idle_ms = number(metadata, "connections.max.idle.ms");
    net::Limits {
        request_bytes_max: size(metadata, "socket.request.max.bytes"),
        idle_ms_max: u64::try_from(idle_ms).unwrap_or(u64::MAX),
        ..planned
    }
}

/// Connections of the whole node.
pub(crate) fn connections_max(metadata: &Metadata) -> usize {
    size(metadata, "max.connections")
}

fn size(metadata: &Metadata, name: &str) -> usize {
    usize::try_from(number(metadata, name)).expect("the table allows no negative number")
}

fn number(metadata: &Metadata, name: &str) -> i64 {
    let value = metadata.broker_config_value(name).expect("the table gives a default");
    value.trim().parse().expect("configured values are validated")
}

#[cfg(test)]
mod tests {
    use coordinator::Metadata;
    use coordinator::topic_config::StaticBrokerConfig;
    use protocol::{BrokerId, Str};

    use super::{FetchLimits, connections_max, net_limits};
    use crate::limits::{FETCH_SESSIONS_MAX, RESPONSE_BYTES_MAX};
    use crate::shard::mail::ShardIndex;
    use crate::shard::start::NodeFacts;

    fn metadata(values: &[(&str, &str)]) -> Metadata {
        let values = values.iter().map(|(name, value)| (Str::from(*name), Str::from(*value)));
        Metadata::new(BrokerId(1), StaticBrokerConfig::new(values).unwrap())
    }

    fn shard(me: u16) -> NodeFacts {
        NodeFacts {
            me: ShardIndex(me),
            broker: BrokerId(1),
            data_shards: 3,
            cluster_id: Str::from("cluster"),
            steered_after: u32::MAX,
            listeners: Vec::new(),
            directories: Vec::new().into(),
            journals: Vec::new().into(),
            space: Vec::new().into(),
        }
    }

    #[test]
    fn defaults_are_the_limits_of_the_code() {
        let metadata = metadata(&[]);
        assert_eq!(net_limits(&metadata, net::Limits::default()), net::Limits::default());
        let fetch = FetchLimits::new(&metadata, &shard(0));
        assert_eq!(fetch, FetchLimits { bytes_max: RESPONSE_BYTES_MAX, sessions_max: 334 });
        assert!(connections_max(&metadata) > 1_000_000);
    }

    #[test]
    fn a_property_changes_its_limit() {
        let metadata = metadata(&[
            ("connections.max.idle.ms", "5000"),
            ("fetch.max.bytes", "2048"),
            ("max.connections", "7"),
            ("max.incremental.fetch.session.cache.slots", "4"),
            ("socket.request.max.bytes", "1000"),
        ]);
        let net = net_limits(&metadata, net::Limits::default());
        assert_eq!((net.idle_ms_max, net.request_bytes_max), (5_000, 1_000));
        assert_eq!(connections_max(&metadata), 7);
        let fetch = [0, 1, 2].map(|me| FetchLimits::new(&metadata, &shard(me)));
        assert_eq!(fetch.map(|fetch| fetch.sessions_max), [2, 1, 1], "four in all");
        assert_eq!(fetch[0].bytes_max, 2_048);
    }

    #[test]
    fn idle_connections_stay_where_their_time_is_negative_and_sessions_stay_bounded() {
        let slots = "max.incremental.fetch.session.cache.slots";
        let metadata = metadata(&[("connections.max.idle.ms", "-1"), (slots, "1000000")]);
        assert_eq!(net_limits(&metadata, net::Limits::default()).idle_ms_max, u64::MAX);
        assert_eq!(FetchLimits::new(&metadata, &shard(0)).sessions_max, FETCH_SESSIONS_MAX);
    }
}
