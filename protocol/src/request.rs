//! The closed enum over all requests.

use bytes::Bytes;

use crate::api_key::ApiKey;
use crate::messages::{self, for_each_api};
use crate::wire::{Context, DecodeError, Reader, Wire, Writer};

macro_rules! requests {
    ($($api:ident, $module:ident, $request:ident, $response:ident;)*) => {
        /// A request's body.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Request {
            $($api(messages::$module::$request),)*
        }

        impl Request {
            #[must_use]
            pub const fn api_key(&self) -> ApiKey {
                match self {
                    $(Self::$api(_) => ApiKey::$api,)*
                }
            }

            /// Decodes what follows the header. Record batches and strings are slices of `body`. Bytes
            /// after the last field are ignored, as in Kafka.
            pub fn decode(api_key: ApiKey, version: i16, body: &Bytes) -> Result<Self, DecodeError> {
                if !api_key.describes(version) {
                    return Err(DecodeError::UnsupportedVersion { version });
                }
                let context = Context::new(version, api_key.is_flexible(version));
                let mut reader = Reader::new(body);
                match api_key {
                    $(ApiKey::$api => Wire::decode(&mut reader, context).map(Self::$api),)*
                }
            }

            pub(crate) fn encode(&self, writer: &mut Writer, version: i16) {
                let context = Context::new(version, self.api_key().is_flexible(version));
                match self {
                    $(Self::$api(body) => body.encode(writer, context),)*
                }
            }
        }

        $(
            impl From<messages::$module::$request> for Request {
                fn from(body: messages::$module::$request) -> Self {
                    Self::$api(body)
                }
            }
        )*
    };
}
for_each_api!(requests);
