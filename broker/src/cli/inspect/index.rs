//! Entries of offset and time indexes.

use std::path::Path;

use serde_json::json;

use super::small_file;
use crate::cli::failure::Failure;
use crate::cli::output::{Output, Table};
use crate::cli::stored_indexes::{offset_entries, time_entries};
use crate::cli::times;

pub(super) fn inspect_offsets(path: &Path, base: i64, output: &mut Output) -> Result<(), Failure> {
    let (entries, rest) = offset_entries(&small_file(path)?, base);
    if output.is_json() {
        let entry = |entry: &crate::cli::stored_indexes::OffsetEntry| json!({ "offset": entry.offset, "position": entry.position });
        let entries: Vec<_> = entries.iter().map(entry).collect();
        output.json(&json!({ "base_offset": base, "entries": entries }))?;
    } else {
        let mut table = Table::new(&["OFFSET", "POSITION"]);
        for entry in &entries {
            table.push(vec![entry.offset.to_string(), entry.position.to_string()]);
        }
        output.table(&table)?;
    }
    whole(path, rest, 8)
}

pub(super) fn inspect_times(path: &Path, base: i64, output: &mut Output) -> Result<(), Failure> {
    let (entries, rest) = time_entries(&small_file(path)?, base);
    if output.is_json() {
        let entry = |entry: &crate::cli::stored_indexes::TimeEntry| json!({ "timestamp": entry.timestamp, "offset": entry.offset });
        let entries: Vec<_> = entries.iter().map(entry).collect();
        output.json(&json!({ "base_offset": base, "entries": entries }))?;
    } else {
        let mut table = Table::new(&["TIMESTAMP", "TIME", "OFFSET"]);
        for entry in &entries {
            let (timestamp, time) = (entry.timestamp.to_string(), times::shown(entry.timestamp));
            table.push(vec![timestamp, time, entry.offset.to_string()]);
        }
        output.table(&table)?;
    }
    whole(path, rest, 12)
}

fn whole(path: &Path, rest: usize, entry_bytes: usize) -> Result<(), Failure> {
    if rest == 0 {
        return Ok(());
    }
    Err(Failure::failed(format!(
        "{} ends inside an entry of {entry_bytes} bytes; a node rebuilds it at its next start if the file is removed",
        path.display()
    )))
}
