//! With `--trace`, what the disks hold when something was found: where each segment stops making sense.

use std::path::Path;

use broker::engine::disk::FileSystem;
use broker::protocol::record_batch::{BatchSlice, BatchWalk};

use super::EngineWorld;
use crate::disk::VirtualFileSystem;

impl EngineWorld {
    pub(super) fn autopsy(&self) {
        for (at, dir) in self.dirs.iter().enumerate() {
            dir.clear_faults();
            for (path, length) in dir.all_files() {
                if path.extension().is_some_and(|extension| extension == "log") {
                    eprintln!("    {at}/{}: {length} bytes, {}", path.display(), sense(dir, &path));
                }
            }
        }
        for (at, shard) in self.node.shards.iter().enumerate() {
            for partition in shard.engine.iter() {
                let segments: Vec<_> = partition
                    .segments
                    .iter()
                    .map(|segment| {
                        let of = (segment.base.0, segment.length, segment.allocated);
                        (of, segment.flushed, segment.durable, segment.state)
                    })
                    .collect();
                let path = partition.directory.path.display();
                eprintln!("    shard {at}: {path} to {:?}: {segments:?}", partition.end);
            }
        }
    }
}

/// The last sound batch of a segment and the position behind it.
fn sense(dir: &VirtualFileSystem, path: &Path) -> String {
    let length = dir.length(path).unwrap_or(0) as usize;
    let mut bytes = vec![0; length];
    if dir.read(path, 0, &mut bytes).is_err() {
        return "unreadable".to_owned();
    }
    let sound =
        BatchWalk::new(&bytes).map_while(Result::ok).take_while(BatchSlice::crc_is_valid).last();
    match sound {
        Some(last) => {
            let end = last.position + last.bytes.len();
            let rest = bytes[end..].iter().filter(|byte| **byte != 0).count();
            let next = last.header.next_offset().0;
            format!("sound to {end} (offset {next}), {rest} bytes other than zero behind")
        }
        None => "without a sound batch".to_owned(),
    }
}
