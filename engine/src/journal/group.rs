//! The layout of a journal group, built and checked.
//!
//! ```text
//!  0 magic u32 | 4 version u16 | 6 zero u16 | 8 shard u32 | 12 entries u32 | 16 incarnation u64
//! 24 sequence u64 | 32 acknowledged end u64 | 40 live start u64 | 48 opening end u64
//! 56 total bytes u32 | 60 table bytes u32 | 64 body bytes u32 | 68 previous header crc u32
//! 72 table crc u32 | 76 body crc u32 | 80 file bytes u64 | 88 zeros | 124 header crc u32     (little endian)
//! ```
//!
//! The header's CRC is seeded with the node's secret salt, so that record data which a client crafted
//! to look like a header can never be taken for one. The entry table and the bodies have CRCs of their
//! own: a damaged body still names the partitions it hurt.

use bytes::Bytes;
use runtime::memory::Block;

use super::entry::{ENTRY_BYTES, Entry, field};
use crate::limits::{BLOCK_BYTES, JOURNAL_GROUP_BYTES_MAX};

pub const HEADER_BYTES: usize = 128;
/// What every group begins with.
pub const MAGIC: u32 = u32::from_le_bytes(*b"CLJG");
/// Format version of journal groups.
pub const VERSION: u16 = 1;
const CRC_AT: usize = 124;

/// Secret of a node that keeps clients from forging journal headers; kept in `meta.properties`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalSalt(pub u64);

/// The header of a group. Sequences are half-open: everything *below* an end is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupHeader {
    pub shard: u32,
    /// One start of a node; grows with every start.
    pub incarnation: u64,
    /// Position of the group in the incarnation, from 0 without gaps.
    pub sequence: u64,
    /// All groups below it were durable when this one was built: a hole below it is corruption.
    pub acknowledged_end: u64,
    /// Groups below it are not needed any more: everything in them is durable in segments.
    pub live_start: u64,
    /// The incarnation's first groups, up to here, describe every partition; nothing is appended
    /// before all of them are durable.
    pub opening_end: u64,
    /// CRC of the header before this one in the incarnation, 0 for the first.
    pub previous_crc: u32,
    /// Length of the file that the group is written to: it was durable before, so a shorter file was cut.
    pub file_bytes: u64,
}

/// A group read back.
#[derive(Clone, Debug)]
pub struct Group {
    pub header: GroupHeader,
    pub header_crc: u32,
    pub total_bytes: usize,
    pub content: GroupContent,
}

/// How much of a group with a sound header is sound.
#[derive(Clone, Debug)]
pub enum GroupContent {
    /// Every entry with its body.
    Sound(Vec<(Entry, Bytes)>),
    /// The bodies are damaged; the entries tell whom it hurt.
    BodyDamaged(Vec<Entry>),
    /// The entry table is damaged: nobody knows whom it hurt.
    TableDamaged,
}

/// Bytes of a group with these bodies, a multiple of 4 KiB.
pub fn group_bytes(entries: usize, body_bytes: usize) -> usize {
    (HEADER_BYTES + entries * ENTRY_BYTES + body_bytes).next_multiple_of(BLOCK_BYTES)
}

/// Writes a whole group into `block`; gives its length and its header's CRC.
pub fn encode<'a>(
    block: &mut Block,
    salt: JournalSalt,
    header: &GroupHeader,
    entries: &[Entry],
    bodies: impl Iterator<Item = &'a [u8]>,
) -> (usize, u32) {
    let table_end = HEADER_BYTES + entries.len() * ENTRY_BYTES;
    let mut at = table_end;
    let mut body_crc = 0;
    for body in bodies {
        block[at..at + body.len()].copy_from_slice(body);
        body_crc = crc32c::crc32c_append(body_crc, body);
        at += body.len();
    }
    let total = at.next_multiple_of(BLOCK_BYTES);
    assert!(total <= block.len(), "the caller counted the bodies before taking the block");
    block[at..total].fill(0);
    for (row, entry) in block[HEADER_BYTES..table_end].chunks_exact_mut(ENTRY_BYTES).zip(entries) {
        entry.encode(row);
    }
    let table_crc = crc32c::crc32c(&block[HEADER_BYTES..table_end]);
    let lengths = Lengths {
        entries: len_u32(entries.len()),
        total: len_u32(total),
        table: len_u32(table_end - HEADER_BYTES),
        body: len_u32(at - table_end),
        table_crc,
        body_crc,
    };
    let crc = encode_header(&mut block[..HEADER_BYTES], salt, header, &lengths);
    (total, crc)
}

struct Lengths {
    entries: u32,
    total: u32,
    table: u32,
    body: u32,
    table_crc: u32,
    body_crc: u32,
}

fn len_u32(length: usize) -> u32 {
    u32::try_from(length).expect("a group is at most JOURNAL_GROUP_BYTES_MAX long")
}

fn encode_header(
    bytes: &mut [u8],
    salt: JournalSalt,
    header: &GroupHeader,
    lengths: &Lengths,
) -> u32 {
    bytes.fill(0);
    bytes[0..4].copy_from_slice(&MAGIC.to_le_bytes());
    bytes[4..6].copy_from_slice(&VERSION.to_le_bytes());
    bytes[8..12].copy_from_slice(&header.shard.to_le_bytes());
    bytes[12..16].copy_from_slice(&lengths.entries.to_le_bytes());
    bytes[16..24].copy_from_slice(&header.incarnation.to_le_bytes());
    bytes[24..32].copy_from_slice(&header.sequence.to_le_bytes());
    bytes[32..40].copy_from_slice(&header.acknowledged_end.to_le_bytes());
    bytes[40..48].copy_from_slice(&header.live_start.to_le_bytes());
    bytes[48..56].copy_from_slice(&header.opening_end.to_le_bytes());
    bytes[56..60].copy_from_slice(&lengths.total.to_le_bytes());
    bytes[60..64].copy_from_slice(&lengths.table.to_le_bytes());
    bytes[64..68].copy_from_slice(&lengths.body.to_le_bytes());
    bytes[68..72].copy_from_slice(&header.previous_crc.to_le_bytes());
    bytes[72..76].copy_from_slice(&lengths.table_crc.to_le_bytes());
    bytes[76..80].copy_from_slice(&lengths.body_crc.to_le_bytes());
    bytes[80..88].copy_from_slice(&header.file_bytes.to_le_bytes());
    let crc = header_crc(salt, &bytes[..CRC_AT]);
    bytes[CRC_AT..HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
    crc
}

fn header_crc(salt: JournalSalt, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&salt.0.to_le_bytes()), bytes)
}

/// The header at the start of `data`, its CRC, and the bytes of the whole group. `None` where no sound
/// header of this node and shard begins here.
pub fn peek(data: &[u8], salt: JournalSalt, shard: u32) -> Option<(GroupHeader, u32, usize)> {
    let head = data.get(..HEADER_BYTES)?;
    let crc = u32::from_le_bytes(field(head, CRC_AT)?);
    let version = u16::from_le_bytes(field(head, 4)?);
    if u32::from_le_bytes(field(head, 0)?) != MAGIC
        || version != VERSION
        || header_crc(salt, &head[..CRC_AT]) != crc
        || u32::from_le_bytes(field(head, 8)?) != shard
    {
        return None;
    }
    let header = GroupHeader {
        shard,
        incarnation: u64::from_le_bytes(field(head, 16)?),
        sequence: u64::from_le_bytes(field(head, 24)?),
        acknowledged_end: u64::from_le_bytes(field(head, 32)?),
        live_start: u64::from_le_bytes(field(head, 40)?),
        opening_end: u64::from_le_bytes(field(head, 48)?),
        previous_crc: u32::from_le_bytes(field(head, 68)?),
        file_bytes: u64::from_le_bytes(field(head, 80)?),
    };
    let bytes = u32::from_le_bytes(field(head, 56)?) as usize;
    let is_sound = bytes <= JOURNAL_GROUP_BYTES_MAX
        && bytes.is_multiple_of(BLOCK_BYTES)
        && bytes > 0
        && header.live_start <= header.acknowledged_end
        && header.acknowledged_end <= header.sequence
        && header.sequence < u64::MAX;
    is_sound.then_some((header, crc, bytes))
}

/// Reads the group that begins at the start of `data` (which may go on behind it). `None` where no
/// sound header of this node and shard begins here.
pub fn decode(data: &Bytes, salt: JournalSalt, shard: u32) -> Option<Group> {
    let (header, header_crc, total_bytes) = peek(data, salt, shard)?;
    let head = data.get(..HEADER_BYTES)?;
    let content = decode_content(data, head).unwrap_or(GroupContent::TableDamaged);
    Some(Group { header, header_crc, total_bytes, content })
}

/// `None`: the table is not sound.
fn decode_content(data: &Bytes, head: &[u8]) -> Option<GroupContent> {
    let count = u32::from_le_bytes(field(head, 12)?) as usize;
    let table_bytes = u32::from_le_bytes(field(head, 60)?) as usize;
    let body_bytes = u32::from_le_bytes(field(head, 64)?) as usize;
    let table_end = HEADER_BYTES.checked_add(table_bytes)?;
    let body_end = table_end.checked_add(body_bytes)?;
    if count.checked_mul(ENTRY_BYTES)? != table_bytes {
        return None;
    }
    let table = data.get(HEADER_BYTES..table_end)?;
    if crc32c::crc32c(table) != u32::from_le_bytes(field(head, 72)?) {
        return None;
    }
    let entries: Vec<Entry> =
        table.chunks_exact(ENTRY_BYTES).map(Entry::decode).collect::<Option<_>>()?;
    let bodies_sum: u64 = entries.iter().map(|entry| u64::from(entry.body_bytes)).sum();
    let sound = bodies_sum == body_bytes as u64
        && data.get(table_end..body_end).is_some_and(|body| {
            field(head, 76).is_some_and(|crc| crc32c::crc32c(body) == u32::from_le_bytes(crc))
        });
    if !sound {
        return Some(GroupContent::BodyDamaged(entries));
    }
    let mut at = table_end;
    let with_bodies = entries.into_iter().map(|entry| {
        let end = at + entry.body_bytes as usize;
        let body = data.slice(at..end);
        at = end;
        (entry, body)
    });
    Some(GroupContent::Sound(with_bodies.collect()))
}

#[cfg(test)]
mod tests;
