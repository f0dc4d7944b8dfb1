//! The 4 bytes before each frame: judged before anything is allocated for the frame.

use crate::close_reason::CloseReason;

/// How many bytes state a frame's size. They are not part of the frame.
pub(crate) const SIZE_BYTES: usize = 4;

/// What HTTP/1 and HTTP/2 clients send first, cut to 4 bytes.
const HTTP_STARTS: [&[u8; SIZE_BYTES]; 10] =
    [b"GET ", b"POST", b"PUT ", b"HEAD", b"OPTI", b"DELE", b"PATC", b"CONN", b"TRAC", b"PRI "];

/// The length of the frame that follows, or why there is none.
///
/// A size that is allowed is believed: only bytes that would be refused anyway are looked at for
/// what else they may be. With the default maximum of 100 MiB every TLS and HTTP start is refused.
pub(crate) fn frame_length(
    bytes: [u8; SIZE_BYTES],
    request_bytes_max: usize,
) -> Result<usize, CloseReason> {
    let size = i32::from_be_bytes(bytes);
    match usize::try_from(size) {
        Ok(0) => Err(CloseReason::SizeZero),
        Ok(length) if length <= request_bytes_max => Ok(length),
        _ => Err(refusal(bytes, size)),
    }
}

#[cold]
fn refusal(bytes: [u8; SIZE_BYTES], size: i32) -> CloseReason {
    // A TLS record of a handshake (22), version 3.x.
    if bytes[0] == 0x16 && bytes[1] == 0x03 {
        return CloseReason::TlsOnPlaintext;
    }
    if HTTP_STARTS.contains(&&bytes) {
        return CloseReason::HttpOnPlaintext;
    }
    if size < 0 { CloseReason::SizeNegative { size } } else { CloseReason::SizeTooLarge { size } }
}

#[cfg(test)]
mod tests {
    use super::{CloseReason, frame_length};

    const MAX: usize = 100 << 20;

    #[test]
    fn sizes_up_to_the_maximum_are_allowed() {
        assert_eq!(frame_length([0, 0, 0, 1], MAX), Ok(1));
        assert_eq!(frame_length(104_857_600_i32.to_be_bytes(), MAX), Ok(MAX));
    }

    #[test]
    fn other_sizes_are_refused_by_name() {
        let refused = |size: i32| frame_length(size.to_be_bytes(), MAX);
        assert_eq!(refused(0), Err(CloseReason::SizeZero));
        assert_eq!(refused(-1), Err(CloseReason::SizeNegative { size: -1 }));
        assert_eq!(refused(i32::MIN), Err(CloseReason::SizeNegative { size: i32::MIN }));
        let size = 104_857_601;
        assert_eq!(refused(size), Err(CloseReason::SizeTooLarge { size }));
        assert_eq!(refused(i32::MAX), Err(CloseReason::SizeTooLarge { size: i32::MAX }));
    }

    #[test]
    fn tls_and_http_are_recognised() {
        for minor in 0..=4 {
            assert_eq!(frame_length([0x16, 3, minor, 0], MAX), Err(CloseReason::TlsOnPlaintext));
        }
        for start in [b"GET ", b"POST", b"PRI "] {
            assert_eq!(frame_length(*start, MAX), Err(CloseReason::HttpOnPlaintext));
        }
    }

    #[test]
    fn an_allowed_size_is_never_mistaken_for_tls() {
        let size = i32::from_be_bytes([0x16, 3, 1, 0]);
        let length = usize::try_from(size).unwrap();
        assert_eq!(frame_length([0x16, 3, 1, 0], length), Ok(length));
    }
}
