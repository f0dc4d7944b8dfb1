//! What was checked, and what is damaged: file, position, and what it hurts.

use std::path::{Path, PathBuf};

use serde::Serialize;
use tuning::ByteCount;

use crate::cli::failure::Failure;
use crate::cli::output::{Colour, Output, counted};
use crate::cli::progress::Progress;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Severity {
    Damage,
    /// The file is damaged, and nothing is lost: the next start writes it again.
    MendedAtStart,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Damage {
    pub(super) severity: Severity,
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
        let severity = Severity::Damage;
        self.damages.push(Damage { severity, file, position, what, hurts });
    }

    /// A file is damaged where the journal has what belongs there.
    pub(super) fn mended(&mut self, file: &Path, position: Option<u64>, what: impl Into<String>) {
        self.damages.push(Damage {
            severity: Severity::MendedAtStart,
            file: file.to_owned(),
            position,
            what: what.into(),
            hurts: "nothing: the journal has these bytes, and the next start mends the file"
                .to_owned(),
        });
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
            let mark = match damage.severity {
                Severity::Damage => output.coloured(Colour::Red, "damage"),
                Severity::MendedAtStart => output.coloured(Colour::Yellow, "damage"),
            };
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
            "checked {}, {}: {}, {}, {}",
            counted(self.files, "file"),
            ByteCount(self.bytes),
            counted(self.partitions, "partition"),
            counted(self.batches, "batch"),
            counted(self.records, "record")
        ))?;
        let is_mended = |damage: &&Damage| damage.severity == Severity::MendedAtStart;
        let mended = match self.damages.iter().filter(is_mended).count() {
            0 => String::new(),
            count => format!("; the next start mends {count} from the journal"),
        };
        match self.damages.len() {
            0 => output.line(output.coloured(Colour::Green, "no damage")),
            count => output.line(format_args!("{}{mended}", counted(count as u64, "damage"))),
        }
    }
}
