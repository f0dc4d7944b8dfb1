//! Breaks a rule of the journal for a negative control: groups are changed on their way to the disk, so
//! that the engine needs no switch for it.

use broker::engine::journal::entry::{Entry, EntryKind};
use broker::engine::journal::group::{self, GroupContent, JournalSalt};
use broker::runtime::memory::Arena;
use bytes::Bytes;

use super::fault::JournalEdit;

/// Edits the groups of one shard's journal, in the order of their sequence.
#[derive(Debug)]
pub(crate) struct JournalEditor {
    edit: JournalEdit,
    salt: JournalSalt,
    shard: u32,
    arena: Arena,
    /// CRC of the header before, as it was written: the chain of headers stays whole.
    previous_crc: Option<u32>,
}

impl JournalEditor {
    pub(crate) fn new(edit: JournalEdit, salt: JournalSalt, shard: u32, arena: Arena) -> Self {
        Self { edit, salt, shard, arena, previous_crc: None }
    }

    /// The group as it shall be written; as long as before, so that the next one's place is the same.
    pub(super) fn edit(&mut self, data: Vec<u8>) -> Vec<u8> {
        let length = data.len();
        let data = Bytes::from(data);
        let group = group::decode(&data, self.salt, self.shard).expect("the engine writes groups");
        let mut header = group.header;
        header.previous_crc = self.previous_crc.unwrap_or(header.previous_crc);
        let GroupContent::Sound(mut entries) = group.content else {
            panic!("the engine writes sound groups")
        };
        match self.edit {
            JournalEdit::NoFragments => {
                entries.retain(|(entry, _)| entry.kind != EntryKind::Fragment);
            }
            JournalEdit::NoLogStarts => {
                entries.retain(|(entry, _)| entry.kind != EntryKind::LogStart);
            }
            JournalEdit::NoAcknowledgedEnd => header.acknowledged_end = 0,
            JournalEdit::LiveStartRunsAhead => {
                header.live_start =
                    header.live_start.max(header.acknowledged_end.saturating_sub(1));
            }
        }
        let mut block = self.arena.allocate(length).expect("a group at a time is held");
        let rows: Vec<Entry> = entries.iter().map(|entry| entry.0).collect();
        let bodies = entries.iter().map(|entry| &entry.1[..]);
        let (bytes, crc) = group::encode(&mut block, self.salt, &header, &rows, bodies);
        self.previous_crc = Some(crc);
        let mut edited = block[..bytes].to_vec();
        edited.resize(length, 0);
        edited
    }
}
