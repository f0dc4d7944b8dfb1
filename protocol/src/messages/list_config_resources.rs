//! ListConfigResources: what has a configuration, by type.

use crate::string::Str;
use crate::wire::messages;

messages! {
    ListConfigResourcesRequest {
        /// Empty is all.
        resource_types: Vec<i8>, 1..;
    }

    ListConfigResourcesResponse {
        throttle_time_ms: i32, 0..;
        error_code: i16, 0..;
        config_resources: Vec<ListedConfigResource>, 0..;
    }

    ListedConfigResource {
        resource_name: Str, 0..;
        /// Subscriptions to clients' metrics, where it is not told.
        resource_type: i8, 1.., default 16;
    }
}
