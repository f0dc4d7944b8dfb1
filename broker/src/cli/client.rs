//! A blocking Kafka client: one connection a broker, one request at a time on each.
//!
//! * `connection`: frames over one TCP connection, versions negotiated with ApiVersions
//! * `coordinator`: who coordinates a group, and asking it; `groups`: what coordinators say of groups
//! * `refusal`: Kafka's error codes as sentences that say what to do next
//! * `topics`: what metadata says of topics

mod connection;
mod coordinator;
pub(crate) mod groups;
mod refusal;
mod topics;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use clap::Args;
use protocol::ApiKey;
use protocol::messages::ApiRequest;
use protocol::messages::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};

use super::failure::Failure;
use connection::Connection;

pub(crate) use refusal::Refusal;
pub(crate) use topics::{PartitionInfo, TopicInfo};

/// Where the cluster is.
#[derive(Args, Clone, Debug)]
pub(crate) struct ClusterArgs {
    /// A broker to begin with; several are separated by commas.
    #[arg(
        short = 'b',
        long,
        alias = "bootstrap",
        value_name = "HOST:PORT",
        env = "CORELANE_BOOTSTRAP_SERVER",
        default_value = "127.0.0.1:9092"
    )]
    bootstrap_server: String,

    /// Seconds that a request may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
}

impl ClusterArgs {
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }
}

/// A cluster, as seen from one of its brokers.
pub(crate) struct Client {
    bootstrap: String,
    /// To the first broker that could be reached: it answers what any broker can answer.
    any: Option<Connection>,
    brokers: BTreeMap<i32, Connection>,
    addresses: BTreeMap<i32, String>,
    controller: i32,
    /// By group, as last heard.
    coordinators: BTreeMap<String, i32>,
    timeout: Duration,
}

impl Client {
    pub(crate) fn connect(cluster: &ClusterArgs) -> Result<Self, Failure> {
        let mut client = Self {
            bootstrap: cluster.bootstrap_server.clone(),
            any: None,
            brokers: BTreeMap::new(),
            addresses: BTreeMap::new(),
            controller: -1,
            coordinators: BTreeMap::new(),
            timeout: cluster.timeout(),
        };
        client.first_broker()?;
        Ok(client)
    }

    /// Until when a command goes on trying.
    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    pub(crate) fn timeout_ms(&self) -> i32 {
        i32::try_from(self.timeout.as_millis()).unwrap_or(i32::MAX)
    }

    /// Asks whichever broker answered first.
    pub(crate) fn any<R: ApiRequest>(&mut self, request: R) -> Result<R::Response, Failure> {
        let result = self.first_broker()?.call(request);
        if result.is_err() {
            self.any = None;
        }
        result
    }

    /// Asks the controller.
    pub(crate) fn controller<R: ApiRequest>(&mut self, request: R) -> Result<R::Response, Failure> {
        if self.controller < 0 {
            self.metadata(Some(&[]))?;
        }
        match self.controller {
            id if id >= 0 => self.broker(id)?.call(request),
            _ => self.any(request),
        }
    }

    /// Asks one broker.
    pub(crate) fn on_broker<R: ApiRequest>(
        &mut self,
        broker: i32,
        request: R,
    ) -> Result<R::Response, Failure> {
        let result = self.broker(broker)?.call(request);
        if result.is_err() {
            // What state the connection is in, nobody knows.
            self.brokers.remove(&broker);
        }
        result
    }

    /// Whether a broker speaks an API.
    pub(crate) fn offers(&mut self, broker: i32, api: ApiKey) -> Result<bool, Failure> {
        Ok(self.broker(broker)?.version(api).is_ok())
    }

    /// Where a broker listens, as it says itself.
    pub(crate) fn address_of(&self, broker: i32) -> Option<&str> {
        self.addresses.get(&broker).map(String::as_str)
    }

    /// Sends what is never answered (produce with acks=0).
    pub(crate) fn tell_broker<R: ApiRequest>(
        &mut self,
        broker: i32,
        request: R,
    ) -> Result<(), Failure> {
        self.broker(broker)?.tell(request)
    }

    /// Brokers, and these topics (`None`: all). Never creates a topic.
    pub(crate) fn metadata(
        &mut self,
        topics: Option<&[&str]>,
    ) -> Result<MetadataResponse, Failure> {
        let topic = |name: &&str| MetadataRequestTopic {
            name: Some((*name).into()),
            ..MetadataRequestTopic::default()
        };
        let request = MetadataRequest {
            topics: topics.map(|names| names.iter().map(topic).collect()),
            allow_auto_topic_creation: false,
            ..MetadataRequest::default()
        };
        let response = self.any(request)?;
        self.controller = response.controller_id;
        let address = |host: &str, port: i32| {
            if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
        };
        self.addresses = response
            .brokers
            .iter()
            .map(|broker| (broker.node_id, address(&broker.host, broker.port)))
            .collect();
        Ok(response)
    }

    /// Connects to any broker of the list, unless that was done.
    fn first_broker(&mut self) -> Result<&mut Connection, Failure> {
        let mut failure = Failure::usage("--bootstrap-server names no broker; give HOST:PORT");
        let addresses = self.bootstrap.split(',').map(str::trim);
        for address in addresses.filter(|address| !address.is_empty()) {
            if self.any.is_some() {
                break;
            }
            match Connection::open(address, self.timeout) {
                Ok(connection) => self.any = Some(connection),
                Err(error) => failure = error,
            }
        }
        self.any.as_mut().ok_or(failure)
    }

    fn broker(&mut self, id: i32) -> Result<&mut Connection, Failure> {
        if !self.addresses.contains_key(&id) {
            self.metadata(Some(&[]))?;
        }
        let Some(address) = self.addresses.get(&id) else {
            return Err(Failure::failed(format!(
                "broker {id} is not part of the cluster (any more)"
            )));
        };
        if !self.brokers.contains_key(&id) {
            let connection = Connection::open(address, self.timeout)?;
            self.brokers.insert(id, connection);
        }
        Ok(self.brokers.get_mut(&id).expect("it was inserted above"))
    }
}
