//! What the disk alone takes for one durable 4 KiB write onto blocks that were written before.

use std::fs::OpenOptions;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::Instant;

const BLOCK: usize = 4096;
const FILE_BYTES: usize = 16 << 20;

/// Microseconds of each of `count` writes, sorted.
pub(crate) fn latencies(directory: &Path, count: usize) -> Vec<f64> {
    std::fs::create_dir_all(directory).unwrap();
    let path = directory.join("durable-write");
    std::fs::write(&path, vec![0u8; FILE_BYTES]).unwrap();
    std::fs::File::open(&path).unwrap().sync_all().unwrap();
    let flags = (rustix::fs::OFlags::DIRECT | rustix::fs::OFlags::DSYNC).bits();
    let file = OpenOptions::new()
        .write(true)
        .custom_flags(i32::try_from(flags).unwrap())
        .open(&path)
        .unwrap();
    let memory = vec![7u8; 2 * BLOCK];
    let skip = memory.as_ptr().align_offset(BLOCK);
    let block = &memory[skip..skip + BLOCK];
    let mut times: Vec<f64> = (0..count)
        .map(|at| {
            let position = (at * BLOCK) % FILE_BYTES;
            let begun = Instant::now();
            file.write_all_at(block, position as u64).unwrap();
            begun.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    std::fs::remove_file(&path).unwrap();
    times.sort_by(f64::total_cmp);
    times
}
