//! Executes a job's steps over a file system: on a helper thread in production, step by step in the simulation.

use std::path::Path;

use bytes::Bytes;

use super::file_system::{FileSystem, FileSystemError};
use super::operation::{Job, JobOutput, Step};
use crate::partition::index;

/// Zeros are written in pieces of this size: large enough for the device's full speed, small enough to
/// keep the helper thread's memory negligible.
const PREWRITE_PIECE_BYTES: usize = 1 << 20;

/// Runs all steps in order; the first failure ends the job.
pub fn execute(file_system: &dyn FileSystem, job: &Job) -> Result<JobOutput, FileSystemError> {
    let mut output = JobOutput::default();
    for step in &job.steps {
        perform(file_system, step, &mut output)?;
    }
    Ok(output)
}

/// Runs one step.
pub fn perform(
    fs: &dyn FileSystem,
    step: &Step,
    output: &mut JobOutput,
) -> Result<(), FileSystemError> {
    match step {
        Step::CreateDir(path) => fs.create_dir(path),
        Step::SyncDir(path) => fs.sync_dir(path),
        Step::Rename { from, to } => fs.rename(from, to),
        Step::RemoveFile(path) => fs.remove_file(path),
        Step::RemoveDir(path) => remove_dir(fs, path),
        Step::Allocate { path, from, to } => fs.allocate(path, *from, *to),
        Step::Prewrite { path, length } => prewrite(fs, path, *length),
        Step::Write { path, position, data } => fs.write(path, *position, data),
        Step::WriteFile { path, data } => fs.write_file(path, data),
        Step::SetLength { path, length } => fs.set_length(path, *length),
        Step::Sync(path) => fs.sync(path),
        Step::SyncFileSystem => fs.sync_file_system(),
        Step::ReadFile { path, length_max } => {
            output.files.push(read_file(fs, path, *length_max)?);
            Ok(())
        }
        Step::RequireFree(bytes) => {
            if fs.free_bytes()? < *bytes {
                Err(FileSystemError::NoSpace)
            } else {
                Ok(())
            }
        }
        Step::FreeBytes => {
            output.free_bytes = Some(fs.free_bytes()?);
            Ok(())
        }
        Step::WalkIndex { directory, base_offset, interval_bytes } => {
            let files = index::walk(fs, directory, *base_offset, *interval_bytes)?;
            let (offsets, times) = files.unzip();
            output.files.extend([offsets, times]);
            Ok(())
        }
        Step::BuildIndex { directory, base_offset, interval_bytes } => {
            index::build_files(fs, directory, *base_offset, *interval_bytes)
        }
    }
}

fn remove_dir(fs: &dyn FileSystem, path: &Path) -> Result<(), FileSystemError> {
    let entries = match fs.entries(path) {
        Ok(entries) => entries,
        Err(FileSystemError::NotFound) => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        fs.remove_file(&path.join(entry.name))?;
    }
    fs.remove_dir(path)
}

fn prewrite(fs: &dyn FileSystem, path: &Path, length: u64) -> Result<(), FileSystemError> {
    let zeros = vec![0u8; PREWRITE_PIECE_BYTES];
    let mut position = 0;
    while position < length {
        let piece = usize::try_from(length - position).unwrap_or(usize::MAX).min(zeros.len());
        fs.write(path, position, &zeros[..piece])?;
        position += piece as u64;
    }
    Ok(())
}

/// Reads a small file whole; absent gives `None`, longer than `length_max` is an error of its own kind.
pub fn read_file(
    fs: &dyn FileSystem,
    path: &Path,
    length_max: u64,
) -> Result<Option<Bytes>, FileSystemError> {
    let length = match fs.length(path) {
        Ok(length) => length,
        Err(FileSystemError::NotFound) => return Ok(None),
        Err(error) => return Err(error),
    };
    if length > length_max {
        return Err(FileSystemError::Failed {
            errno: 27,
            call: "read of a file that is too large",
        });
    }
    let mut data = vec![0u8; usize::try_from(length).unwrap_or(usize::MAX)];
    let read = fs.read(path, 0, &mut data)?;
    data.truncate(read);
    Ok(Some(Bytes::from(data)))
}
