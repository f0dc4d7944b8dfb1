//! The topics that a group reads, as far as the coordinator can know: what consumers say to each other in
//! the classic protocol is read here, and nowhere else.

use alloc::{collections::BTreeSet, rc::Rc};

use bytes::Bytes;
use protocol::{Str, consumer_protocol::ConsumerProtocolSubscription};

/// The protocol type of consumers.
pub const CONSUMER: &str = "consumer";

/// What a group subscribes to, as of its last generation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SubscribedTopics {
    /// Its members do not say it in a way that can be read, or there was no generation yet.
    #[default]
    Unknown,
    Known(Rc<BTreeSet<Str>>),
}

impl SubscribedTopics {
    /// Of members with this metadata. One that cannot be read hides what all of them read.
    pub fn of_members<'a>(protocol_type: &str, metadata: impl Iterator<Item = &'a Bytes>) -> Self {
        if protocol_type != CONSUMER {
            return Self::Unknown;
        }
        let mut topics = BTreeSet::new();
        for metadata in metadata {
            let Ok(subscribed) = ConsumerProtocolSubscription::parse_topics(metadata) else {
                return Self::Unknown;
            };
            for topic in subscribed {
                if !topics.contains(&topic) {
                    topics.insert(topic.detached());
                }
            }
        }
        Self::Known(Rc::new(topics))
    }
}
