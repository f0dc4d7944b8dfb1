//! What a command prints: text or JSON, tables with aligned columns, colours on terminals only.

use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

use clap::ValueEnum;
use serde::Serialize;

use super::failure::Failure;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    // No documentation comments: they would make every command's help a page longer.
    #[default]
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colour {
    Bold,
    Red,
    Yellow,
    Green,
}

/// Standard output.
pub(crate) struct Output {
    format: Format,
    stdout: BufWriter<Stdout>,
    colours: bool,
    is_terminal: bool,
}

impl Output {
    pub(crate) fn new(format: Format) -> Self {
        let is_terminal = io::stdout().is_terminal();
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let colours = is_terminal && !refused && !dumb;
        Self { format, stdout: BufWriter::new(io::stdout()), colours, is_terminal }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    pub(crate) fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// What is printed next stands at the top of the terminal.
    pub(crate) fn clear_screen(&mut self) -> Result<(), Failure> {
        self.bytes(b"\x1b[H\x1b[2J")
    }

    pub(crate) fn line(&mut self, text: impl Display) -> Result<(), Failure> {
        writeln!(self.stdout, "{text}").map_err(|error| Failure::of_output(&error))
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.stdout.write_all(bytes).map_err(|error| Failure::of_output(&error))
    }

    /// One value; on a terminal with line breaks, for whoever reads it there.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let text = if self.is_terminal {
            serde_json::to_string_pretty(value)
        } else {
            serde_json::to_string(value)
        };
        self.line(text.expect("our own values have text keys"))
    }

    /// One value of a stream of them, always on one line.
    pub(crate) fn json_line(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        self.line(serde_json::to_string(value).expect("our own values have text keys"))
    }

    pub(crate) fn table(&mut self, table: &Table) -> Result<(), Failure> {
        for (number, line) in table.lines().into_iter().enumerate() {
            let line =
                if number == 0 { self.coloured(Colour::Bold, line.trim_end()) } else { line };
            self.line(line.trim_end())?;
        }
        Ok(())
    }

    /// The text in a colour where that can be seen.
    pub(crate) fn coloured(&self, colour: Colour, text: &str) -> String {
        if !self.colours {
            return text.to_owned();
        }
        let code = match colour {
            Colour::Bold => 1,
            Colour::Red => 31,
            Colour::Yellow => 33,
            Colour::Green => 32,
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.stdout.flush().map_err(|error| Failure::of_output(&error))
    }
}

/// `1 record`, `2 records`.
pub(crate) fn counted(count: u64, one: &str) -> String {
    match (count, one.strip_suffix("ch")) {
        (1, _) => format!("1 {one}"),
        (_, Some(_)) => format!("{count} {one}es"),
        (_, None) => format!("{count} {one}s"),
    }
}

/// Rows below headings; columns of numbers are set to the right.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(headings: &[&'static str]) -> Self {
        Self { headings: headings.to_vec(), rows: Vec::new() }
    }

    pub(crate) fn push(&mut self, row: Vec<String>) {
        assert_eq!(row.len(), self.headings.len(), "a row has a cell in each column");
        self.rows.push(row);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn lines(&self) -> Vec<String> {
        let columns = 0..self.headings.len();
        let width = |text: &str| text.chars().count();
        let widths: Vec<usize> = columns
            .clone()
            .map(|at| {
                let cells = self.rows.iter().map(|row| width(&row[at]));
                cells.chain([width(self.headings[at])]).max().unwrap_or(0)
            })
            .collect();
        let is_right: Vec<bool> =
            columns.map(|at| self.rows.iter().all(|row| is_number(&row[at]))).collect();
        let set = |cells: Vec<&str>| {
            let mut line = String::new();
            for (at, cell) in cells.into_iter().enumerate() {
                let gap = " ".repeat(widths[at] - width(cell));
                let (before, after) = if is_right[at] && !self.rows.is_empty() {
                    (gap, String::new())
                } else {
                    (String::new(), gap)
                };
                if at > 0 {
                    line.push_str("  ");
                }
                line.push_str(&before);
                line.push_str(cell);
                line.push_str(&after);
            }
            line
        };
        let mut lines = vec![set(self.headings.clone())];
        lines.extend(self.rows.iter().map(|row| set(row.iter().map(String::as_str).collect())));
        lines
    }
}

/// Numbers, sizes (`1.5 MiB`) and the sign for "none" go to the right.
fn is_number(cell: &str) -> bool {
    cell.is_empty() || cell == "–" || {
        let mut words = cell.split(' ');
        let first = words.next().unwrap_or_default();
        let unit = words.next();
        first.parse::<f64>().is_ok()
            && unit.is_none_or(|unit| ["bytes", "KiB", "MiB", "GiB", "TiB"].contains(&unit))
            && words.next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::{Table, counted};

    #[test]
    fn one_of_a_thing_is_not_many() {
        let said = [counted(1, "record"), counted(0, "record"), counted(2, "batch")];
        assert_eq!(said, ["1 record", "0 records", "2 batches"]);
    }

    #[test]
    fn columns_are_aligned_and_numbers_stand_on_the_right() {
        let mut table = Table::new(&["TOPIC", "RECORDS", "SIZE"]);
        table.push(vec!["a".into(), "5".into(), "1.5 MiB".into()]);
        table.push(vec!["longer-name".into(), "123456789".into(), "12 KiB".into()]);
        table.push(vec!["ü".into(), "–".into(), "0 bytes".into()]);
        let lines = table.lines();
        assert_eq!(lines[0], "TOPIC          RECORDS     SIZE");
        assert_eq!(lines[1], "a                    5  1.5 MiB");
        assert_eq!(lines[2], "longer-name  123456789   12 KiB");
        assert_eq!(lines[3], "ü                    –  0 bytes");
    }
}
