//! May this principal do that? Asked for every resource of every request. Everything is allowed until
//! there are access control lists; they go here.

use net::Principal;

use crate::shard::Shard;
use crate::shard::requests::Head;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Read,
    Write,
    Create,
    Delete,
    Alter,
    Describe,
    DescribeConfigs,
    AlterConfigs,
    IdempotentWrite,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resource<'a> {
    Cluster,
    Topic(&'a str),
    Group(&'a str),
}

/// Every operation that Kafka knows for a topic, as bits of their numbers.
pub(super) const TOPIC_OPERATIONS: i32 = 0b1101_1111_1000;
/// … for a group: read, delete, describe, and its configuration.
pub(super) const GROUP_OPERATIONS: i32 = 0b1101_0100_1000;
/// … and for the cluster.
pub(super) const CLUSTER_OPERATIONS: i32 = 0b1_1111_1010_0000;

impl Shard {
    pub(super) fn is_allowed(
        &self,
        head: &Head,
        operation: Operation,
        resource: Resource<'_>,
    ) -> bool {
        // A connection that is gone gets no answer anyway.
        let principal = self.front.connections.principal(head.connection);
        principal.is_none_or(|principal| is_allowed(principal, operation, resource))
    }
}

fn is_allowed(principal: &Principal, _operation: Operation, _resource: Resource<'_>) -> bool {
    match principal {
        Principal::Anonymous | Principal::User(_) => true,
    }
}
