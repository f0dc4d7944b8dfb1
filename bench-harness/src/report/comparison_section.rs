//! The ratios of a comparison: bars with their intervals, the control first, then each case; who was measured.

use serde_json::Value;

use super::chart::{RatioRow, ratios};
use super::page::{escaped, table, verdict};
use crate::figures::{bytes, count};

pub(super) fn section(comparison: &Value) -> String {
    let mut html = standing(comparison);
    if let Some(control) = comparison.get("control").filter(|control| !control.is_null()) {
        html.push_str("<h2>Control: a broker against itself</h2>\n");
        html.push_str(&case(control, comparison));
    }
    for each in list(&comparison["cases"]) {
        html.push_str(&format!("<h2>{}</h2>\n", escaped(text(each, "title"))));
        html.push_str(&case(each, comparison));
    }
    html.push_str("<h2>Who was measured</h2>\n");
    let rows: Vec<Vec<String>> = list(&comparison["subjects"])
        .map(|subject| {
            let command: Vec<&str> = list(&subject["command"]).filter_map(Value::as_str).collect();
            vec![
                text(subject, "name").to_owned(),
                format!(
                    "{}: {}",
                    text(subject, "durability"),
                    text(subject, "durability_explained")
                ),
                command.join(" "),
            ]
        })
        .collect();
    html.push_str(&table(&["broker", "durability", "command"], &rows, false));
    html.push_str("<h2>How</h2>\n");
    for sentence in list(&comparison["method"]["sentences"]).chain(list(&comparison["notes"])) {
        html.push_str(&format!("<p>{}</p>\n", escaped(sentence.as_str().unwrap_or_default())));
    }
    html.push_str(&limits(comparison));
    let arguments: Vec<&str> = list(&comparison["arguments"]).filter_map(Value::as_str).collect();
    html.push_str(&format!("<p>Command: <code>{}</code></p>\n", escaped(&arguments.join(" "))));
    let machine = serde_json::to_string_pretty(&comparison["machine"]).unwrap_or_default();
    html + &format!(
        "<details><summary>The machine</summary><pre>{}</pre></details>\n",
        escaped(&machine)
    )
}

/// Whether what follows counts: how many runs did, and what became of the others.
fn standing(comparison: &Value) -> String {
    let cases = list(&comparison["cases"]).chain(std::iter::once(&comparison["control"]));
    let runs: Vec<&Value> = cases.flat_map(|case| list(&case["runs"])).collect();
    let is_verified =
        |run: &&&Value| run["report"]["verification"]["is_verified"] == Value::Bool(true);
    let verified = runs.iter().filter(is_verified).count();
    let counting = runs.iter().filter(|run| run["counts"] == Value::Bool(true)).count();
    let all = runs.len();
    let keeps_nothing = list(&comparison["subjects"]).any(|subject| subject["kind"] == "null");
    let mut html = verdict(
        verified == all,
        if verified == all { "Verified." } else { "Not all verified." },
        &format!(
            "Of {verified} of {all} runs everything acknowledged was found unaltered and in order{}.",
            if keeps_nothing {
                " (of the broker that keeps nothing, acknowledgements alone)"
            } else {
                ""
            }
        ),
    );
    html.push_str(&verdict(
        counting == all,
        if counting == all { "Valid." } else { "Not all valid." },
        &format!("{counting} of {all} runs count; ratios are of those alone."),
    ));
    html
}

fn case(case: &Value, comparison: &Value) -> String {
    let mut html = String::new();
    let about = [text(case, "workload"), text(case, "load"), text(case, "rate_chosen")];
    let about: Vec<&str> = about.into_iter().filter(|part| !part.is_empty()).collect();
    html.push_str(&format!("<p class=\"faint\">{}</p>\n", escaped(&about.join(" · "))));
    for pair in list(&case["pairs"]) {
        let name = |key: &str| name_of(comparison, text(pair, key));
        let title = format!("{} ÷ {}, with 95 % intervals", name("a"), name("b"));
        let metrics: Vec<&Value> = list(&pair["ratios"]).collect();
        let rows: Vec<RatioRow> = metrics.iter().filter_map(|metric| ratio_row(metric)).collect();
        html.push_str(&ratios(&title, &rows));
        html.push_str(&estimates(&metrics, &[name("a"), name("b")]));
    }
    let not_counting = list(&case["runs"]).filter(|run| run["counts"] == Value::Bool(false));
    for run in not_counting {
        html.push_str(&format!(
            "<p class=\"faint\">Block {}, {}, attempt {} does not count: {}</p>\n",
            run["block"],
            escaped(&name_of(comparison, text(run, "subject"))),
            run["attempt"],
            escaped(text(run, "reason"))
        ));
    }
    let remarked = list(&case["runs"]).filter(|run| run["counts"] == Value::Bool(true));
    for (run, remark) in remarked.filter_map(|run| Some((run, run["remark"].as_str()?))) {
        html.push_str(&format!(
            "<p class=\"faint\">Mind of block {}, {}: {}</p>\n",
            run["block"],
            escaped(&name_of(comparison, text(run, "subject"))),
            escaped(remark)
        ));
    }
    for note in list(&case["notes"]).filter_map(Value::as_str) {
        html.push_str(&format!("<p class=\"faint\">Note: {}</p>\n", escaped(note)));
    }
    html
}

/// What fractions are of.
fn limits(comparison: &Value) -> String {
    let rows: Vec<Vec<String>> = list(&comparison["limits"]["limits"])
        .map(|limit| {
            let value = limit["value"].as_f64();
            let value = value.map_or_else(|| "–".to_owned(), count);
            vec![
                text(limit, "id").to_owned(),
                format!("{value} {}", text(limit, "unit")),
                count(limit["samples"].as_f64().unwrap_or(0.0)),
                text(limit, "how").to_owned(),
            ]
        })
        .collect();
    if rows.is_empty() {
        let why = text(comparison, "limits_missing");
        return format!("<p class=\"faint\">The machine's limits: {}</p>\n", escaped(why));
    }
    let rows = table(&["limit", "value", "samples", "how"], &rows, false);
    format!("<details><summary>The machine's limits</summary>{rows}</details>\n")
}

/// A row only where there is a ratio.
fn ratio_row(metric: &Value) -> Option<RatioRow> {
    let estimate = &metric["ratio"];
    let ratio = estimate["mean"].as_f64()?;
    let (from, to) = (estimate["from"].as_f64(), estimate["to"].as_f64());
    let interval = match (from, to) {
        (Some(from), Some(to)) => format!("[{from:.2}, {to:.2}]"),
        _ => "no interval: one block".to_owned(),
    };
    let better = text(metric, "better");
    Some(RatioRow {
        name: format!("{} ({better} is better)", title_of(text(metric, "metric"))),
        ratio,
        from: from.unwrap_or(ratio),
        to: to.unwrap_or(ratio),
        text: format!("{ratio:.2}× {interval}"),
    })
}

fn estimates(metrics: &[&Value], names: &[String; 2]) -> String {
    let row = |metric: &&Value| {
        let unit = text(metric, "unit");
        let side = |side: &str| {
            let estimate = &metric[side];
            let Some(mean) = estimate["mean"].as_f64() else { return "–".to_owned() };
            let mut cell = figure(mean, unit);
            if let (Some(from), Some(to)) = (estimate["from"].as_f64(), estimate["to"].as_f64()) {
                cell += &format!(" [{}, {}]", figure(from, unit), figure(to, unit));
            }
            if let Some(share) = metric[format!("fraction_of_limit_{side}")].as_f64() {
                let limit = text(metric, "limit");
                let limit = if limit.is_empty() { "the limit" } else { limit };
                cell += &format!(", {share:.2} of {limit}");
            }
            cell
        };
        let samples = |side: &str| count(metric[format!("samples_{side}")].as_f64().unwrap_or(0.0));
        vec![
            title_of(text(metric, "metric")),
            side("a"),
            side("b"),
            format!("{} / {}", samples("a"), samples("b")),
            text(metric, "note").to_owned(),
        ]
    };
    let head = ["", names[0].as_str(), names[1].as_str(), "samples", "note"];
    table(&head, &metrics.iter().map(row).collect::<Vec<_>>(), false)
}

fn figure(value: f64, unit: &str) -> String {
    match unit {
        "B/s" => format!("{}/s", bytes(value)),
        "B" => bytes(value),
        "" => format!("{value:.3}"),
        other => format!("{value:.3} {other}"),
    }
}

/// `response_p999` is response p99.9.
fn title_of(metric: &str) -> String {
    metric.replace("p999", "p99.9").replace('_', " ")
}

fn name_of(comparison: &Value, id: &str) -> String {
    let mut subjects = list(&comparison["subjects"]);
    let known = subjects.find(|subject| text(subject, "id") == id);
    known.map_or(id, |subject| text(subject, "name")).to_owned()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}
