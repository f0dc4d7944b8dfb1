//! The batch headers of a segment file, one after another, up to the first place where no whole batch is.

use std::path::Path;

use protocol::record_batch::{BatchHeader, HEADER_BYTES};

use crate::batch::BatchView;
use crate::disk::{FileSystem, FileSystemError};

/// Read at once; a batch may be larger: only its header is looked at.
const WINDOW_BYTES: usize = 1 << 20;

/// Gives each header with its position to `visit`; the end of the last whole batch below `length`. Records
/// and CRCs are not looked at: whoever reads them checks them.
pub fn walk_batches(
    fs: &dyn FileSystem,
    log: &Path,
    length: u64,
    mut visit: impl FnMut(u64, &BatchHeader),
) -> Result<u64, FileSystemError> {
    let mut window = vec![0u8; WINDOW_BYTES];
    let mut position = 0;
    while position < length {
        let read = fs.read(log, position, &mut window)?;
        let mut at = 0;
        while at < read
            && let Some(header) = BatchHeader::read(&window[at..read])
        {
            let end = position + (at + header.total_bytes()) as u64;
            if !header.is_plausible() || header.total_bytes() < HEADER_BYTES || end > length {
                return Ok(position + at as u64);
            }
            visit(position + at as u64, &header);
            at += header.total_bytes();
        }
        if at == 0 {
            break;
        }
        position += at as u64;
    }
    Ok(position)
}
