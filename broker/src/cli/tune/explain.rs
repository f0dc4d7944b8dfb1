//! `corelane tune explain`: what to know of a check before changing anything.

use clap::Args;
use serde::Serialize;
use tuning::{Entry, Finding, Profile, Severity, Status, entries};

use super::super::failure::Failure;
use super::super::output::{Colour, Output};
use super::machine::MachineArgs;

/// Longer lines are broken.
const LINE_CHARS_MAX: usize = 100;

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  corelane tune explain disk.scheduler
  corelane tune explain memory             every check of a group")]
pub(crate) struct ExplainArgs {
    /// A check or a group, as `corelane tune list` shows them.
    #[arg(value_name = "CHECK")]
    name: String,

    #[command(flatten)]
    machine: MachineArgs,
}

#[derive(Serialize)]
struct Explanation<'machine> {
    #[serde(flatten)]
    entry: &'static Entry,
    here: Vec<&'machine Finding>,
}

impl ExplainArgs {
    pub(super) fn run(&self, output: &mut Output) -> Result<(), Failure> {
        let id = self.name.split_once(':').map_or(self.name.as_str(), |(id, _)| id);
        let wanted = entries().into_iter().filter(|e| e.id == id || e.group.name() == id);
        let wanted: Vec<&'static Entry> = wanted.collect();
        if wanted.is_empty() {
            return Err(unknown(&self.name));
        }
        let machine = self.machine.examine()?;
        let explanations = wanted.into_iter().map(|entry| {
            let is_meant = |f: &&Finding| f.entry == entry.id && self.means(f);
            Explanation { entry, here: machine.findings.iter().filter(is_meant).collect() }
        });
        let explanations: Vec<Explanation<'_>> = explanations.collect();
        if output.is_json() {
            return output.json(&explanations);
        }
        for (at, explanation) in explanations.iter().enumerate() {
            if at > 0 {
                output.line("")?;
            }
            show(explanation, machine.profile, output)?;
        }
        Ok(())
    }

    /// Of `disk.scheduler:vda` only that disk.
    fn means(&self, finding: &Finding) -> bool {
        !self.name.contains(':') || finding.id == self.name
    }
}

fn show(
    explanation: &Explanation<'_>,
    profile: Profile,
    output: &mut Output,
) -> Result<(), Failure> {
    let Explanation { entry, here } = explanation;
    let title = output.coloured(Colour::Bold, entry.id);
    output.line(format_args!("{title}: {}", entry.title))?;
    labelled("why", entry.why, output)?;
    labelled("to know", entry.lesson, output)?;
    if let Some(risk) = entry.risk {
        labelled("risk", &format!("{risk}: only with --allow-risky"), output)?;
    }
    labelled("read in", entry.source, output)?;
    let weight = |profile| match entry.severity(profile) {
        Severity::Fatal => "fatal",
        Severity::Warning => "warning",
        Severity::Info => "worth knowing",
    };
    let weights = Profile::ALL.map(|profile| format!("{profile}: {}", weight(profile)));
    labelled("weight", &weights.join(", "), output)?;
    for finding in here {
        let name = finding.scope.name().unwrap_or_else(|| "here".to_owned());
        let state = match (finding.status, &finding.reason) {
            (Status::Passed, _) => "in order".to_owned(),
            (Status::Failed, _) => format!("wanted: {} (profile {profile})", finding.wanted),
            (Status::Unknown, Some(reason)) => reason.clone(),
            (Status::Unknown, None) => "not known".to_owned(),
        };
        labelled(&name, &format!("{}; {state}", finding.current), output)?;
        if let Some(command) = &finding.command {
            output.line(format_args!("            {command}"))?;
        }
        if finding.is_appliable() {
            output.line(format_args!("            or: sudo corelane tune apply {}", finding.id))?;
        }
    }
    Ok(())
}

/// A paragraph behind a word, in lines that fit a terminal.
fn labelled(label: &str, text: &str, output: &mut Output) -> Result<(), Failure> {
    let mut line = format!("  {label:<9}");
    let mut is_empty = true;
    for word in text.split_whitespace() {
        let width = line.chars().count() + 1 + word.chars().count();
        if width > LINE_CHARS_MAX && !is_empty {
            output.line(&line)?;
            line = " ".repeat(11);
        }
        line.push(' ');
        line.push_str(word);
        is_empty = false;
    }
    output.line(line)
}

fn unknown(name: &str) -> Failure {
    let mut near: Vec<&str> = entries().into_iter().map(|entry| entry.id).collect();
    let word = name.rsplit(['.', ':']).next().unwrap_or(name);
    near.retain(|id| id.contains(word) || word.contains(id.rsplit('.').next().unwrap_or(id)));
    let near = match near.is_empty() {
        true => String::new(),
        false => format!(" (there is {})", near.join(", ")),
    };
    Failure::usage(format!(
        "there is no check `{name}`{near}; see what there is with `corelane tune list`"
    ))
}
