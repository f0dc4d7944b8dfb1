//! IncrementalAlterConfigs: sets, deletes, appends to or subtracts from single settings.

use crate::string::Str;
use crate::wire::messages;

messages! {
    IncrementalAlterConfigsRequest {
        resources: Vec<AlterConfigsResource>, 0..;
        validate_only: bool, 0..;
    }

    AlterConfigsResource {
        resource_type: i8, 0..;
        resource_name: Str, 0..;
        configs: Vec<AlterableConfig>, 0..;
    }

    AlterableConfig {
        name: Str, 0..;
        /// 0 set, 1 delete, 2 append, 3 subtract.
        config_operation: i8, 0..;
        value: Option<Str>, 0.., null 0..;
    }

    IncrementalAlterConfigsResponse {
        throttle_time_ms: i32, 0..;
        responses: Vec<AlterConfigsResourceResponse>, 0..;
    }

    AlterConfigsResourceResponse {
        error_code: i16, 0..;
        error_message: Option<Str>, 0.., null 0..;
        resource_type: i8, 0..;
        resource_name: Str, 0..;
    }
}
