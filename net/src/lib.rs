//! Bytes to requests and responses back, in order.
