//! The APIs: key, versions advertised, versions served, first flexible version.
//!
//! One row per API is the whole truth: ApiVersions answers from it, headers and bodies decode by it.
//! Advertised and served differ for Produce alone: old librdkafka takes "Produce 0 is supported" to mean
//! "compression is supported" and sends uncompressed otherwise; nothing has sent 0 to 2 since 2017.
//!
//! A row that says `describe` has its messages here, both ways, and is not served: ApiVersions does not list
//! it, and to a broker its key is as unknown as one without a row. It is turned on by `advertise` and `serve`
//! in its row, and by its handler in the broker.

use std::fmt;
use std::ops::RangeInclusive;

macro_rules! apis {
    ($($name:ident = $key:literal, $(advertise $advertised:expr, serve $served:expr,)?
        $(describe $described:expr,)? flexible $flexible:expr;)*) => {
        /// An API whose messages are described here, with Kafka's number.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i16)]
        pub enum ApiKey {
            $($name = $key,)*
        }

        impl ApiKey {
            /// In the order of the keys, as Kafka lists them.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            #[must_use]
            pub const fn from_code(code: i16) -> Option<Self> {
                match code {
                    $($key => Some(Self::$name),)*
                    _ => None,
                }
            }

            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }

            /// What ApiVersions says: nothing of an API that is not served.
            #[must_use]
            pub const fn advertised(self) -> Option<RangeInclusive<i16>> {
                match self {
                    $(Self::$name => apis!(@advertised $($advertised)?),)*
                }
            }

            /// What is encoded and decoded, served or not.
            #[must_use]
            pub const fn described(self) -> RangeInclusive<i16> {
                match self {
                    $(Self::$name => apis!(@one $($served)? $($described)?),)*
                }
            }

            /// The first version with compact lengths and tagged fields.
            #[must_use]
            pub const fn flexible_from(self) -> i16 {
                match self {
                    $(Self::$name => $flexible,)*
                }
            }
        }
    };
    (@advertised) => { None };
    (@advertised $versions:expr) => { Some($versions) };
    (@one $versions:expr) => { $versions };
}

/// The first flexible version of an API that has none.
const NEVER: i16 = i16::MAX;

apis! {
    Produce = 0, advertise 0..=11, serve 3..=11, flexible 9;
    Fetch = 1, advertise 4..=17, serve 4..=17, flexible 12;
    ListOffsets = 2, advertise 1..=9, serve 1..=9, flexible 6;
    Metadata = 3, advertise 0..=12, serve 0..=12, flexible 9;
    OffsetCommit = 8, advertise 2..=9, serve 2..=9, flexible 8;
    OffsetFetch = 9, advertise 1..=9, serve 1..=9, flexible 6;
    FindCoordinator = 10, advertise 0..=5, serve 0..=5, flexible 3;
    JoinGroup = 11, advertise 0..=9, serve 0..=9, flexible 6;
    Heartbeat = 12, advertise 0..=4, serve 0..=4, flexible 4;
    LeaveGroup = 13, advertise 0..=5, serve 0..=5, flexible 4;
    SyncGroup = 14, advertise 0..=5, serve 0..=5, flexible 4;
    DescribeGroups = 15, advertise 0..=6, serve 0..=6, flexible 5;
    ListGroups = 16, advertise 0..=5, serve 0..=5, flexible 3;
    ApiVersions = 18, advertise 0..=4, serve 0..=4, flexible 3;
    CreateTopics = 19, advertise 2..=7, serve 2..=7, flexible 5;
    DeleteTopics = 20, advertise 1..=6, serve 1..=6, flexible 4;
    DeleteRecords = 21, advertise 0..=2, serve 0..=2, flexible 2;
    InitProducerId = 22, advertise 0..=5, serve 0..=5, flexible 2;
    OffsetForLeaderEpoch = 23, advertise 2..=4, serve 2..=4, flexible 4;
    DescribeConfigs = 32, advertise 1..=4, serve 1..=4, flexible 4;
    AlterConfigs = 33, advertise 0..=2, serve 0..=2, flexible 2;
    DescribeLogDirs = 35, advertise 1..=4, serve 1..=4, flexible 2;
    CreatePartitions = 37, advertise 0..=3, serve 0..=3, flexible 2;
    DeleteGroups = 42, advertise 0..=2, serve 0..=2, flexible 2;
    IncrementalAlterConfigs = 44, advertise 0..=1, serve 0..=1, flexible 1;
    OffsetDelete = 47, advertise 0..=0, serve 0..=0, flexible NEVER;
    DescribeCluster = 60, advertise 0..=2, serve 0..=2, flexible 0;
    ConsumerGroupHeartbeat = 68, advertise 0..=1, serve 0..=1, flexible 0;
    ConsumerGroupDescribe = 69, advertise 0..=1, serve 0..=1, flexible 0;
    ListConfigResources = 74, advertise 0..=1, serve 0..=1, flexible 0;
    DescribeTopicPartitions = 75, advertise 0..=0, serve 0..=0, flexible 0;
}

impl ApiKey {
    #[must_use]
    pub const fn code(self) -> i16 {
        self as i16
    }

    #[must_use]
    pub fn describes(self, version: i16) -> bool {
        self.described().contains(&version)
    }

    /// Whether a broker answers this API at all.
    #[must_use]
    pub const fn is_served(self) -> bool {
        self.advertised().is_some()
    }

    #[must_use]
    pub fn serves(self, version: i16) -> bool {
        self.is_served() && self.describes(version)
    }

    #[must_use]
    pub const fn is_flexible(self, version: i16) -> bool {
        version >= self.flexible_from()
    }

    /// 2 has tagged fields, 1 has not. The client id keeps its two length bytes in both.
    #[must_use]
    pub const fn request_header_version(self, version: i16) -> i16 {
        if self.is_flexible(version) { 2 } else { 1 }
    }

    /// 1 has tagged fields, 0 has not. ApiVersions answers with 0 always: its client does not know yet
    /// what the broker speaks.
    #[must_use]
    pub const fn response_header_version(self, version: i16) -> i16 {
        match self {
            Self::ApiVersions => 0,
            _ if self.is_flexible(version) => 1,
            _ => 0,
        }
    }
}

impl fmt::Display for ApiKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::ApiKey;

    #[test]
    fn served_versions_are_advertised_and_only_produce_advertises_more() {
        for api in ApiKey::ALL {
            assert_eq!(ApiKey::from_code(api.code()), Some(*api));
            if *api != ApiKey::Produce {
                let served = api.described().filter(|version| api.serves(*version));
                let advertised = api.advertised().into_iter().flatten();
                assert!(served.eq(advertised), "{api}");
            }
        }
        assert_eq!(ApiKey::Produce.advertised(), Some(0..=11));
        assert_eq!(ApiKey::Produce.described(), 3..=11);
        assert!(ApiKey::Produce.serves(3) && !ApiKey::Produce.serves(2));
    }

    #[test]
    fn keys_ascend() {
        assert!(ApiKey::ALL.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn api_versions_response_header_is_never_flexible() {
        assert_eq!(ApiKey::ApiVersions.response_header_version(4), 0);
        assert_eq!(ApiKey::ApiVersions.request_header_version(3), 2);
        assert_eq!(ApiKey::Metadata.response_header_version(9), 1);
        assert_eq!(ApiKey::Metadata.response_header_version(8), 0);
    }
}
