//! Kafka's language: ids, record batches, frames, messages, error codes.
