//! ApiVersions: what the broker speaks. The response's header is never flexible.

use crate::string::Str;
use crate::wire::messages;

messages! {
    ApiVersionsRequest {
        client_software_name: Str, 3..;
        client_software_version: Str, 3..;
    }

    ApiVersionsResponse {
        error_code: i16, 0..;
        api_keys: Vec<ApiVersion>, 0..;
        throttle_time_ms: i32, 1..;
        supported_features: Vec<SupportedFeatureKey>, 3.., tag 0;
        /// −1: there are no finalized features.
        finalized_features_epoch: i64, 3.., tag 1, default -1;
        finalized_features: Vec<FinalizedFeatureKey>, 3.., tag 2;
        zk_migration_ready: bool, 3.., tag 3;
    }

    ApiVersion {
        api_key: i16, 0..;
        min_version: i16, 0..;
        max_version: i16, 0..;
    }

    SupportedFeatureKey {
        name: Str, 3..;
        min_version: i16, 3..;
        max_version: i16, 3..;
    }

    FinalizedFeatureKey {
        name: Str, 3..;
        max_version_level: i16, 3..;
        min_version_level: i16, 3..;
    }
}
