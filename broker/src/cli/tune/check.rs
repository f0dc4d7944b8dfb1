//! `corelane tune check`: the findings, the worst first.

use clap::Args;
use serde::Serialize;
use tuning::{Finding, Profile};

use super::super::failure::Failure;
use super::super::output::{Output, counted};
use super::exit_code::{FATAL, REBOOT, WARNINGS};
use super::machine::MachineArgs;
use super::rows::{self, Counts};

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  corelane tune check
  corelane tune check --data-dir /mnt/a --data-dir /mnt/b --profile bench --all
  corelane tune check --strict --format json | jq '.findings[] | select(.status == \"failed\").id'
\nMarks: ✖ keeps a node from starting, ! a warning, i worth knowing, ✔ in order, ? not known, – not on this
machine, or for the command behind it to ask.
It writes nothing: whether the data directory takes direct and stable writes is tried by `corelane doctor`.

Exit codes: 0 in order, 2 something keeps a node from starting, 3 an error; with --strict also 1 warnings, and 4
warnings that only a restart of the machine mends.")]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    machine: MachineArgs,

    /// Show what is in order, and what is only worth knowing, too.
    #[arg(long)]
    all: bool,

    /// Warnings count: exit code 1.
    #[arg(long)]
    strict: bool,
}

#[derive(Serialize)]
struct Report<'findings> {
    profile: Profile,
    summary: Counts,
    findings: &'findings [Finding],
}

impl CheckArgs {
    pub(super) fn run(&self, output: &mut Output) -> Result<(), Failure> {
        let machine = self.machine.examine()?;
        let findings = &machine.findings;
        let summary = Counts::of(findings);
        let profile = machine.profile;
        if output.is_json() {
            output.json(&Report { profile, summary, findings })?;
        } else {
            rows::show(findings, self.all, output)?;
            self.conclude(findings, profile, output)?;
        }
        match self.exit_code(findings) {
            Some(code) => Err(Failure::said_with_code(code)),
            None => Ok(()),
        }
    }

    fn conclude(
        &self,
        findings: &[Finding],
        profile: Profile,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let counts = Counts::of(findings);
        let mut sentence = format!("profile {profile}: {}", counts.sentence());
        let hidden = counts.info + counts.unknown + counts.unsupported;
        if !self.all && hidden > 0 {
            sentence.push_str(&format!(
                ", {} worth knowing, {} not known or not here (--all shows them)",
                counts.info,
                counts.unknown + counts.unsupported
            ));
        }
        output.line(sentence)?;
        let due = findings.iter().filter(|f| f.is_fatal() || f.is_warning());
        let applied = due.filter(|finding| finding.is_appliable()).count() as u64;
        if applied > 0 {
            let findings = counted(applied, "finding");
            output.line(format_args!(
                "{findings} can be applied: `corelane tune plan` shows what would be written"
            ))?;
        }
        Ok(())
    }

    fn exit_code(&self, findings: &[Finding]) -> Option<u8> {
        if findings.iter().any(Finding::is_fatal) {
            return Some(FATAL);
        }
        let warnings: Vec<&Finding> = findings.iter().filter(|f| f.is_warning()).collect();
        match warnings.is_empty() || !self.strict {
            true => None,
            false if warnings.iter().all(|finding| finding.reboot) => Some(REBOOT),
            false => Some(WARNINGS),
        }
    }
}
