//! Where records come from: one value, a file, or lines of standard input.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use super::sender::Sender;
use crate::cli::failure::Failure;
use crate::cli::limits::{LINES_AHEAD_MAX, LINGER_MS, VALUE_BYTES_MAX};
use crate::cli::progress::Progress;
use crate::cli::times;

/// What every record has beside its line.
pub(super) struct RecordRules {
    pub(super) key: Option<Vec<u8>>,
    pub(super) key_separator: Option<Vec<u8>>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) timestamp: Option<i64>,
}

/// A record that is about to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OutgoingRecord<'a> {
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: &'a [u8],
    pub(super) headers: &'a [(String, String)],
    pub(super) timestamp: i64,
}

impl RecordRules {
    /// `None` where a line has no separator.
    fn record<'a>(&'a self, line: &'a [u8]) -> Option<OutgoingRecord<'a>> {
        let (key, value) = match &self.key_separator {
            Some(separator) => {
                let at = position_of(line, separator)?;
                (Some(&line[..at]), &line[at + separator.len()..])
            }
            None => (self.key.as_deref(), line),
        };
        let timestamp = self.timestamp.unwrap_or_else(times::now_ms);
        Some(OutgoingRecord { key, value, headers: &self.headers, timestamp })
    }
}

fn position_of(line: &[u8], separator: &[u8]) -> Option<usize> {
    if separator.is_empty() {
        return None;
    }
    line.windows(separator.len()).position(|window| window == separator)
}

pub(super) enum Input {
    One(Vec<u8>),
    Lines(Receiver<io::Result<Vec<u8>>>),
}

impl Input {
    pub(super) fn one(value: Vec<u8>) -> Self {
        Self::One(value)
    }

    pub(super) fn file(path: &Path) -> Result<Self, Failure> {
        let failed = |error: &io::Error| Failure::failed(format!("{}: {error}", path.display()));
        let file = File::open(path).map_err(|error| failed(&error))?;
        let mut value = Vec::new();
        let limit = VALUE_BYTES_MAX + 1;
        file.take(limit).read_to_end(&mut value).map_err(|error| failed(&error))?;
        if value.len() as u64 == limit {
            let path = path.display();
            return Err(Failure::failed(format!("{path} is too large for one record (99 MiB)")));
        }
        Ok(Self::One(value))
    }

    /// Standard input, read ahead by a thread of its own, so that a pause in it sends what is there.
    pub(super) fn lines() -> Self {
        if io::stdin().is_terminal() {
            eprintln!("each line is a record; end with Ctrl-D");
        }
        let (sender, receiver) = sync_channel(LINES_AHEAD_MAX);
        std::thread::spawn(move || {
            let mut reader = BufReader::with_capacity(1 << 20, io::stdin());
            while let Some(line) = next_line(&mut reader).transpose() {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self::Lines(receiver)
    }

    pub(super) fn send_all(
        &mut self,
        rules: &RecordRules,
        sender: &mut Sender,
    ) -> Result<(), Failure> {
        match self {
            Self::One(value) => {
                if let Some(record) = rules.record(value) {
                    sender.push(&record)?;
                }
                sender.flush()
            }
            Self::Lines(lines) => send_lines(lines, rules, sender),
        }
    }
}

fn send_lines(
    lines: &Receiver<io::Result<Vec<u8>>>,
    rules: &RecordRules,
    sender: &mut Sender,
) -> Result<(), Failure> {
    let linger = Duration::from_millis(LINGER_MS);
    let mut progress = Progress::new("sent", 0);
    let mut number = 0u64;
    loop {
        let line = if sender.is_empty() {
            lines.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            lines.recv_timeout(linger)
        };
        match line {
            Ok(Ok(line)) => {
                number += 1;
                let Some(record) = rules.record(&line) else {
                    sender.flush()?;
                    return Err(Failure::failed(format!(
                        "line {number} has no key separator; the lines before it were written"
                    )));
                };
                sender.push(&record)?;
                progress.add(line.len() as u64);
            }
            Ok(Err(error)) => {
                sender.flush()?;
                return Err(Failure::failed(format!("standard input: {error}")));
            }
            Err(RecvTimeoutError::Timeout) => sender.flush()?,
            Err(RecvTimeoutError::Disconnected) => return sender.flush(),
        }
    }
}

/// The next line without its line feed, which alone ends it; a last line without one counts.
fn next_line(reader: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let read = reader.take(VALUE_BYTES_MAX + 1).read_until(b'\n', &mut line)?;
    if read == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if line.len() as u64 > VALUE_BYTES_MAX {
        return Err(io::Error::other(
            "a line is longer than 99 MiB, which is too large for a record",
        ));
    }
    Ok(Some(line))
}

#[cfg(test)]
mod tests {
    use super::{OutgoingRecord, RecordRules, next_line};

    fn rules(key: Option<&str>, separator: Option<&str>) -> RecordRules {
        RecordRules {
            key: key.map(|key| key.as_bytes().to_vec()),
            key_separator: separator.map(|separator| separator.as_bytes().to_vec()),
            headers: Vec::new(),
            timestamp: Some(5),
        }
    }

    #[test]
    fn a_line_is_split_at_the_first_separator() {
        let record = |key, value| OutgoingRecord { key, value, headers: &[], timestamp: 5 };
        let split = rules(None, Some("::"));
        assert_eq!(split.record(b"a::b::c"), Some(record(Some(b"a"), b"b::c")));
        assert_eq!(split.record(b"::"), Some(record(Some(b""), b"")));
        assert_eq!(split.record(b"a:b"), None);
        assert_eq!(rules(Some("k"), None).record(b"v"), Some(record(Some(b"k"), b"v")));
        assert_eq!(rules(None, None).record(b"v"), Some(record(None, b"v")));
    }

    #[test]
    /// A carriage return before the line feed used to be dropped.
    fn lines_end_at_line_feeds_alone_and_the_last_one_at_the_end() {
        let mut reader = &b"one\r\ntwo\n\nlast"[..];
        let mut lines = Vec::new();
        while let Some(line) = next_line(&mut reader).unwrap() {
            lines.push(String::from_utf8(line).unwrap());
        }
        assert_eq!(lines, ["one\r", "two", "", "last"]);
    }
}
