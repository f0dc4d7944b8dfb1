//! `corelane tune list`: every check there is.

use tuning::{Severity, entries};

use super::super::failure::Failure;
use super::super::output::{Output, Table};

pub(super) fn run(output: &mut Output) -> Result<(), Failure> {
    let entries = entries();
    if output.is_json() {
        return output.json(&entries);
    }
    let mut table = Table::new(&["CHECK", "PROD", "BENCH", "WHAT"]);
    for entry in entries {
        let cells = [entry.id, weight(entry.prod), weight(entry.bench), entry.title];
        table.push(cells.map(str::to_owned).into());
    }
    output.table(&table)?;
    output.line("`corelane tune explain CHECK` teaches about one; those of a disk end in its name: disk.nomerges:vda")
}

fn weight(severity: Severity) -> &'static str {
    match severity {
        Severity::Fatal => "fatal",
        Severity::Warning => "warning",
        Severity::Info => "info",
    }
}
