//! Direct reads and writes of any caller's buffer, by way of an aligned one where that is needed.

use rustix::fd::OwnedFd;
use rustix::io::{Errno, pread, pwrite, retry_on_intr};

use super::aligned::{AlignedBuffer, is_aligned};
use super::error::failed;
use crate::disk::file_system::FileSystemError;
use crate::limits::BLOCK_BYTES;

pub(super) const BLOCK: u64 = BLOCK_BYTES as u64;

/// Largest piece that is moved through an aligned buffer at once.
const BOUNCE_BYTES: usize = 1 << 20;

/// Up to the next multiple of a block.
pub(super) fn round_up(bytes: usize) -> usize {
    bytes.next_multiple_of(BLOCK_BYTES)
}

/// Reads until `into` is full or the file ends; any position, length and address.
pub(super) fn read(
    file: &OwnedFd,
    position: u64,
    into: &mut [u8],
) -> Result<usize, FileSystemError> {
    if position.is_multiple_of(BLOCK) && is_aligned(into) {
        return read_blocks(file, position, into);
    }
    let end = position + into.len() as u64;
    let spanned = usize::try_from(end.next_multiple_of(BLOCK) - position / BLOCK * BLOCK);
    let mut bounce = AlignedBuffer::zeroed(spanned.unwrap_or(usize::MAX).min(BOUNCE_BYTES));
    let mut filled = 0;
    while filled < into.len() {
        let at = position + filled as u64;
        let skip = usize::try_from(at % BLOCK).expect("less than a block");
        let wanted = round_up(skip + into.len() - filled).min(bounce.len());
        let read = read_blocks(file, at - skip as u64, &mut bounce[..wanted])?;
        let usable = read.saturating_sub(skip).min(into.len() - filled);
        into[filled..filled + usable].copy_from_slice(&bounce[skip..skip + usable]);
        filled += usable;
        if read < wanted {
            break;
        }
    }
    Ok(filled)
}

/// Writes whole blocks at the boundary of a block, from any address.
pub(super) fn write(file: &OwnedFd, position: u64, data: &[u8]) -> Result<(), FileSystemError> {
    assert!(position.is_multiple_of(BLOCK), "data files are written in whole blocks");
    assert!(data.len().is_multiple_of(BLOCK_BYTES), "data files are written in whole blocks");
    if is_aligned(data) {
        return write_blocks(file, position, data);
    }
    let mut bounce = AlignedBuffer::zeroed(data.len().min(BOUNCE_BYTES));
    let mut at = position;
    for piece in data.chunks(BOUNCE_BYTES) {
        bounce[..piece.len()].copy_from_slice(piece);
        write_blocks(file, at, &bounce[..piece.len()])?;
        at += piece.len() as u64;
    }
    Ok(())
}

/// Writes `data` from the file's beginning, the last block filled up with zeros.
pub(super) fn write_padded(file: &OwnedFd, data: &[u8]) -> Result<(), FileSystemError> {
    let whole = data.len() / BLOCK_BYTES * BLOCK_BYTES;
    write(file, 0, &data[..whole])?;
    if whole == data.len() {
        return Ok(());
    }
    let mut last = AlignedBuffer::zeroed(BLOCK_BYTES);
    last[..data.len() - whole].copy_from_slice(&data[whole..]);
    write_blocks(file, whole as u64, &last)
}

/// A count that is not of whole blocks is the end of the file; anything else that is short goes on.
fn read_blocks(file: &OwnedFd, position: u64, into: &mut [u8]) -> Result<usize, FileSystemError> {
    let mut filled = 0;
    while filled < into.len() {
        let at = position + filled as u64;
        let read =
            retry_on_intr(|| pread(file, &mut into[filled..], at)).map_err(failed("read"))?;
        filled += read;
        if read == 0 || !read.is_multiple_of(BLOCK_BYTES) {
            break;
        }
    }
    Ok(filled)
}

/// A short write goes on from the last whole block it reached. Less than a block is asked for once
/// more, so that the kernel names the reason.
fn write_blocks(file: &OwnedFd, position: u64, data: &[u8]) -> Result<(), FileSystemError> {
    let mut written = 0;
    let mut stalled = false;
    while written < data.len() {
        let at = position + written as u64;
        let more = retry_on_intr(|| pwrite(file, &data[written..], at)).map_err(failed("write"))?;
        let whole = more / BLOCK_BYTES * BLOCK_BYTES;
        if whole == 0 && stalled {
            return Err(failed("short write")(Errno::IO));
        }
        stalled = whole == 0;
        written += whole;
    }
    Ok(())
}
