//! Kafka's string: UTF-8 checked once, held as a slice of the frame it came in.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;

use bytes::Bytes;
use bytestring::ByteString;

/// A cheaply cloned string over [`Bytes`].
///
/// A `Str` from a decoded frame keeps that whole frame's memory alive. What outlives the request
/// (a topic's name in the metadata) is kept as [`Str::detached`].
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Str(ByteString);

impl Str {
    #[must_use]
    pub const fn from_static(text: &'static str) -> Self {
        Self(ByteString::from_static(text))
    }

    /// `None` when the bytes are not UTF-8. No copy.
    #[must_use]
    pub fn from_utf8(bytes: Bytes) -> Option<Self> {
        ByteString::try_from(bytes).ok().map(Self)
    }

    /// A copy in memory of its own, which pins no frame.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self::from(&**self)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0.into_bytes()
    }
}

impl Deref for Str {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Str {
    fn as_ref(&self) -> &str {
        self
    }
}

impl Borrow<str> for Str {
    fn borrow(&self) -> &str {
        self
    }
}

impl From<&str> for Str {
    fn from(text: &str) -> Self {
        Self(ByteString::from(text))
    }
}

impl From<String> for Str {
    fn from(text: String) -> Self {
        Self(ByteString::from(text))
    }
}

impl PartialEq<str> for Str {
    fn eq(&self, other: &str) -> bool {
        **self == *other
    }
}

impl PartialEq<&str> for Str {
    fn eq(&self, other: &&str) -> bool {
        **self == **other
    }
}

impl fmt::Debug for Str {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, formatter)
    }
}

impl fmt::Display for Str {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::{Bytes, Str};

    #[test]
    fn str_from_bytes_shares_their_memory_and_detached_does_not() {
        let frame = Bytes::from_static(b"xtopicx");
        let name = Str::from_utf8(frame.slice(1..6)).unwrap();
        assert_eq!(name, "topic");
        assert_eq!(name.as_ptr(), frame[1..].as_ptr());
        assert_ne!(name.detached().as_ptr(), name.as_ptr());
        assert_eq!(name.detached(), name);
    }

    #[test]
    fn str_refuses_bytes_that_are_not_utf8() {
        assert_eq!(Str::from_utf8(Bytes::from_static(b"\xff")), None);
    }
}
