//! Variable-length integers: seven bits a byte, least significant first, the high bit says "more".
//! Messages use the unsigned form, records the signed one in zig-zag (0, −1, 1, −2 … are 0, 1, 2, 3 …).
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

use super::reader::DecodeError;
use crate::limits::{VARINT_BYTES_MAX, VARLONG_BYTES_MAX};

const MORE: u8 = 0x80;
const BITS: u8 = 0x7f;

/// Reads at most `bytes_max` bytes off the front of `rest`. Bits beyond the 64th are refused; the caller
/// refuses those beyond its own width.
#[cold]
fn read_unsigned(rest: &mut &[u8], bytes_max: u32) -> Result<u64, DecodeError> {
    let mut value = 0u64;
    for index in 0..bytes_max {
        let (&byte, after) = rest.split_first().ok_or(DecodeError::Truncated)?;
        *rest = after;
        let bits = u64::from(byte & BITS);
        let shift = index.saturating_mul(7);
        let shifted = bits.checked_shl(shift).ok_or(DecodeError::VarintTooLong)?;
        if shifted.checked_shr(shift) != Some(bits) {
            return Err(DecodeError::VarintTooLong);
        }
        value |= shifted;
        if byte & MORE == 0 {
            return Ok(value);
        }
    }
    Err(DecodeError::VarintTooLong)
}

/// One byte, or two, hold nearly every length, count and difference there is.
#[inline]
fn read_short(rest: &mut &[u8]) -> Option<u16> {
    let (&first, after) = rest.split_first()?;
    if first & MORE == 0 {
        *rest = after;
        return Some(u16::from(first));
    }
    let (&second, after) = after.split_first()?;
    if second & MORE != 0 {
        return None;
    }
    *rest = after;
    Some(u16::from(first & BITS) | (u16::from(second) << 7))
}

#[inline]
pub(crate) fn read_unsigned_varint(rest: &mut &[u8]) -> Result<u32, DecodeError> {
    if let Some(short) = read_short(rest) {
        return Ok(u32::from(short));
    }
    let value = read_unsigned(rest, VARINT_BYTES_MAX)?;
    u32::try_from(value).map_err(|_| DecodeError::VarintTooLong)
}

#[inline]
pub(crate) fn read_varint(rest: &mut &[u8]) -> Result<i32, DecodeError> {
    let zigzag = read_unsigned_varint(rest)?;
    Ok((zigzag >> 1).cast_signed() ^ (zigzag & 1).cast_signed().wrapping_neg())
}

#[inline]
pub(crate) fn read_varlong(rest: &mut &[u8]) -> Result<i64, DecodeError> {
    let zigzag = match read_short(rest) {
        Some(short) => u64::from(short),
        None => read_unsigned(rest, VARLONG_BYTES_MAX)?,
    };
    Ok((zigzag >> 1).cast_signed() ^ (zigzag & 1).cast_signed().wrapping_neg())
}

fn write_unsigned(out: &mut Vec<u8>, mut value: u64) {
    while value > u64::from(BITS) {
        out.push((value & u64::from(BITS)).to_le_bytes()[0] | MORE);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

pub(crate) fn write_unsigned_varint(out: &mut Vec<u8>, value: u32) {
    write_unsigned(out, u64::from(value));
}

pub(crate) fn write_varint(out: &mut Vec<u8>, value: i32) {
    write_unsigned(out, u64::from(((value << 1) ^ (value >> 31)).cast_unsigned()));
}

pub(crate) fn write_varlong(out: &mut Vec<u8>, value: i64) {
    write_unsigned(out, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

/// Bytes that [`write_varint`] takes.
pub(crate) fn varint_length(value: i32) -> usize {
    varlong_length(i64::from(value))
}

/// Bytes that [`write_varlong`] takes.
pub(crate) fn varlong_length(value: i64) -> usize {
    let zigzag = ((value << 1) ^ (value >> 63)).cast_unsigned();
    let bits = u64::BITS.saturating_sub((zigzag | 1).leading_zeros());
    bits.div_ceil(7) as usize
}

#[cfg(test)]
mod tests {
    use super::{
        DecodeError, read_unsigned_varint, read_varint, read_varlong, varint_length,
        varlong_length, write_unsigned_varint, write_varint, write_varlong,
    };

    #[test]
    fn unsigned_varints_round_trip() {
        for value in [0, 1, 127, 128, 300, 16_383, 16_384, 1 << 28, u32::MAX] {
            let mut bytes = Vec::new();
            write_unsigned_varint(&mut bytes, value);
            assert_eq!(read_unsigned_varint(&mut &bytes[..]), Ok(value));
        }
    }

    #[test]
    fn signed_varints_round_trip_and_know_their_length() {
        for value in [0, -1, 1, 63, 64, -64, -65, 8191, 8192, i32::MAX, i32::MIN] {
            let mut bytes = Vec::new();
            write_varint(&mut bytes, value);
            assert_eq!(bytes.len(), varint_length(value), "{value}");
            assert_eq!(read_varint(&mut &bytes[..]), Ok(value));
        }
        for value in [0, -1, 1 << 40, -(1 << 40), i64::MAX, i64::MIN] {
            let mut bytes = Vec::new();
            write_varlong(&mut bytes, value);
            assert_eq!(bytes.len(), varlong_length(value), "{value}");
            assert_eq!(read_varlong(&mut &bytes[..]), Ok(value));
        }
    }

    #[test]
    fn varints_beyond_their_width_are_refused() {
        for bytes in [&[0xff, 0xff, 0xff, 0xff, 0x1f][..], &[0x80; 6], &[0xff; 12]] {
            assert_eq!(read_unsigned_varint(&mut &bytes[..]), Err(DecodeError::VarintTooLong));
        }
        assert_eq!(read_varlong(&mut &[0xff; 12][..]), Err(DecodeError::VarintTooLong));
        let mut ten = [0xff; 10];
        ten[9] = 2; // the 65th bit
        assert_eq!(read_varlong(&mut &ten[..]), Err(DecodeError::VarintTooLong));
        assert_eq!(read_varlong(&mut &[0x80][..]), Err(DecodeError::Truncated));
    }
}
