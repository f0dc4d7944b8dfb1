//! FindCoordinator: there is none yet. It is advertised all the same, because old librdkafka takes its
//! absence to mean that lz4 is not supported.

use protocol::messages::find_coordinator::{
    Coordinator, FindCoordinatorRequest, FindCoordinatorResponse,
};
use protocol::{ErrorCode, Str};

use super::authorise::{Operation, Resource};
use crate::shard::Shard;
use crate::shard::requests::Head;

/// Version from which a request names several keys.
const KEYS_FROM: i16 = 4;

impl Shard {
    pub(crate) fn find_coordinator(&mut self, head: &Head, body: FindCoordinatorRequest) {
        let message = || Some(Str::from_static("The coordinator is not available."));
        let code_of = |shard: &Self, key: &str| match shard.is_allowed(
            head,
            Operation::Describe,
            Resource::Group(key),
        ) {
            true => ErrorCode::CoordinatorNotAvailable.code(),
            false => ErrorCode::GroupAuthorizationFailed.code(),
        };
        let mut response = FindCoordinatorResponse { node_id: -1, port: -1, ..Default::default() };
        if head.version < KEYS_FROM {
            response.error_code = code_of(self, &body.key);
            response.error_message = message();
            self.metrics.count_error(response.error_code);
        }
        for key in body.coordinator_keys {
            let error_code = code_of(self, &key);
            self.metrics.count_error(error_code);
            response.coordinators.push(Coordinator {
                key,
                node_id: -1,
                host: Str::default(),
                port: -1,
                error_code,
                error_message: message(),
            });
        }
        self.respond(head, response);
    }
}
