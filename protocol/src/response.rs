//! The closed enum over all responses.

use bytes::Bytes;

use crate::api_key::ApiKey;
use crate::messages::{self, for_each_api};
use crate::wire::{Context, DecodeError, Reader, Wire, Writer};

macro_rules! responses {
    ($($api:ident, $module:ident, $request:ident, $response:ident;)*) => {
        /// A response's body.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Response {
            $($api(messages::$module::$response),)*
        }

        impl Response {
            #[must_use]
            pub const fn api_key(&self) -> ApiKey {
                match self {
                    $(Self::$api(_) => ApiKey::$api,)*
                }
            }

            /// Decodes what follows the header. Record batches and strings are slices of `body`.
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
            impl From<messages::$module::$response> for Response {
                fn from(body: messages::$module::$response) -> Self {
                    Self::$api(body)
                }
            }
        )*
    };
}
for_each_api!(responses);
