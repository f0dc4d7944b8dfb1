//! The virtual disk: the engine's file system and ring operations under virtual time.
//!
//! What a program may believe about a disk, and no more, holds here:
//!
//! * a write is on stable storage when it completed as durable, or completed before a sync of its file
//!   was submitted and that sync has returned;
//! * an entry of a directory (created, renamed, removed) is, once that directory was synced;
//! * everything else is, at a power cut, kept or lost; a write also torn at its 512-byte sectors.
//!
//! | module | job |
//! |---|---|
//! | `content` | the bytes of a file, sparse |
//! | `inode` | a file: what readers see, what is stable, what is in between |
//! | `namespace` | the same for names in directories |
//! | `file_system` | the engine's `FileSystem` over both; power cuts |
//! | `fault` | errors to inject, and rules to break for negative controls |
//! | `executor` | a shard's disk operations, completed in any order after virtual latencies |
//! | `journal_edit` | changes to journal groups on their way, for negative controls |
//! | `trace` | a running hash of all that happened |

mod content;
mod executor;
mod fault;
mod file_system;
mod inode;
mod journal_edit;
mod namespace;
#[cfg(test)]
mod tests;
mod trace;

pub(crate) use executor::{UnderWay, VirtualDisk, compacted_dir, is_of_the_cleaner};
pub(crate) use fault::{JournalEdit, Planted};
pub(crate) use file_system::VirtualFileSystem;
pub(crate) use journal_edit::JournalEditor;
pub(crate) use trace::Trace;
