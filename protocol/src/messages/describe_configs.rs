//! DescribeConfigs: the settings of topics and brokers, with where each comes from.

use crate::string::Str;
use crate::wire::messages;

messages! {
    DescribeConfigsRequest {
        resources: Vec<DescribeConfigsResource>, 0..;
        include_synonyms: bool, 1..;
        include_documentation: bool, 3..;
    }

    DescribeConfigsResource {
        resource_type: i8, 0..;
        resource_name: Str, 0..;
        configuration_keys: Option<Vec<Str>>, 0.., null 0..;
    }

    DescribeConfigsResponse {
        throttle_time_ms: i32, 0..;
        results: Vec<DescribeConfigsResult>, 0..;
    }

    DescribeConfigsResult {
        error_code: i16, 0..;
        error_message: Option<Str>, 0.., null 0..;
        resource_type: i8, 0..;
        resource_name: Str, 0..;
        configs: Vec<DescribeConfigsResourceResult>, 0..;
    }

    DescribeConfigsResourceResult {
        name: Str, 0..;
        value: Option<Str>, 0.., null 0..;
        read_only: bool, 0..;
        config_source: i8, 1.., default -1;
        is_sensitive: bool, 0..;
        synonyms: Vec<DescribeConfigsSynonym>, 1..;
        config_type: i8, 3..;
        documentation: Option<Str>, 3.., null 0..;
    }

    DescribeConfigsSynonym {
        name: Str, 1..;
        value: Option<Str>, 1.., null 0..;
        source: i8, 1..;
    }
}
