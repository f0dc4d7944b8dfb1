//! The file of changes: a JSON object a line, synced before what it announces is done.
//!
//! ```text
//! {"record":"made","folders":2}                               first, where the folder of the journal was not there
//! {"record":"intended","number":1,"run":1,…,"change":{…}}     before the write
//! {"record":"applied","number":1}                             after it was read again
//! {"record":"restored","number":1,…}                          when it is undone, or never happened
//! ```
//!
//! A line that a crash cut is at the end and announces nothing that was done: it is cut off. When every
//! change is undone the file goes. Invariant: each change that is not undone has room for the lines that close it, so a
//! full journal can always be rolled back.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::changes::change::Change;
use crate::changes::journal_error::JournalError;
use crate::changes::state_directory::StateDirectory;
use crate::limits::{JOURNAL_BYTES_MAX, JOURNAL_CLOSING_BYTES};

const FILE_NAME: &str = "journal.jsonl";
/// What a compaction writes before it takes the journal's place.
const NEWER_NAME: &str = "journal.jsonl.new";

#[derive(Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "lowercase")]
enum Record {
    Made {
        folders: usize,
    },
    Intended {
        #[serde(flatten)]
        entry: Journaled,
    },
    Applied {
        number: u64,
    },
    Restored {
        number: u64,
        time_ms: u64,
    },
}

/// A change, and how far it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Journaled {
    pub(crate) number: u64,
    /// Which apply it was of.
    pub(crate) run: u64,
    pub(crate) time_ms: u64,
    /// The start of the machine, where the kernel tells: settings do not outlive it.
    pub(crate) boot: Option<String>,
    /// The id of the finding.
    pub(crate) check: String,
    pub(crate) change: Change,
    #[serde(skip)]
    pub(crate) is_applied: bool,
}

impl Journaled {
    /// Whether the machine was started since. Where the kernel does not tell, it was not.
    pub(crate) fn is_of_earlier_start(&self, boot: Option<&str>) -> bool {
        matches!((self.boot.as_deref(), boot), (Some(then), Some(now)) if then != now)
    }
}

/// What was changed and not undone yet, oldest first.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    live: Vec<Journaled>,
    last_number: u64,
    last_run: u64,
    /// Folders that were made for it, and go with it.
    folders_made: usize,
    /// The bytes of whole lines.
    length: u64,
}

impl Journal {
    /// As it is; no journal is an empty one.
    pub(crate) fn read(directory: &Path) -> Result<Self, JournalError> {
        let path = directory.join(FILE_NAME);
        let mut text = Vec::new();
        match File::open(&path) {
            Ok(file) => {
                let read = file.take(JOURNAL_BYTES_MAX + 1).read_to_end(&mut text);
                read.map_err(|source| JournalError::Io { path: path.clone(), source })?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(JournalError::Io { path, source }),
        }
        if text.len() as u64 > JOURNAL_BYTES_MAX {
            return Err(JournalError::TooLarge { path, most: JOURNAL_BYTES_MAX });
        }
        let mut journal = Self {
            path,
            live: Vec::new(),
            last_number: 0,
            last_run: 0,
            folders_made: 0,
            length: 0,
        };
        for (at, line) in text.split_inclusive(|&byte| byte == b'\n').enumerate() {
            if !line.ends_with(b"\n") {
                break;
            }
            journal.take(at + 1, line)?;
            journal.length += line.len() as u64;
        }
        Ok(journal)
    }

    fn take(&mut self, line: usize, text: &[u8]) -> Result<(), JournalError> {
        let path = || self.path.clone();
        let record = serde_json::from_slice(text)
            .map_err(|_| JournalError::Damaged { path: path(), line })?;
        match record {
            Record::Intended { entry } if !entry.change.is_allowed() => {
                let what = entry.change.path().to_owned();
                return Err(JournalError::Forbidden { path: path(), line, what });
            }
            Record::Made { folders } => self.folders_made = folders,
            Record::Intended { entry } => {
                self.last_number = self.last_number.max(entry.number);
                self.last_run = self.last_run.max(entry.run);
                self.live.push(entry);
            }
            Record::Applied { number } => self.mark_applied(number),
            Record::Restored { number, .. } => self.live.retain(|entry| entry.number != number),
        }
        Ok(())
    }

    pub(crate) fn live(&self) -> &[Journaled] {
        &self.live
    }

    fn mark_applied(&mut self, number: u64) {
        let found = self.live.iter_mut().filter(|entry| entry.number == number);
        found.for_each(|entry| entry.is_applied = true);
    }

    /// Whether so many bytes more leave room for the lines that close one more change and all before it.
    fn has_room_for(&self, bytes: usize) -> bool {
        let closing = (self.live.len() as u64 + 1) * JOURNAL_CLOSING_BYTES;
        self.length + bytes as u64 + closing <= JOURNAL_BYTES_MAX
    }
}

/// The journal, and nobody else at work with it.
#[derive(Debug)]
pub(crate) struct LockedJournal {
    journal: Journal,
    directory: StateDirectory,
    file: Option<File>,
}

impl LockedJournal {
    pub(crate) fn open(directory: &Path) -> Result<Self, JournalError> {
        let directory = StateDirectory::open(directory)?;
        let mut journal = Journal::read(directory.path())?;
        journal.folders_made = journal.folders_made.max(directory.made());
        Ok(Self { journal, directory, file: None })
    }

    pub(crate) fn live(&self) -> &[Journaled] {
        self.journal.live()
    }

    pub(crate) fn next_run(&self) -> u64 {
        self.journal.last_run + 1
    }

    /// Durable when this returns: the change may be made now.
    pub(crate) fn intend(
        &mut self,
        run: u64,
        boot: Option<&str>,
        check: &str,
        change: &Change,
    ) -> Result<u64, JournalError> {
        let number = self.journal.last_number + 1;
        let entry = Journaled {
            number,
            run,
            time_ms: now_ms(),
            boot: boot.map(str::to_owned),
            check: check.to_owned(),
            change: change.clone(),
            is_applied: false,
        };
        let line = line_of(&Record::Intended { entry: entry.clone() });
        self.make_room_for(line.len())?;
        self.append(&line)?;
        self.sync()?;
        self.journal.last_number = number;
        self.journal.last_run = run;
        self.journal.live.push(entry);
        Ok(number)
    }

    // What a crash takes of the following lines the values themselves tell again.

    pub(crate) fn applied(&mut self, number: u64) -> Result<(), JournalError> {
        self.append(&line_of(&Record::Applied { number }))?;
        self.journal.mark_applied(number);
        Ok(())
    }

    pub(crate) fn restored(&mut self, number: u64) -> Result<(), JournalError> {
        self.append(&line_of(&Record::Restored { number, time_ms: now_ms() }))?;
        self.journal.live.retain(|entry| entry.number != number);
        Ok(())
    }

    /// Where nothing is left to undo, nothing is left of the journal, nor of the folders that were made for it.
    pub(crate) fn close(mut self) -> Result<(), JournalError> {
        if !self.live().is_empty() {
            return Ok(());
        }
        self.file = None;
        let newer = self.directory.path().join(NEWER_NAME);
        let gone = remove_if_there(&self.journal.path)
            .and_then(|()| remove_if_there(&newer))
            .and_then(|()| self.directory.sync());
        gone.map_err(|source| self.failed(source))?;
        self.directory.remove(self.journal.folders_made);
        Ok(())
    }

    /// Leaves out what is closed where there is no room otherwise.
    fn make_room_for(&mut self, bytes: usize) -> Result<(), JournalError> {
        if !self.journal.has_room_for(bytes) {
            self.compact()?;
        }
        match self.journal.has_room_for(bytes) {
            true => Ok(()),
            false => {
                let path = self.journal.path.clone();
                Err(JournalError::Full { path, most: JOURNAL_BYTES_MAX })
            }
        }
    }

    /// The old file or the new one, whenever the power goes.
    fn compact(&mut self) -> Result<(), JournalError> {
        let mut content = self.first_line();
        for entry in self.live() {
            content.extend(line_of(&Record::Intended { entry: entry.clone() }));
            if entry.is_applied {
                content.extend(line_of(&Record::Applied { number: entry.number }));
            }
        }
        let newer = self.directory.path().join(NEWER_NAME);
        let written = File::create(&newer).and_then(|mut file| {
            file.write_all(&content)?;
            file.sync_all()
        });
        let replaced = written
            .and_then(|()| fs::rename(&newer, &self.journal.path))
            .and_then(|()| self.directory.sync());
        replaced.map_err(|source| self.failed(source))?;
        self.file = None;
        self.journal.length = content.len() as u64;
        Ok(())
    }

    /// Of a journal whose folders go with it.
    fn first_line(&self) -> Vec<u8> {
        match self.journal.folders_made {
            0 => Vec::new(),
            folders => line_of(&Record::Made { folders }),
        }
    }

    fn append(&mut self, line: &[u8]) -> Result<(), JournalError> {
        let mut lines = match self.journal.length {
            0 => self.first_line(),
            _ => Vec::new(),
        };
        lines.extend(line);
        let appended = self.writable().and_then(|file| file.write_all(&lines));
        appended.map_err(|source| self.failed(source))?;
        self.journal.length += lines.len() as u64;
        Ok(())
    }

    fn sync(&mut self) -> Result<(), JournalError> {
        let synced = self.writable().and_then(|file| file.sync_data());
        synced.map_err(|source| self.failed(source))
    }

    /// Behind the last whole line.
    fn writable(&mut self) -> io::Result<&mut File> {
        if self.file.is_none() {
            let path = &self.journal.path;
            let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
            file.set_len(self.journal.length)?;
            file.sync_all()?;
            self.directory.sync()?;
            self.file = Some(file);
        }
        let file = self.file.as_mut().expect("it was opened above");
        file.seek(SeekFrom::Start(self.journal.length))?;
        Ok(file)
    }

    fn failed(&self, source: io::Error) -> JournalError {
        JournalError::Io { path: self.journal.path.clone(), source }
    }
}

fn line_of(record: &Record) -> Vec<u8> {
    let mut line = serde_json::to_vec(record).expect("our own values have text keys");
    line.push(b'\n');
    line
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
