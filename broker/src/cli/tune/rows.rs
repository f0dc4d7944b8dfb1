//! Findings as lines: a mark, the id, what is, what should be, and what mends it.

use tuning::{Finding, Severity, Status};

use super::super::failure::Failure;
use super::super::output::{Colour, Output, counted};

/// Wider cells push the rest of their line, not the column.
const CELL_CHARS_MAX: usize = 34;

/// How findings came out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(super) struct Counts {
    pub(super) fatal: u64,
    pub(super) warnings: u64,
    pub(super) info: u64,
    pub(super) passed: u64,
    pub(super) unknown: u64,
    pub(super) unsupported: u64,
}

impl Counts {
    pub(super) fn of<'findings>(findings: impl IntoIterator<Item = &'findings Finding>) -> Self {
        let mut counts = Self::default();
        for finding in findings {
            let count = match (finding.status, finding.severity) {
                (Status::Passed, _) => &mut counts.passed,
                (Status::Unknown, _) if finding.supported => &mut counts.unknown,
                (Status::Unknown, _) => &mut counts.unsupported,
                (Status::Failed, Severity::Fatal) => &mut counts.fatal,
                (Status::Failed, Severity::Warning) => &mut counts.warnings,
                (Status::Failed, Severity::Info) => &mut counts.info,
            };
            *count += 1;
        }
        counts
    }

    /// `2 fatal, 1 warning, 12 ok`.
    pub(super) fn sentence(self) -> String {
        let mut parts = Vec::new();
        if self.fatal > 0 {
            parts.push(format!("{} fatal", self.fatal));
        }
        if self.warnings > 0 {
            parts.push(counted(self.warnings, "warning"));
        }
        parts.push(format!("{} ok", self.passed));
        parts.join(", ")
    }
}

/// The findings that are shown, below a line for each thing that they are about.
pub(super) fn show(findings: &[Finding], all: bool, output: &mut Output) -> Result<(), Failure> {
    let is_shown = |finding: &&Finding| all || finding.is_fatal() || finding.is_warning();
    let width = |cell: fn(&Finding) -> &str| {
        let cells = findings.iter().filter(is_shown).map(|finding| cell(finding).chars().count());
        cells.filter(|width| *width <= CELL_CHARS_MAX).max().unwrap_or(0)
    };
    let widths = [width(|f| &f.id), width(|f| &f.current), width(|f| &f.wanted)];
    let about = |finding: &Finding| (finding.group, finding.scope.name());
    for chunk in findings.chunk_by(|one, other| about(one) == about(other)) {
        if !chunk.iter().any(|finding| is_shown(&finding)) {
            continue;
        }
        let (group, name) = about(&chunk[0]);
        let title = [Some(group.name().to_owned()), name].into_iter().flatten();
        let title = title.collect::<Vec<_>>().join(" ").to_uppercase_first();
        let title = output.coloured(Colour::Bold, &title);
        output.line(format_args!("{title}: {}", Counts::of(chunk).sentence()))?;
        for finding in chunk.iter().filter(is_shown) {
            row(finding, widths, output)?;
        }
    }
    Ok(())
}

fn row(finding: &Finding, widths: [usize; 3], output: &mut Output) -> Result<(), Failure> {
    let mark = match (finding.status, finding.severity) {
        (Status::Passed, _) => output.coloured(Colour::Green, "✔"),
        (Status::Unknown, _) if finding.supported => "?".to_owned(),
        (Status::Unknown, _) => "–".to_owned(),
        (Status::Failed, Severity::Fatal) => output.coloured(Colour::Red, "✖"),
        (Status::Failed, Severity::Warning) => output.coloured(Colour::Yellow, "!"),
        (Status::Failed, Severity::Info) => "i".to_owned(),
    };
    let [id, current, wanted] = widths;
    let line = format!(
        " {mark} {:id$}  {:current$}  {:wanted$}  {}",
        finding.id,
        finding.current,
        finding.wanted,
        remedy(finding)
    );
    output.line(line.trim_end())
}

/// What is said behind a finding.
fn remedy(finding: &Finding) -> String {
    if finding.status != Status::Failed {
        let reason = finding.reason.clone().unwrap_or_default();
        // What only a device tells has a command that asks it.
        return match &finding.command {
            Some(command) => format!("{reason}: {command}"),
            None => reason,
        };
    }
    let reboot = if finding.reboot { "restart of the machine: " } else { "" };
    match (&finding.command, finding.is_appliable(), finding.risk) {
        (_, true, None) => "apply".to_owned(),
        (_, true, Some(_)) => "apply --allow-risky".to_owned(),
        (Some(command), false, _) => format!("{reboot}{command}"),
        (None, false, _) => String::new(),
    }
}

/// For the word that begins a line.
trait UppercaseFirst {
    fn to_uppercase_first(&self) -> String;
}

impl UppercaseFirst for String {
    fn to_uppercase_first(&self) -> String {
        let mut letters = self.chars();
        let first = letters.next().map(|first| first.to_uppercase().to_string());
        first.unwrap_or_default() + letters.as_str()
    }
}
