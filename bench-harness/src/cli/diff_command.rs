//! `diff`: two results side by side, of runs or of comparisons.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use super::{Format, print};
use crate::diff::{Diff, Difference, Measure, Side};
use crate::failure::{Exit, Failure};
use crate::figures::{bytes, milliseconds};
use crate::report::Source;
use crate::results::comparison::Better;

pub(super) const EXAMPLES: &str = "Examples:
  corelane bench diff bench-results/1760000000-smoke bench-results/1760000100-smoke
  corelane bench diff before after --format json
  corelane bench diff compare-before compare-after             what a change did beside Kafka

Says first whether the two may be compared at all: same workload, same machine, both verified and valid. A
difference beyond both intervals is one of these two runs; `compare` interleaves many and says whether it is one of
the brokers. Of two comparisons it tells every subject and ratio of the cases that both have.";

/// Longer values are told as far as this.
const VALUE_CHARS_MAX: usize = 60;

#[derive(Args, Debug)]
pub(super) struct DiffArgs {
    /// The folder of a run, or of a comparison.
    a: PathBuf,

    /// The folder of another of the same kind.
    b: PathBuf,
}

impl DiffArgs {
    pub(super) fn run(&self, format: Format) -> Result<Exit, Failure> {
        let sources = [Source::read(&self.a)?, Source::read(&self.b)?];
        let diff = diff(&sources)?;
        print(&match format {
            Format::Text => text(&diff),
            Format::Json => serde_json::to_string(&diff)
                .map(|text| text + "\n")
                .map_err(|error| Failure::new(format!("the difference cannot be told: {error}")))?,
        })?;
        Ok(Exit::Done)
    }
}

fn diff([a, b]: &[Source; 2]) -> Result<Diff, Failure> {
    if let Some((left, right)) = a.comparison().zip(b.comparison()) {
        return Diff::of_comparisons((&a.name, left), (&b.name, right));
    }
    match (side(a), side(b)) {
        (Some(a), Some(b)) => Ok(Diff::of(&a, &b)),
        _ => Err(Failure::new(format!(
            "{} and {} are not two runs, nor two comparisons; give two folders that `corelane bench run` \
             wrote (or those in the steps/ of a search), or two of `compare`",
            a.name, b.name
        ))),
    }
}

fn side(source: &Source) -> Option<Side<'_>> {
    let (result, manifest) = source.result_and_manifest()?;
    Some(Side { name: &source.name, result, manifest })
}

fn text(diff: &Diff) -> String {
    let mut text = format!("A  {}\nB  {}\n\n", diff.a, diff.b);
    if diff.is_comparable {
        text.push_str("comparable: same workloads, same machine, all verified and valid\n");
    }
    for reason in &diff.not_comparable {
        let _ = writeln!(text, "NOT COMPARABLE: {reason}");
    }
    for (title, differences) in [
        ("workload", &diff.workload),
        ("machine", &diff.machine),
        ("versions and commands", &diff.versions),
    ] {
        if !differences.is_empty() {
            let _ = writeln!(text, "\n{title}");
            differences.iter().for_each(|one| difference(&mut text, one));
        }
    }
    let width = diff.measures.iter().map(|measure| measure.name.chars().count()).max().unwrap_or(0);
    let _ = writeln!(text, "\n{:<width$} {:>28} {:>28} {:>8}", "", "A", "B", "B ÷ A");
    for measure in &diff.measures {
        let ratio = measure.ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.3}"));
        let _ = writeln!(
            text,
            "{:<width$} {:>28} {:>28} {ratio:>8}  {}",
            measure.name,
            figure(measure.a, measure.interval_a, measure.unit),
            figure(measure.b, measure.interval_b, measure.unit),
            word(measure)
        );
    }
    text
}

fn difference(text: &mut String, difference: &Difference) {
    let _ = writeln!(
        text,
        "  {}: {} | {}",
        difference.what,
        value(&difference.a),
        value(&difference.b)
    );
}

fn value(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Null => "–".to_owned(),
        other => other.to_string(),
    };
    if text.chars().count() <= VALUE_CHARS_MAX {
        return text;
    }
    text.chars().take(VALUE_CHARS_MAX).chain(['…']).collect()
}

fn figure(value: f64, interval: Option<(f64, f64)>, unit: &str) -> String {
    let one = |value: f64| match unit {
        "B/s" | "B" => bytes(value),
        "ms" => milliseconds((value * 1e6) as u64),
        _ => format!("{value:.3}"),
    };
    // Of bytes the figure itself says it.
    let (ending, unit) = match unit {
        "B/s" => ("/s", String::new()),
        "B" => ("", String::new()),
        "" => ("", " ×".to_owned()),
        other => ("", format!(" {other}")),
    };
    match interval {
        Some((from, to)) => format!("{}{ending} [{}–{}]{unit}", one(value), one(from), one(to)),
        None => format!("{}{ending}{unit}", one(value)),
    }
}

fn word(measure: &Measure) -> &'static str {
    let is_better = match measure.better {
        Better::Higher => measure.b > measure.a,
        Better::Lower => measure.b < measure.a,
    };
    match measure.is_beyond_intervals {
        None => "no interval",
        Some(false) => "within the intervals",
        Some(true) if is_better => "B is better, beyond the intervals",
        Some(true) => "B is worse, beyond the intervals",
    }
}

#[cfg(test)]
mod tests {
    use super::figure;

    #[test]
    fn figures_say_their_unit_once() {
        let interval = Some((270e6, 330e6));
        assert_eq!(figure(300e6, interval, "B/s"), "300 MB/s [270 MB–330 MB]");
        assert_eq!(figure(300e6, None, "B/s"), "300 MB/s");
        assert_eq!(figure(300e6, interval, "B"), "300 MB [270 MB–330 MB]");
        assert_eq!(figure(2.0, Some((1.0, 3.0)), "ms"), "2.00 [1.00–3.00] ms");
        assert_eq!(figure(2.0, None, ""), "2.000 ×");
    }
}
