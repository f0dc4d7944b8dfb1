//! A comparison as a table for people.

use std::fmt::Write;
use std::path::Path;

use crate::figures::{bytes, count};
use crate::results::comparison::{
    Better, Case, Comparison, Estimate, Metric, MetricRatio, Pair, Subject, SubjectKind,
};
use crate::statistics;

/// Columns of a table.
const WIDTHS: [usize; 4] = [22, 28, 28, 24];

pub(super) fn text(comparison: &Comparison, out: Option<&Path>) -> String {
    let mut text = String::new();
    for subject in &comparison.subjects {
        let _ = writeln!(text, "\n{}: {}", subject.name, subject.durability_explained);
    }
    for case in &comparison.cases {
        one_case(&mut text, case, &comparison.subjects);
    }
    if let Some(control) = &comparison.control {
        control_lines(&mut text, control);
    }
    let method = &comparison.method;
    let _ = writeln!(
        text,
        "\n[from–to] are {} % intervals over blocks; ratios are taken within blocks. Every figure is of runs whose \
         records were all\n{}; n is the number of blocks.",
        method.confidence_percent,
        if comparison.subjects.iter().any(|subject| subject.kind == SubjectKind::Null) {
            "acknowledged, and read back and verified where the broker keeps any"
        } else {
            "read back and verified"
        }
    );
    if let Some(why) = &comparison.limits_missing {
        let _ = writeln!(text, "fraction of the machine's limits: {why}");
    }
    for note in &comparison.notes {
        let _ = writeln!(text, "note: {note}");
    }
    let _ = writeln!(text, "took {:.0} min", comparison.seconds / 60.0);
    if let Some(folder) = out {
        let _ = writeln!(text, "files {}", folder.display());
    }
    text
}

fn one_case(text: &mut String, case: &Case, subjects: &[Subject]) {
    let _ = writeln!(text, "\n{} ({}, {} loop)", case.title, case.workload, case.load);
    if let Some(rate) = &case.rate_chosen {
        let mut rates: Vec<f64> =
            case.runs.iter().filter_map(|run| run.offered_records_per_second).collect();
        rates.sort_by(f64::total_cmp);
        rates.dedup();
        let rates: Vec<String> = rates.iter().map(|rate| format!("{}/s", count(*rate))).collect();
        let _ = writeln!(text, "  rate: {rate}; {}", rates.join(", "));
    }
    for pair in &case.pairs {
        one_pair(text, pair, subjects);
    }
    let left_out: Vec<_> = case.runs.iter().filter(|run| !run.counts).collect();
    for run in &left_out {
        let reason = run.reason.as_deref().unwrap_or_default();
        let _ = writeln!(
            text,
            "  does not count: {} block {} attempt {}: {reason}",
            run.subject, run.block, run.attempt
        );
    }
    for run in case.runs.iter().filter(|run| run.counts) {
        if let Some(remark) = &run.remark {
            let _ = writeln!(text, "  mind: {} block {}: {remark}", run.subject, run.block);
        }
    }
    for note in &case.notes {
        let _ = writeln!(text, "  {note}");
    }
    if left_out.is_empty() && !case.runs.is_empty() {
        let _ = writeln!(text, "  all {} runs verified and are valid", case.runs.len());
    }
}

fn one_pair(text: &mut String, pair: &Pair, subjects: &[Subject]) {
    let name = |id: &str| {
        let subject = subjects.iter().find(|subject| subject.id == id);
        subject.map_or_else(|| id.to_owned(), |subject| subject.name.clone())
    };
    row(text, ["", &name(&pair.a), &name(&pair.b), "ratio [95 %]", "n"]);
    for ratio in &pair.ratios {
        let show = |estimate: Option<Estimate>| {
            estimate.map_or_else(|| "–".to_owned(), |found| with_unit(ratio.metric, &found))
        };
        let note = ratio.note.clone().unwrap_or_default();
        let end = [counted(ratio), read(ratio), fractions(ratio), note];
        let end: Vec<&str> =
            end.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
        row(
            text,
            [
                ratio.metric.title(),
                &show(ratio.a),
                &show(ratio.b),
                &ratio.ratio.map_or_else(|| "–".to_owned(), |found| factor(&found)),
                &end.join("  "),
            ],
        );
    }
}

/// Of the limit that bounds the figure.
fn fractions(ratio: &MetricRatio) -> String {
    let shares = [ratio.fraction_of_limit_a, ratio.fraction_of_limit_b];
    if shares.iter().all(Option::is_none) {
        return String::new();
    }
    let [a, b] = shares.map(|share| {
        share.map_or_else(|| "–".to_owned(), |share| format!("{:.0} %", share * 100.0))
    });
    format!("{a} and {b} of {}", ratio.limit.as_deref().unwrap_or_default())
}

/// Blocks, and the records behind them where it is records that are timed.
fn counted(ratio: &MetricRatio) -> String {
    let blocks = ratio.ratio.map_or(0, |found| found.observations);
    let samples = ratio.samples_a.min(ratio.samples_b);
    if samples > u64::from(blocks) {
        format!("{blocks} ({} samples)", count(samples as f64))
    } else {
        blocks.to_string()
    }
}

fn row(text: &mut String, cells: [&str; 5]) {
    let mut line = "  ".to_owned();
    for (cell, width) in cells.iter().zip(WIDTHS) {
        let _ = write!(line, "{cell:<width$}  ");
    }
    line += cells[4];
    let _ = writeln!(text, "{}", line.trim_end());
}

/// What a ratio means, where its interval says more than noise.
fn read(ratio: &MetricRatio) -> String {
    let Some((found, from, to)) =
        ratio.ratio.and_then(|found| Some((found.mean, found.from?, found.to?)))
    else {
        return String::new();
    };
    if from <= 1.0 && 1.0 <= to {
        return "no difference shown".to_owned();
    }
    let (better, by) = match (ratio.better, found > 1.0) {
        (Better::Higher, true) | (Better::Lower, false) => ("better", found.max(1.0 / found)),
        _ => ("worse", found.max(1.0 / found)),
    };
    format!("{} times {better}", digits(by))
}

fn factor(estimate: &Estimate) -> String {
    match estimate.from.zip(estimate.to) {
        Some((from, to)) => {
            format!("{} [{}–{}]", digits(estimate.mean), digits(from), digits(to))
        }
        None => format!("{} [one block]", digits(estimate.mean)),
    }
}

fn with_unit(metric: Metric, estimate: &Estimate) -> String {
    let one = |value: f64| match metric.unit() {
        "B/s" | "B" => bytes(value),
        _ => digits(value),
    };
    let unit = match metric.unit() {
        "B/s" => "/s",
        "B" => "",
        "B/B" => " B/B",
        "ms" => " ms",
        _ => " s/GB",
    };
    match estimate.from.zip(estimate.to) {
        Some((from, to)) => format!("{}{unit} [{}–{}]", one(estimate.mean), one(from), one(to)),
        None => format!("{}{unit}", one(estimate.mean)),
    }
}

/// Three digits that count.
fn digits(value: f64) -> String {
    match value {
        large if large >= 99.95 => format!("{large:.0}"),
        middle if middle >= 9.995 => format!("{middle:.1}"),
        small if small >= 0.0995 => format!("{small:.2}"),
        tiny => format!("{tiny:.3}"),
    }
}

fn control_lines(text: &mut String, control: &Case) {
    let _ = writeln!(text, "\n{} ({})", control.title, control.workload);
    let ratios = control.pairs.iter().flat_map(|pair| &pair.ratios);
    let mut contains_one = true;
    for ratio in ratios {
        let Some(found) = ratio.ratio else { continue };
        let Some(said) = statistics::control(&found) else { continue };
        contains_one &= said.contains_one;
        let verdict = if said.contains_one { "" } else { "  does not contain 1" };
        row(
            text,
            [
                ratio.metric.title(),
                &factor(&found),
                &format!("noise up to {:.0} %", said.noise * 100.0),
                "",
                verdict,
            ],
        );
    }
    if control.load == "closed" {
        let _ = writeln!(
            text,
            "  a closed loop: of latencies it says nothing, their own intervals are all there is"
        );
    }
    let left_out = control.runs.iter().filter(|run| !run.counts).count();
    let _ = writeln!(
        text,
        "  {}{}",
        if contains_one {
            "contains 1: differences within the noise mean nothing on this machine"
        } else {
            "an interval of 95 % leaves 1 out in one of 20 metrics by chance; more, and the machine is not steady enough"
        },
        if left_out > 0 { format!("; {left_out} runs did not count") } else { String::new() }
    );
}

#[cfg(test)]
mod tests {
    use super::{digits, factor, read};
    use crate::results::comparison::{Better, Estimate, Metric, MetricRatio};

    fn ratio(metric: Metric, mean: f64, from: f64, to: f64) -> MetricRatio {
        let estimate = Estimate { mean, from: Some(from), to: Some(to), observations: 4 };
        MetricRatio {
            metric,
            unit: metric.unit().to_owned(),
            better: metric.better(),
            a: None,
            b: None,
            ratio: Some(estimate),
            samples_a: 0,
            samples_b: 0,
            fraction_of_limit_a: None,
            fraction_of_limit_b: None,
            limit: None,
            note: None,
        }
    }

    #[test]
    fn a_ratio_is_read_the_way_its_metric_goes() {
        assert_eq!(read(&ratio(Metric::AcknowledgedBytes, 3.1, 2.9, 3.3)), "3.10 times better");
        assert_eq!(read(&ratio(Metric::ResponseP99, 0.2, 0.1, 0.3)), "5.00 times better");
        assert_eq!(read(&ratio(Metric::PeakMemory, 2.0, 1.9, 2.1)), "2.00 times worse");
        assert_eq!(read(&ratio(Metric::PeakMemory, 2.0, 0.9, 4.1)), "no difference shown");
        assert_eq!(Metric::ConsumedBytes.better(), Better::Higher);
    }

    #[test]
    fn intervals_are_printed_however_wide() {
        let wide = Estimate { mean: 3.0, from: Some(0.01), to: Some(900.0), observations: 2 };
        assert_eq!(factor(&wide), "3.00 [0.010–900]");
        let alone = Estimate { mean: 3.0, from: None, to: None, observations: 1 };
        assert_eq!(factor(&alone), "3.00 [one block]");
        assert_eq!([digits(1234.5), digits(12.34)], ["1234", "12.3"]);
    }
}
