//! The steps of a search for a rate: `ramp` and `slo`.

use serde_json::Value;

use super::axis::Scale;
use super::chart::{LineChart, Quantity, Series, lines};
use super::machine_section;
use super::page::{Tile, escaped, table, tiles, verdict};
use crate::figures::{count, duration, milliseconds};

const OFFERED: Quantity =
    Quantity { label: "records a second, offered", scale: Scale::Linear, format: count };
const RECORDS: Quantity =
    Quantity { label: "records a second", scale: Scale::Linear, format: count };
/// Values are milliseconds.
const LATENCY: Quantity =
    Quantity { label: "latency", scale: Scale::Log, format: |value| duration(value * 1e6) };

pub(super) fn section(search: &Value, manifest: &Value) -> String {
    let text = |key: &str| search[key].as_str().unwrap_or_default();
    let mut html = format!(
        "<p class=\"faint\">{}</p>\n",
        escaped(&format!(
            "{} · {} client, open loop · durability {}",
            text("label"),
            text("client"),
            text("durability")
        ))
    );
    let found = search["records_per_second"].as_f64();
    let word = if found.is_some() { "Found." } else { "Not found." };
    html.push_str(&verdict(found.is_some(), word, text("sentence")));
    html.push_str(&verified(search));
    if let Some(rate) = found {
        let (name, beside) = ("records a second".to_owned(), text("found").to_owned());
        html.push_str(&tiles(&[Tile { name, value: count(rate), beside }]));
    }
    let steps: Vec<&Value> = search["steps"].as_array().into_iter().flatten().collect();
    let mut by_rate = steps.clone();
    by_rate.sort_by(|a, b| offered(a).total_cmp(&offered(b)));
    let line = |name: &str, key: &str| {
        let points = by_rate.iter().filter_map(|step| Some((offered(step), step[key].as_f64()?)));
        Series::line(name, points.collect())
    };
    let latencies = [
        line("response p50", "response_p50_milliseconds"),
        line("response p99", "response_p99_milliseconds"),
    ];
    let rates = [line("acknowledged", "acknowledged_records_per_second")];
    for (title, y, series) in [
        ("Latency at each rate", LATENCY, &latencies[..]),
        ("Acknowledged at each rate", RECORDS, &rates[..]),
    ] {
        html.push_str(&lines(&LineChart { title, x: OFFERED, y, series, measured: None }));
    }
    let cell = |value: &Value| {
        value.as_f64().map_or_else(|| "–".to_owned(), |number| milliseconds((number * 1e6) as u64))
    };
    let row = |step: &&Value| {
        vec![
            count(offered(step)),
            step["acknowledged_records_per_second"].as_f64().map_or_else(|| "–".to_owned(), count),
            cell(&step["response_p50_milliseconds"]),
            cell(&step["response_p99_milliseconds"]),
            step["verdict"].as_str().unwrap_or_default().replace('_', " "),
            step["reason"].as_str().unwrap_or_default().to_owned(),
        ]
    };
    let head = ["offered/s", "acknowledged/s", "p50 ms", "p99 ms", "verdict", "why"];
    html + "<h2>Steps</h2>\n"
        + &table(&head, &steps.iter().map(row).collect::<Vec<_>>(), false)
        + &machine_section::section(manifest)
}

/// A run in which a client could not go on has no result, and so nothing that could be verified.
fn verified(search: &Value) -> String {
    let steps = search["steps"].as_array().map_or(&[][..], Vec::as_slice);
    let records: f64 = steps.iter().filter_map(|step| step["records_acknowledged"].as_f64()).sum();
    let is_verified = |step: &&Value| step["is_verified"] == Value::Bool(true);
    let (verified, all) = (steps.iter().filter(is_verified).count(), steps.len());
    let word = if verified == all { "Verified." } else { "Not all verified." };
    let sentence = format!(
        "{verified} of {all} runs read back what was acknowledged, {} records in all, unaltered \
         and in order.",
        count(records)
    );
    verdict(verified == all, word, &sentence)
}

fn offered(step: &Value) -> f64 {
    step["offered_records_per_second"].as_f64().unwrap_or(0.0)
}
