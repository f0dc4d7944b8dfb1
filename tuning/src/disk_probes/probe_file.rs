//! A file for measuring that has no name: when the process ends, however it ends, its blocks are free again.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::fs::{FallocateFlags, OFlags};
use rustix::io::{Errno, ReadWriteFlags};

use super::DiskProbeError;
use super::aligned_bytes::AlignedBytes;
use crate::directory_probe::open_unnamed;
use crate::limits::{PREWRITE_TIME_MAX, PROBE_FILE_BYTES_MIN, PROBE_WRITE_BYTES};

pub(super) struct ProbeFile {
    file: OwnedFd,
    directory: PathBuf,
}

impl ProbeFile {
    pub(super) fn create(directory: &Path) -> Result<Self, DiskProbeError> {
        let path = directory.to_path_buf();
        open_unnamed(directory, OFlags::RDWR)
            .map_err(|errno| failed(directory, "making a file", errno))?;
        match open_unnamed(directory, OFlags::RDWR | OFlags::DIRECT) {
            Ok(file) => Ok(Self { file, directory: path }),
            Err(errno) => Err(DiskProbeError::NotDirect { path, errno }),
        }
    }

    /// Writes every block once, as long as there is time, and syncs. Gives the bytes that are there.
    pub(super) fn prewrite(&self, bytes_max: u64) -> Result<u64, DiskProbeError> {
        let block = AlignedBytes::new(PROBE_WRITE_BYTES);
        let begin = Instant::now();
        let mut written = 0;
        while written + PROBE_WRITE_BYTES as u64 <= bytes_max
            && (written < PROBE_FILE_BYTES_MIN.get() || begin.elapsed() < PREWRITE_TIME_MAX)
        {
            self.write(block.get(), written, ReadWriteFlags::empty())?;
            written += PROBE_WRITE_BYTES as u64;
        }
        self.sync()?;
        Ok(written)
    }

    /// Room on the disk that was never written: each first write of a block changes what the file system knows. Where
    /// the file system has none, zeros, as the node does.
    pub(super) fn preallocate(&self, bytes: u64) -> Result<(), DiskProbeError> {
        match rustix::fs::fallocate(&self.file, FallocateFlags::empty(), 0, bytes) {
            Err(Errno::OPNOTSUPP) => self.write_zeros(bytes),
            set => set.map_err(|errno| failed(&self.directory, "preallocating", errno)),
        }
    }

    fn write_zeros(&self, bytes: u64) -> Result<(), DiskProbeError> {
        let zeros = AlignedBytes::zeroed(PROBE_WRITE_BYTES);
        for position in (0..bytes).step_by(PROBE_WRITE_BYTES) {
            let piece = (bytes - position).min(PROBE_WRITE_BYTES as u64) as usize;
            self.write(&zeros.get()[..piece], position, ReadWriteFlags::empty())?;
        }
        Ok(())
    }

    /// Room that was never written, whatever was written there before.
    pub(super) fn set_aside(&self, bytes: u64) -> Result<(), DiskProbeError> {
        match rustix::fs::fallocate(&self.file, FallocateFlags::ZERO_RANGE, 0, bytes) {
            // Not every file system can forget what is in its blocks and keep them; tmpfs and ZFS cannot.
            Err(Errno::OPNOTSUPP | Errno::INVAL) => {
                self.cut()?;
                self.preallocate(bytes)?;
            }
            set => set.map_err(|errno| failed(&self.directory, "setting room aside", errno))?,
        }
        self.sync()
    }

    pub(super) fn cut(&self) -> Result<(), DiskProbeError> {
        rustix::fs::ftruncate(&self.file, 0)
            .map_err(|errno| failed(&self.directory, "cutting the file", errno))
    }

    pub(super) fn write(
        &self,
        bytes: &[u8],
        position: u64,
        flags: ReadWriteFlags,
    ) -> Result<(), DiskProbeError> {
        match rustix::io::pwritev2(&self.file, &[IoSlice::new(bytes)], position, flags) {
            Ok(count) if count == bytes.len() => Ok(()),
            Ok(_) => Err(failed(&self.directory, "a write", Errno::NOSPC)),
            Err(errno) => Err(failed(&self.directory, "a write", errno)),
        }
    }

    pub(super) fn read(&self, bytes: &mut [u8], position: u64) -> Result<(), DiskProbeError> {
        let wanted = bytes.len();
        match rustix::io::preadv(&self.file, &mut [IoSliceMut::new(bytes)], position) {
            Ok(count) if count == wanted => Ok(()),
            Ok(_) => Err(failed(&self.directory, "a read", Errno::IO)),
            Err(errno) => Err(failed(&self.directory, "a read", errno)),
        }
    }

    pub(super) fn sync(&self) -> Result<(), DiskProbeError> {
        rustix::fs::fdatasync(&self.file)
            .map_err(|errno| failed(&self.directory, "fdatasync", errno))
    }
}

fn failed(directory: &Path, what: &'static str, errno: Errno) -> DiskProbeError {
    DiskProbeError::Failed { path: directory.to_path_buf(), what, errno }
}
