//! What was checked, and what is damaged: file, position, and what it hurts.

use std::path::{Path, PathBuf};

use serde::Serialize;
use tuning::ByteCount;

use crate::cli::failure::Failure;
use crate::cli::output::{Colour, Output};
use crate::cli::progress::Progress;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Damage {
    pub(super) file: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) position: Option<u64>,
    /// What is wrong.
    pub(super) what: String,
    /// What it means for records and partitions.
    pub(super) hurts: String,
}

/// Worth knowing, and no damage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Note {
    pub(super) file: PathBuf,
    pub(super) what: String,
}

#[derive(Default, Serialize)]
pub(super) struct Report {
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) partitions: u64,
    pub(super) batches: u64,
    pub(super) records: u64,
    pub(super) damages: Vec<Damage>,
    pub(super) notes: Vec<Note>,
    #[serde(skip)]
    pub(super) progress: Option<Progress>,
}

impl Report {
    pub(super) fn damage(
        &mut self,
        file: &Path,
        position: Option<u64>,
        what: impl Into<String>,
        hurts: impl Into<String>,
    ) {
        let (file, what, hurts) = (file.to_owned(), what.into(), hurts.into());
        self.damages.push(Damage { file, position, what, hurts });
    }

    pub(super) fn note(&mut self, file: &Path, what: impl Into<String>) {
        self.notes.push(Note { file: file.to_owned(), what: what.into() });
    }

    /// A file was looked at.
    pub(super) fn checked(&mut self, bytes: u64) {
        self.files += 1;
        self.advanced(bytes);
    }

    /// A part of a file was looked at.
    pub(super) fn advanced(&mut self, bytes: u64) {
        self.bytes += bytes;
        if let Some(progress) = &mut self.progress {
            progress.add(bytes);
        }
    }

    pub(super) fn show(&self, output: &mut Output) -> Result<(), Failure> {
        if output.is_json() {
            return output.json(self);
        }
        for damage in &self.damages {
            let position = damage.position.map_or_else(String::new, |at| format!(" at {at}"));
            let mark = output.coloured(Colour::Red, "damage");
            output.line(format_args!(
                "{mark}  {}{position}: {}",
                damage.file.display(),
                damage.what
            ))?;
            output.line(format_args!("        hurts {}", damage.hurts))?;
        }
        for note in &self.notes {
            output.line(format_args!("note    {}: {}", note.file.display(), note.what))?;
        }
        output.line(format_args!(
            "checked {} files, {}: {} partitions, {} batches, {} records",
            self.files,
            ByteCount(self.bytes),
            self.partitions,
            self.batches,
            self.records
        ))?;
        match self.damages.len() {
            0 => output.line(output.coloured(Colour::Green, "no damage")),
            1 => output.line("1 damage"),
            count => output.line(format_args!("{count} damages")),
        }
    }
}
