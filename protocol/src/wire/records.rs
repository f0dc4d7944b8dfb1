//! The record batches of a fetch response: slices of log memory on the way out, one slice on the way in.

use bytes::Bytes;

/// Bytes of whole record batches, in one or more pieces that are never joined.
#[derive(Clone, Debug, Default)]
pub struct Records {
    parts: Vec<Bytes>,
}

impl Records {
    #[must_use]
    pub fn parts(&self) -> &[Bytes] {
        &self.parts
    }

    #[must_use]
    pub fn into_parts(self) -> Vec<Bytes> {
        self.parts
    }

    pub fn push(&mut self, part: Bytes) {
        self.parts.push(part);
    }

    /// Bytes in all parts.
    #[must_use]
    pub fn length(&self) -> usize {
        self.parts.iter().map(Bytes::len).sum()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.iter().all(Bytes::is_empty)
    }

    /// One piece: without a copy if there is only one already, as after decoding.
    #[must_use]
    pub fn joined(&self) -> Bytes {
        match self.parts.as_slice() {
            [] => Bytes::new(),
            [part] => part.clone(),
            parts => Bytes::from(parts.concat()),
        }
    }
}

/// Equal bytes, however they are cut.
impl PartialEq for Records {
    fn eq(&self, other: &Self) -> bool {
        self.length() == other.length()
            && self.parts.iter().flatten().eq(other.parts.iter().flatten())
    }
}

impl From<Bytes> for Records {
    fn from(part: Bytes) -> Self {
        Self { parts: vec![part] }
    }
}

impl From<Vec<Bytes>> for Records {
    fn from(parts: Vec<Bytes>) -> Self {
        Self { parts }
    }
}
