//! One run: verdicts, the figures that matter, charts, latencies.

use serde_json::Value;

use super::axis::Scale;
use super::chart::{Bar, LineChart, Quantity, Series, bars, lines};
use super::machine_section;
use super::page::{Tile, table, tiles, verdict};
use super::source::Run;
use crate::figures::{bytes, count, duration, milliseconds};
use crate::histograms::Latency;
use crate::results::distribution::Distribution;

const SECONDS: Quantity =
    Quantity { label: "seconds of the run", scale: Scale::Linear, format: |value| count(value) };
const RECORDS: Quantity =
    Quantity { label: "records", scale: Scale::Linear, format: |value| count(value) };
const BYTES: Quantity = Quantity { label: "bytes", scale: Scale::Linear, format: bytes };
const BYTES_A_SECOND: Quantity = Quantity { label: "bytes a second", ..BYTES };
const PERCENT: Quantity =
    Quantity { label: "% of one core", scale: Scale::Linear, format: |value| count(value) };
/// Values are nanoseconds.
const LATENCY: Quantity = Quantity { label: "latency", scale: Scale::Log, format: duration };
/// Values are 1/(1-p).
const PERCENTILES: Quantity =
    Quantity { label: "percentile", scale: Scale::Log, format: percentile_of };

/// In the order in which they matter.
const LATENCIES: [(Latency, &str, &str); 4] = [
    (Latency::Response, "response", "due to acknowledged"),
    (Latency::EndToEnd, "end to end", "due to read"),
    (Latency::Service, "service", "sent to acknowledged; hides a stall"),
    (Latency::ScheduleDelay, "schedule delay", "due to sent"),
];

pub(super) fn section(run: &Run) -> String {
    let mut html = format!(
        "<p class=\"faint\">{}</p>\n",
        super::escaped(&format!(
            "{} · {} client, {} loop · durability {} · {} s measured after {:.0} s",
            run.text("/label"),
            run.text("/client"),
            run.text("/load"),
            run.text("/durability"),
            run.number("/measured_seconds").unwrap_or(0.0),
            run.number("/warm_up_seconds").unwrap_or(0.0)
        ))
    );
    html.push_str(&verdicts(run));
    html.push_str(&tiles(&key_figures(run)));
    html.push_str("<h2>Latency</h2>\n");
    let curves = LATENCIES.iter().filter_map(|(latency, name, _)| {
        Some((*name, run.distributions.iter().find(|one| one.latency == *latency)?))
    });
    let title = "Percentiles, with their 95 % intervals";
    html.push_str(&percentile_curve(title, &curves.collect::<Vec<_>>()));
    html.push_str(&latency_table(run));
    html.push_str(&over_time_of_latency(run));
    html.push_str(&histograms(run));
    html.push_str("<h2>Throughput</h2>\n");
    html.push_str(&over_time_of_load(run));
    html.push_str("<h2>What it cost</h2>\n");
    html.push_str(&over_time_of_use(run));
    html.push_str(&machine_section::section(&run.manifest));
    html
}

/// Whether the figures may be believed stands before them.
pub(super) fn verdicts(run: &Run) -> String {
    let of = |path: &str| run.number(path).unwrap_or(0.0) as u64;
    let is_verified = run.result["verification"]["is_verified"] == Value::Bool(true);
    let scope = run.result["verification"]["verified"].as_str().unwrap_or_default();
    let mut html = verdict(
        is_verified,
        if is_verified { "Verified." } else { "Not verified." },
        &if is_verified && scope.starts_with("acknowledgements only") {
            format!("{} records: {scope}.", of("/verification/records_acknowledged"))
        } else if is_verified {
            format!(
                "{} records acknowledged, {} read by {} subscriptions: none lost, doubled, \
                 reordered or altered.",
                of("/verification/records_acknowledged"),
                of("/verification/records_read"),
                of("/verification/subscriptions")
            )
        } else {
            "These figures are of no run: records were lost, doubled, reordered or altered, or \
             nothing was read."
                .to_owned()
        },
    );
    let reasons = run.texts("/validity/reasons");
    let is_valid = run.result["validity"]["is_valid"] == Value::Bool(true);
    html.push_str(&if is_valid {
        verdict(true, "Valid.", "The machine did not disturb it, by the rules of the workload.")
    } else {
        verdict(false, "Not valid:", &reasons.join("; "))
    });
    if let Some(percent) = run.number("/objective/slo/percent") {
        let is_met = run.result["objective"]["is_met"] == Value::Bool(true);
        let measured = run.number("/objective/measured_milliseconds");
        let sentence = format!(
            "{} p{percent} ≤ {} ms: {}.",
            run.text("/objective/slo/latency").replace('_', " "),
            run.number("/objective/slo/milliseconds").unwrap_or(0.0),
            measured.map_or("too few samples".to_owned(), |measured| format!("{measured:.2} ms"))
        );
        let word = if is_met { "Objective met." } else { "Objective missed." };
        html.push_str(&verdict(is_met, word, &sentence));
    }
    for note in run.texts("/notes") {
        html.push_str(&format!("<p class=\"faint\">Note: {}</p>\n", super::escaped(note)));
    }
    html
}

/// Of a rate, where its run was long enough for one.
fn interval(run: &Run, path: &str) -> String {
    let at = |end: &str| run.number(&format!("{path}/{end}"));
    at("from").zip(at("to")).map_or_else(String::new, |(from, to)| {
        format!("; 95 % in {} to {}/s", bytes(from), bytes(to))
    })
}

fn key_figures(run: &Run) -> Vec<Tile> {
    let tile =
        |name: &str, value: String, beside: String| Tile { name: name.to_owned(), value, beside };
    let rate = run.number("/throughput/acknowledged_records_per_second").unwrap_or(0.0);
    let size = run.number("/throughput/acknowledged_bytes_per_second").unwrap_or(0.0);
    let offered = run.number("/offered_records_per_second");
    let offered = offered.map(|offered| format!(", {} offered", count(offered)));
    let mut all = vec![tile(
        "acknowledged",
        format!("{}/s", bytes(size)),
        format!(
            "{} records/s{}{}",
            count(rate),
            offered.unwrap_or_default(),
            interval(run, "/throughput/acknowledged_bytes_interval")
        ),
    )];
    let consumed = run.number("/throughput/consumed_bytes_per_second").unwrap_or(0.0);
    if consumed > 0.0 {
        let records = run.number("/throughput/consumed_records_per_second").unwrap_or(0.0);
        all.push(tile(
            "read",
            format!("{}/s", bytes(consumed)),
            format!(
                "{} records/s{}",
                count(records),
                interval(run, "/throughput/consumed_bytes_interval")
            ),
        ));
    }
    let shown: &[Latency] = if run.text("/load") == "closed" {
        &[Latency::Service, Latency::EndToEnd]
    } else {
        &[Latency::Response, Latency::EndToEnd]
    };
    for latency in shown {
        for percent in [50.0, 99.0] {
            if let Some((value, from, to)) = percentile(run, *latency, percent) {
                all.push(tile(
                    &format!("{} p{percent}", name_of(*latency)),
                    format!("{} ms", milliseconds(value)),
                    format!("95 % in {} to {} ms", milliseconds(from), milliseconds(to)),
                ));
            }
        }
    }
    if let Some(cpu) = run.number("/broker/cpu_seconds_per_gigabyte") {
        let beside = "of the broker, written and read".to_owned();
        all.push(tile("CPU", format!("{cpu:.3} s/GB"), beside));
    }
    if let Some(memory) = run.number("/broker/peak_memory_bytes") {
        all.push(tile("memory", bytes(memory), "peak of the broker's process".to_owned()));
    }
    if let Some(ratio) = run.number("/broker/device_bytes_per_byte") {
        let beside = "written to the device for each byte".to_owned();
        all.push(tile("device", format!("{ratio:.2} bytes"), beside));
    }
    all
}

/// Nanoseconds, and the interval's ends.
fn percentile(run: &Run, latency: Latency, percent: f64) -> Option<(u64, u64, u64)> {
    let all = run.result["latencies"][latency.name()]["percentiles"].as_array()?;
    let found = all.iter().find(|found| {
        found["percent"].as_f64().is_some_and(|found| (found - percent).abs() < 1e-6)
    })?;
    Some((
        found["nanoseconds"].as_u64()?,
        found["from_nanoseconds"].as_u64()?,
        found["to_nanoseconds"].as_u64()?,
    ))
}

fn latency_table(run: &Run) -> String {
    let mut rows = Vec::new();
    for (latency, name, meaning) in LATENCIES {
        let summary = &run.result["latencies"][latency.name()];
        let Some(samples) = summary["samples"].as_u64() else { continue };
        let mut row = vec![format!("{name} ({meaning})")];
        row.extend([50.0, 90.0, 99.0, 99.9, 99.99].map(|percent| {
            percentile(run, latency, percent)
                .map_or_else(|| "–".to_owned(), |(value, ..)| milliseconds(value))
        }));
        row.push(milliseconds(summary["max_nanoseconds"].as_u64().unwrap_or(0)));
        let observations = summary["observations"].as_u64().unwrap_or(samples);
        row.push(if observations < samples {
            format!("{} in {} batches", count(samples as f64), count(observations as f64))
        } else {
            count(samples as f64)
        });
        rows.push(row);
    }
    let head = ["ms", "p50", "p90", "p99", "p99.9", "p99.99", "max", "samples"];
    table(&head, &rows, true)
        + "<p class=\"faint\">A percentile is said where ten observations lie beyond it (–: too \
           few). In a closed loop a record is due when it is sent.</p>\n"
}

/// One line for each distribution.
pub(super) fn percentile_curve(title: &str, all: &[(&str, &Distribution)]) -> String {
    let of = |(name, distribution): &(&str, &Distribution)| {
        let place = |percent: f64| 1.0 / (1.0 - percent / 100.0).max(1e-9);
        let curve = &distribution.curve;
        Series {
            name: (*name).to_owned(),
            points: curve.iter().map(|at| (place(at.percent), at.nanoseconds as f64)).collect(),
            band: curve
                .iter()
                .map(|at| {
                    let (from, to) = (at.from_nanoseconds, at.to_nanoseconds);
                    (place(at.percent), from as f64, to as f64)
                })
                .collect(),
        }
    };
    let series: Vec<Series> = all.iter().map(of).collect();
    lines(&LineChart { title, x: PERCENTILES, y: LATENCY, series: &series, measured: None })
}

fn over_time_of_latency(run: &Run) -> String {
    let microseconds = |name: &str, column: &str| {
        let points = run.seconds.points("second", column);
        let positive = points.into_iter().filter(|(_, value)| *value > 0.0);
        Series::line(name, positive.map(|(at, value)| (at, value * 1e3)).collect())
    };
    let series = [
        microseconds("response p50", "response_p50_us"),
        microseconds("response p99", "response_p99_us"),
        microseconds("response max", "response_max_us"),
        microseconds("end to end p99", "end_to_end_p99_us"),
    ];
    over_time(run, "Latency over time", LATENCY, &series)
}

fn over_time_of_load(run: &Run) -> String {
    let line = |name: &str, column: &str| Series::line(name, run.seconds.points("second", column));
    let not_empty = |series: Series| {
        let has_some = series.points.iter().any(|(_, value)| *value > 0.0);
        has_some.then_some(series)
    };
    let rates: Vec<Series> = [
        line("acknowledged", "acknowledged_bytes"),
        line("read", "consumed_bytes"),
        line("caught up", "caught_up_bytes"),
    ]
    .into_iter()
    .filter_map(not_empty)
    .collect();
    let mut html = over_time(run, "Throughput", BYTES_A_SECOND, &rates);
    // Where nobody reads from the start there is no backlog.
    if run.number("/throughput/consumed_records_per_second").unwrap_or(0.0) > 0.0 {
        let backlog = [line("acknowledged and not read yet", "backlog_records")];
        html.push_str(&over_time(run, "Backlog", RECORDS, &backlog));
    }
    html
}

fn over_time_of_use(run: &Run) -> String {
    let line = |name: &str, column: &str| Series::line(name, run.used.points("second", column));
    let cpu = [
        line("broker", "broker_cpu_percent"),
        line("client", "client_cpu_percent"),
        line("everything", "host_cpu_percent"),
    ];
    let memory = [line("broker's process", "broker_memory_bytes")];
    let device = [line("written", "device_written_bytes"), line("read", "device_read_bytes")];
    let html = over_time(run, "CPU", PERCENT, &cpu)
        + &over_time(run, "Memory", BYTES, &memory)
        + &over_time(run, "The device below the broker's files", BYTES_A_SECOND, &device);
    if html.is_empty() {
        "<p class=\"faint\">This result was written without what each second cost.</p>\n".to_owned()
    } else {
        html
    }
}

fn over_time(run: &Run, title: &str, y: Quantity, series: &[Series]) -> String {
    let measured = run.seconds.span("second", ("phase", "measuring"));
    lines(&LineChart { title, x: SECONDS, y, series, measured })
}

fn histograms(run: &Run) -> String {
    let mut html = r#"<div class="pair">"#.to_owned();
    for (latency, name, _) in LATENCIES {
        let Some(found) = run.distributions.iter().find(|one| one.latency == latency) else {
            continue;
        };
        let of = |class: &crate::results::distribution::Class| Bar {
            from: class.from_nanoseconds,
            to: class.to_nanoseconds,
            height: class.records as f64,
        };
        let all: Vec<Bar> = found.classes.iter().map(of).collect();
        html.push_str(&bars(&format!("Histogram: {name}"), (LATENCY, RECORDS), &all));
    }
    html + "</div>\n"
}

fn name_of(latency: Latency) -> &'static str {
    LATENCIES.iter().find(|(one, ..)| *one == latency).map_or("", |(_, name, _)| name)
}

/// 10 is p90, 1,000 is p99.9.
fn percentile_of(place: f64) -> String {
    let percent = 100.0 * (1.0 - 1.0 / place);
    let digits = (place.log10().round() - 2.0).max(0.0) as usize;
    format!("p{percent:.digits$}")
}

/// What several runs have in common, before each of them.
pub(super) fn side_by_side(runs: &[&Run]) -> String {
    let row = |run: &&Run| {
        let latency = |latency, percent| {
            percentile(run, latency, percent)
                .map_or_else(|| "–".to_owned(), |(value, ..)| milliseconds(value))
        };
        let rate = run.number("/throughput/acknowledged_bytes_per_second").unwrap_or(0.0);
        vec![
            format!("{}: {}", run.name, run.text("/label")),
            format!("{}/s", bytes(rate)),
            latency(Latency::Response, 50.0),
            latency(Latency::Response, 99.0),
            latency(Latency::EndToEnd, 99.0),
            run.number("/broker/cpu_seconds_per_gigabyte")
                .map_or_else(|| "–".to_owned(), |cpu| format!("{cpu:.3}")),
            if run.result["validity"]["is_valid"] == Value::Bool(true) { "yes" } else { "NO" }
                .to_owned(),
        ]
    };
    let head = [
        "result",
        "acknowledged",
        "response p50 ms",
        "p99 ms",
        "end to end p99 ms",
        "CPU-s/GB",
        "valid",
    ];
    let curves: Vec<(&str, &Distribution)> = runs
        .iter()
        .filter_map(|run| {
            let found = run.distributions.iter().find(|one| one.latency == Latency::Response)?;
            Some((run.name.as_str(), found))
        })
        .collect();
    table(&head, &runs.iter().map(row).collect::<Vec<_>>(), true)
        + &percentile_curve("Response: percentiles of all", &curves)
}
