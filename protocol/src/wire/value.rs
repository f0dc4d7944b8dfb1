//! How each field type goes over the wire.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::cast_possible_truncation, clippy::cast_sign_loss)
)]

use bytes::Bytes;

use super::reader::{DecodeError, Reader};
use super::records::Records;
use super::writer::Writer;
use crate::ids::TopicId;
use crate::limits::SPLICED_BYTES_MIN;
use crate::string::Str;

/// What a field must know about the message around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    pub version: i16,
    pub flexible: bool,
    /// Whether the field at hand may be null in this version.
    nullable: bool,
    /// Whether it is a tagged one.
    pub(crate) tagged: bool,
}

impl Context {
    #[must_use]
    pub const fn new(version: i16, flexible: bool) -> Self {
        Self { version, flexible, nullable: false, tagged: false }
    }

    pub(crate) const fn nullable(self, nullable: bool) -> Self {
        Self { nullable, tagged: false, ..self }
    }

    pub(crate) const fn tagged(self) -> Self {
        Self { tagged: true, ..self }
    }
}

/// A type that a field can have.
pub trait Wire: Sized {
    /// The least bytes that a value takes in this version.
    fn min_size(context: Context) -> usize;
    fn decode(reader: &mut Reader<'_>, context: Context) -> Result<Self, DecodeError>;
    /// Total: a field that this version does not have is left out, and a null that it does not allow
    /// becomes the empty value.
    fn encode(&self, writer: &mut Writer, context: Context);
}

/// A [`Wire`] type whose field can be null in some versions; such a field is an `Option`.
pub(crate) trait Nullable: Wire + Default {
    fn decode_nullable(
        reader: &mut Reader<'_>,
        context: Context,
    ) -> Result<Option<Self>, DecodeError>;
    fn encode_nullable(value: Option<&Self>, writer: &mut Writer, context: Context);
}

impl<T: Nullable> Wire for Option<T> {
    fn min_size(_: Context) -> usize {
        1
    }

    fn decode(reader: &mut Reader<'_>, context: Context) -> Result<Self, DecodeError> {
        if context.nullable {
            T::decode_nullable(reader, context)
        } else {
            T::decode(reader, context).map(Some)
        }
    }

    fn encode(&self, writer: &mut Writer, context: Context) {
        match self {
            _ if context.nullable => T::encode_nullable(self.as_ref(), writer, context),
            Some(value) => value.encode(writer, context),
            None => T::default().encode(writer, context),
        }
    }
}

macro_rules! fixed_width {
    ($($type:ty, $bytes:literal, $reader:ident, |$value:ident, $writer:ident| $write:expr;)*) => { $(
        impl Wire for $type {
            fn min_size(_: Context) -> usize {
                $bytes
            }

            fn decode(reader: &mut Reader<'_>, _: Context) -> Result<Self, DecodeError> {
                reader.$reader().map(Self::from)
            }

            fn encode(&self, $writer: &mut Writer, _: Context) {
                let $value = *self;
                $write;
            }
        }
    )* };
}

fixed_width! {
    i8, 1, i8, |value, writer| writer.i8(value);
    i16, 2, i16, |value, writer| writer.i16(value);
    i32, 4, i32, |value, writer| writer.i32(value);
    i64, 8, i64, |value, writer| writer.i64(value);
    [u8; 16], 16, array, |value, writer| writer.slice(&value);
    TopicId, 16, array, |value, writer| writer.slice(&value.0);
}

impl Wire for bool {
    fn min_size(_: Context) -> usize {
        1
    }

    /// Any byte but zero is true, as in Kafka.
    fn decode(reader: &mut Reader<'_>, _: Context) -> Result<Self, DecodeError> {
        Ok(reader.i8()? != 0)
    }

    fn encode(&self, writer: &mut Writer, _: Context) {
        writer.i8(i8::from(*self));
    }
}

impl Wire for Str {
    fn min_size(context: Context) -> usize {
        if context.flexible { 1 } else { 2 }
    }

    fn decode(reader: &mut Reader<'_>, context: Context) -> Result<Self, DecodeError> {
        Self::decode_nullable(reader, context)?.ok_or(DecodeError::UnexpectedNull)
    }

    fn encode(&self, writer: &mut Writer, context: Context) {
        writer.string(self, context.flexible);
    }
}

impl Nullable for Str {
    fn decode_nullable(
        reader: &mut Reader<'_>,
        context: Context,
    ) -> Result<Option<Self>, DecodeError> {
        let length = reader.length_16(context.flexible)?;
        length.map(|length| reader.string(length)).transpose()
    }

    fn encode_nullable(value: Option<&Self>, writer: &mut Writer, context: Context) {
        match value {
            Some(value) => value.encode(writer, context),
            None => writer.length_16(None, context.flexible),
        }
    }
}

impl Wire for Bytes {
    fn min_size(context: Context) -> usize {
        if context.flexible { 1 } else { 4 }
    }

    fn decode(reader: &mut Reader<'_>, context: Context) -> Result<Self, DecodeError> {
        Self::decode_nullable(reader, context)?.ok_or(DecodeError::UnexpectedNull)
    }

    fn encode(&self, writer: &mut Writer, context: Context) {
        Self::encode_nullable(Some(self), writer, context);
    }
}

impl Nullable for Bytes {
    fn decode_nullable(
        reader: &mut Reader<'_>,
        context: Context,
    ) -> Result<Option<Self>, DecodeError> {
        let length = reader.length_32(context.flexible)?;
        length.map(|length| reader.bytes(length)).transpose()
    }

    /// Long ones (the batches of a produce request) are not copied: see [`Writer::records`]. Short ones (the
    /// metadata of a member, of which there may be thousands in one answer) are.
    fn encode_nullable(value: Option<&Self>, writer: &mut Writer, context: Context) {
        match value {
            Some(value) if value.len() < SPLICED_BYTES_MIN => {
                writer.length_32(Some(value.len()), context.flexible);
                writer.slice(value);
            }
            Some(value) => writer.records(&Records::from(value.clone()), context.flexible),
            None => writer.length_32(None, context.flexible),
        }
    }
}

impl Wire for Records {
    fn min_size(context: Context) -> usize {
        Bytes::min_size(context)
    }

    /// Null, which old brokers send for "none", is no bytes.
    fn decode(reader: &mut Reader<'_>, context: Context) -> Result<Self, DecodeError> {
        match Bytes::decode_nullable(reader, context)? {
            Some(bytes) if !bytes.is_empty() => Ok(Self::from(bytes)),
            _ => Ok(Self::default()),
        }
    }

    fn encode(&self, writer: &mut Writer, context: Context) {
        writer.records(self, context.flexible);
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn min_size(context: Context) -> usize {
        if context.flexible { 1 } else { 4 }
    }

    fn decode(reader: &mut Reader<'_>, context: Context) -> Result<Self, DecodeError> {
        Self::decode_nullable(reader, context)?.ok_or(DecodeError::UnexpectedNull)
    }

    fn encode(&self, writer: &mut Writer, context: Context) {
        writer.length_32(Some(self.len()), context.flexible);
        for element in self {
            element.encode(writer, context.nullable(false));
        }
    }
}

impl<T: Wire> Nullable for Vec<T> {
    fn decode_nullable(
        reader: &mut Reader<'_>,
        context: Context,
    ) -> Result<Option<Self>, DecodeError> {
        let Some(count) = reader.length_32(context.flexible)? else { return Ok(None) };
        let element = context.nullable(false);
        let mut elements = reader.elements(count, T::min_size(element))?;
        for _ in 0..count {
            elements.push(T::decode(reader, element)?);
        }
        Ok(Some(elements))
    }

    fn encode_nullable(value: Option<&Self>, writer: &mut Writer, context: Context) {
        match value {
            Some(value) => value.encode(writer, context),
            None => writer.length_32(None, context.flexible),
        }
    }
}
