//! Index files as Kafka lays them out, entry by entry.
//!
//! ```text
//! .index      relative offset u32 | position u32                 (big endian, 8 bytes an entry)
//! .timeindex  largest timestamp i64 | relative offset u32        (big endian, 12 bytes an entry)
//! ```

/// The batch at `position` ends at `offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OffsetEntry {
    /// Of the entry in its file.
    pub(crate) at: u64,
    pub(crate) offset: i64,
    pub(crate) position: u64,
}

/// No record up to `offset` has a timestamp above this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeEntry {
    /// Of the entry in its file.
    pub(crate) at: u64,
    pub(crate) timestamp: i64,
    pub(crate) offset: i64,
}

/// The entries, and the bytes behind the last whole one.
pub(crate) fn offset_entries(file: &[u8], base: i64) -> (Vec<OffsetEntry>, usize) {
    let (entries, rest) = file.as_chunks::<8>();
    let entry = |(number, bytes): (u64, &[u8; 8])| {
        let (offset, position) = bytes.split_at(4);
        OffsetEntry {
            at: number * 8,
            offset: base.saturating_add(i64::from(be_u32(offset))),
            position: u64::from(be_u32(position)),
        }
    };
    ((0..).zip(entries).map(entry).collect(), rest.len())
}

/// The entries, and the bytes behind the last whole one.
pub(crate) fn time_entries(file: &[u8], base: i64) -> (Vec<TimeEntry>, usize) {
    let (entries, rest) = file.as_chunks::<12>();
    let entry = |(number, bytes): (u64, &[u8; 12])| {
        let (timestamp, offset) = bytes.split_at(8);
        let timestamp = i64::from_be_bytes(timestamp.try_into().expect("eight bytes"));
        TimeEntry {
            at: number * 12,
            timestamp,
            offset: base.saturating_add(i64::from(be_u32(offset))),
        }
    };
    ((0..).zip(entries).map(entry).collect(), rest.len())
}

fn be_u32(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes.try_into().expect("four bytes"))
}
