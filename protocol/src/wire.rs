//! Reading and writing Kafka's primitive types, and the macro that describes a message.
//!
//! | file | job |
//! |---|---|
//! | `reader.rs` | a position in a frame; every length is checked against the bytes that remain |
//! | `writer.rs` | a growing head with record bytes spliced in as parts of their own |
//! | `varint.rs` | the two variable-length encodings, for messages and for records |
//! | `value.rs` | how each field type goes over the wire |
//! | `records.rs` | the record batches of a fetch response |
//! | `description.rs` | `messages!`: one description, both directions, every version |
//! | `generate.rs` | tests: deterministic values of every message |
//!
//! Descriptions cannot refer to themselves, so the depth of nesting is that of the types.

mod description;
#[cfg(test)]
pub(crate) mod generate;
mod reader;
mod records;
mod value;
mod varint;
mod writer;

pub(crate) use description::messages;
pub use reader::{DecodeError, Reader};
pub use records::Records;
pub(crate) use value::Nullable;
pub use value::{Context, Wire};
pub(crate) use varint::{
    read_varint, read_varlong, varint_length, varlong_length, write_varint, write_varlong,
};
pub use writer::{EncodeError, Writer};
