//! Broker properties that are the node's own: clients are shown who it is and where. They are set by flags and
//! by the configuration file's own keys, never in its `[kafka]` (`broker/src/config.rs`).

use coordinator::topic_config::StaticBrokerConfig;
use protocol::Str;

use crate::config::Listen;

/// The properties of the file, and the node's own.
pub(super) fn with_own(
    configured: &StaticBrokerConfig,
    node_id: i32,
    listen: &[Listen],
    log_dirs: &[String],
) -> StaticBrokerConfig {
    let listeners = |address: fn(&Listen) -> String| {
        let listeners: Vec<String> =
            listen.iter().map(|one| format!("{}://{}", one.name, address(one))).collect();
        listeners.join(",")
    };
    let own = [
        ("advertised.listeners", listeners(|one| one.advertised.to_string())),
        ("broker.id", node_id.to_string()),
        ("listeners", listeners(|one| one.address.to_string())),
        ("log.dirs", log_dirs.join(",")),
        ("node.id", node_id.to_string()),
    ];
    let own = own.into_iter().map(|(name, value)| (Str::from_static(name), Str::from(value)));
    configured.clone().with_own(own)
}

#[cfg(test)]
mod tests {
    use coordinator::metadata::Metadata;
    use coordinator::topic_config::{ConfigSource, StaticBrokerConfig};
    use protocol::{BrokerId, Str};

    use super::with_own;
    use crate::config::{Advertised, Listen};

    #[test]
    fn clients_are_shown_who_the_node_is_and_where() {
        let listen = |name: &str, port: u16| Listen {
            name: name.to_owned(),
            address: ([0, 0, 0, 0], port).into(),
            advertised: Advertised { host: "broker1".to_owned(), port },
            is_optional: false,
        };
        let configured = [(Str::from_static("num.partitions"), Str::from_static("3"))];
        let configured = StaticBrokerConfig::new(configured).unwrap();
        let listen = [listen("PLAINTEXT", 9092), listen("PLAINTEXT-2", 9093)];
        let dirs = ["/mnt/a".to_owned(), "/mnt/b".to_owned()];
        let configured = with_own(&configured, 5, &listen, &dirs);
        let shown = Metadata::new(BrokerId(5), configured).describe_broker_configs();
        let set = shown.into_iter().filter(|one| one.source == ConfigSource::StaticBroker);
        let set: Vec<_> = set.map(|one| (one.name, one.value.unwrap_or_default())).collect();
        let expected = [
            ("advertised.listeners", "PLAINTEXT://broker1:9092,PLAINTEXT-2://broker1:9093"),
            ("broker.id", "5"),
            ("listeners", "PLAINTEXT://0.0.0.0:9092,PLAINTEXT-2://0.0.0.0:9093"),
            ("log.dirs", "/mnt/a,/mnt/b"),
            ("node.id", "5"),
            ("num.partitions", "3"),
        ];
        assert_eq!(set, expected.map(|(name, value)| (name, value.to_owned())));
    }
}
