//! The seam between the bytes on a socket and the bytes of frames: nothing today, TLS later.
//!
//! With TLS, `incoming` decrypts (and large frames are assembled from what it yields, because the
//! kernel cannot receive plaintext straight into their block), and `outgoing` encrypts.

use bytes::Bytes;

/// What a connection's bytes go through on their way in and out.
#[derive(Debug, Default)]
pub(crate) enum Transform {
    /// Plaintext: frames are on the socket as they are.
    #[default]
    Identity,
}

impl Transform {
    /// Bytes off the socket to bytes of frames.
    pub(crate) fn incoming(&mut self, data: Bytes) -> Bytes {
        match self {
            Self::Identity => data,
        }
    }

    /// Bytes of frames to bytes for the socket. There is deliberately no path that joins parts into one
    /// buffer: record bytes leave plaintext connections from where the log has them, and are counted where
    /// they do not (`Metrics::record_bytes_copied`).
    pub(crate) fn outgoing(&mut self, _parts: &mut Vec<Bytes>) {
        match self {
            Self::Identity => {}
        }
    }
}
