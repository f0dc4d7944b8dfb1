//! Kafka's language: ids, error codes, the frames and messages of the APIs, record batches.
//!
//! May touch bytes, nothing else: no files, no sockets, no clocks. Checks at the door: what this crate
//! lets in is well formed, and the crates above assert it instead of checking again. No byte from a
//! network makes it panic or allocate more than [`limits`] says.
//!
//! | module | job |
//! |---|---|
//! | [`ids`] | newtypes of Kafka's ids and positions |
//! | [`string`] | [`Str`]: Kafka's string as a slice of the frame |
//! | [`error_code`] | Kafka's error codes |
//! | [`api_key`] | the APIs: described, served and advertised versions, flexible versions, header versions |
//! | [`wire`] | reading and writing Kafka's primitive types, and the macro that describes a message |
//! | [`header`] | request and response headers |
//! | [`messages`] | one description per message, one module per API |
//! | [`group_record`] | the records of `__consumer_offsets` |
//! | [`consumer_protocol`] | what consumers of the classic protocol put into a group's opaque bytes |
//! | [`request`], [`response`] | the closed enums over all APIs |
//! | [`frame`] | whole frames with their size, both ways |
//! | [`record_batch`] | the batch: view, walk, validation, patching, records, builder, compression |
//! | [`partitioner`] | the partition that Java's producer chooses for a key |
//! | [`fuzz`] | one entry point per decoder for fuzzers |
//! | [`limits`] | every bound of this crate with its arithmetic |

pub mod api_key;
pub mod consumer_protocol;
pub mod error_code;
pub mod frame;
pub mod fuzz;
pub mod group_record;
pub mod header;
pub mod ids;
pub mod limits;
pub mod messages;
pub mod partitioner;
pub mod record_batch;
pub mod request;
pub mod response;
pub mod string;
pub mod wire;

pub use api_key::ApiKey;
pub use error_code::ErrorCode;
pub use frame::{encode_request, encode_response};
pub use header::{RequestHeader, ResponseHeader};
pub use ids::{
    BrokerId, CorrelationId, LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId,
    TopicId,
};
pub use request::Request;
pub use response::Response;
pub use string::Str;
pub use wire::{DecodeError, EncodeError, Reader, Records};
