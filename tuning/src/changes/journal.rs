//! The file of changes: a JSON object a line, synced before what it announces is done.
//!
//! ```text
//! {"record":"intended","number":1,"run":1,…,"change":{…}}     before the write
//! {"record":"applied","number":1}                             after it was read again
//! {"record":"restored","number":1,…}                          when it is undone, or never happened
//! ```
//!
//! A line that a crash cut is at the end and announces nothing that was done: it is cut off. When every
//! change is undone the file goes.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::changes::change::Change;
use crate::limits::JOURNAL_BYTES_MAX;

const FILE_NAME: &str = "journal.jsonl";

/// Why there is no working with the journal.
#[derive(Debug)]
pub enum JournalError {
    Locked {
        path: PathBuf,
    },
    Io {
        path: PathBuf,
        source: io::Error,
    },
    Damaged {
        path: PathBuf,
        line: usize,
    },
    /// It names what is never written.
    Forbidden {
        path: PathBuf,
        line: usize,
        what: String,
    },
    TooLarge {
        path: PathBuf,
        most: u64,
    },
}

impl fmt::Display for JournalError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked { path } => write!(
                formatter,
                "another `corelane tune` is at work in {}: wait for it",
                path.display()
            ),
            Self::Io { path, source } if source.kind() == io::ErrorKind::PermissionDenied => {
                write!(formatter, "{}: {source}; repeat the command with sudo", path.display())
            }
            Self::Io { path, source } => write!(formatter, "{}: {source}", path.display()),
            Self::Damaged { path, line } => write!(
                formatter,
                "line {line} of {} is damaged; put the settings back by hand from its other lines \
                 (`from`), then remove it",
                path.display()
            ),
            Self::Forbidden { path, line, what } => write!(
                formatter,
                "line {line} of {} names {what}, which this program never writes; look who did",
                path.display()
            ),
            Self::TooLarge { path, most } => write!(
                formatter,
                "{} is larger than {most} bytes; roll back first: corelane tune rollback",
                path.display()
            ),
        }
    }
}

impl std::error::Error for JournalError {}

#[derive(Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "lowercase")]
enum Record {
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

/// What was changed and not undone yet, oldest first.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    live: Vec<Journaled>,
    last_number: u64,
    last_run: u64,
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
        let mut journal = Self { path, live: Vec::new(), last_number: 0, last_run: 0, length: 0 };
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
}

/// The journal, and nobody else at work with it.
#[derive(Debug)]
pub(crate) struct LockedJournal {
    journal: Journal,
    directory: PathBuf,
    /// The lock is on the directory, so that it leaves no file.
    _lock: File,
    file: Option<File>,
}

impl LockedJournal {
    pub(crate) fn open(directory: &Path) -> Result<Self, JournalError> {
        let failed = |source: io::Error| JournalError::Io { path: directory.to_path_buf(), source };
        create_durably(directory).map_err(failed)?;
        let lock = File::open(directory).map_err(failed)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| JournalError::Locked { path: directory.to_path_buf() })?;
        let journal = Journal::read(directory)?;
        Ok(Self { journal, directory: directory.to_path_buf(), _lock: lock, file: None })
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
        self.append(&Record::Intended { entry: entry.clone() })?;
        self.journal.last_number = number;
        self.journal.last_run = run;
        self.journal.live.push(entry);
        Ok(number)
    }

    pub(crate) fn applied(&mut self, number: u64) -> Result<(), JournalError> {
        self.append(&Record::Applied { number })?;
        self.journal.mark_applied(number);
        Ok(())
    }

    pub(crate) fn restored(&mut self, number: u64) -> Result<(), JournalError> {
        self.append(&Record::Restored { number, time_ms: now_ms() })?;
        self.journal.live.retain(|entry| entry.number != number);
        Ok(())
    }

    /// Where nothing is left to undo, nothing is left of the journal.
    pub(crate) fn close(mut self) -> Result<(), JournalError> {
        if !self.live().is_empty() || !self.journal.path.exists() {
            return Ok(());
        }
        self.file = None;
        let gone = fs::remove_file(&self.journal.path).and_then(|()| self.sync_directory());
        gone.map_err(|source| self.failed(source))
    }

    fn append(&mut self, record: &Record) -> Result<(), JournalError> {
        let mut line = serde_json::to_vec(record).expect("our own values have text keys");
        line.push(b'\n');
        let length = self.journal.length + line.len() as u64;
        // What undoes a change always has room.
        if length > JOURNAL_BYTES_MAX && matches!(record, Record::Intended { .. }) {
            let path = self.journal.path.clone();
            return Err(JournalError::TooLarge { path, most: JOURNAL_BYTES_MAX });
        }
        let appended = self.writable().and_then(|file| {
            file.write_all(&line)?;
            match record {
                Record::Intended { .. } => file.sync_data(),
                // What a crash takes of these the values themselves tell again.
                Record::Applied { .. } | Record::Restored { .. } => Ok(()),
            }
        });
        appended.map_err(|source| self.failed(source))?;
        self.journal.length = length;
        Ok(())
    }

    /// Behind the last whole line.
    fn writable(&mut self) -> io::Result<&mut File> {
        if self.file.is_none() {
            let path = &self.journal.path;
            let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
            file.set_len(self.journal.length)?;
            file.sync_all()?;
            self.sync_directory()?;
            self.file = Some(file);
        }
        let file = self.file.as_mut().expect("it was opened above");
        file.seek(SeekFrom::Start(self.journal.length))?;
        Ok(file)
    }

    fn sync_directory(&self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }

    fn failed(&self, source: io::Error) -> JournalError {
        JournalError::Io { path: self.journal.path.clone(), source }
    }
}

/// The directory and those above it that are missing, so that they do not go with the power.
fn create_durably(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    let above = directory.parent().filter(|above| !above.as_os_str().is_empty());
    let above = above.unwrap_or(Path::new("."));
    create_durably(above)?;
    match fs::create_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => File::open(above)?.sync_all(),
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
