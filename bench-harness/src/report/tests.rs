//! Pages of small results that the tests write themselves.

use std::path::Path;

use super::{Source, html};

const TIMESERIES: &str = "second,phase,acknowledged_bytes,consumed_bytes,backlog_records,\
response_p50_us,response_p99_us,response_max_us
0,warm_up,100,0,0,900.0,1000.0,1100.0
1,measuring,110,100,10,900.0,1000.0,1100.0
2,measuring,120,100,20,900.0,1000.0,1100.0
3,draining,0,120,0,0.0,0.0,0.0
";

fn result(is_valid: bool) -> String {
    let percentile = serde_json::json!({
        "percent": 99.0, "nanoseconds": 1_000_000, "from_nanoseconds": 990_000,
        "to_nanoseconds": 1_010_000,
    });
    let reasons: &[&str] = if is_valid { &[] } else { &["somebody <else> disturbed it"] };
    serde_json::json!({
        "label": "ours", "workload": { "name": "small" }, "client": "raw", "load": "open",
        "durability": "fsync", "measured_seconds": 2.0, "warm_up_seconds": 1.0,
        "throughput": {
            "acknowledged_records_per_second": 5.0, "acknowledged_bytes_per_second": 115.0,
            "acknowledged_bytes_interval": { "from": 110.0, "to": 120.0, "batches": 5 },
            "consumed_records_per_second": 5.0, "consumed_bytes_per_second": 100.0,
        },
        "latencies": { "response": {
            "samples": 1_000, "observations": 1_000, "max_nanoseconds": 1_100_000,
            "percentiles": [percentile],
        } },
        "verification": {
            "is_verified": true, "records_acknowledged": 230, "records_read": 230,
            "subscriptions": 1,
        },
        "validity": { "is_valid": is_valid, "reasons": reasons },
        "notes": [],
    })
    .to_string()
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let program = std::env::current_exe().unwrap();
    let folder = tempfile::tempdir_in(program.parent().unwrap()).unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn page_of(folder: &Path) -> String {
    html(&[Source::read(folder).unwrap()])
}

#[test]
fn verdicts_stand_before_figures_and_figures_before_charts() {
    let valid = result(true);
    let folder = folder(&[("result.json", valid.as_str()), ("timeseries.csv", TIMESERIES)]);
    let page = page_of(folder.path());
    let place = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text} is missing"));
    assert!(place("Verified.") < place("Valid."));
    assert!(place("Valid.") < place("class=\"tiles\""));
    assert!(place("class=\"tiles\"") < place("<svg"));
    assert!(page.contains("95 % in 0.990 to 1.01 ms"), "a percentile has its interval");
    assert!(page.contains("5 records/s; 95 % in 110 B to 120 B/s"), "and so has a rate");
    let line = page.split("Throughput <span").nth(1).unwrap();
    let points = line.split("points=\"").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(points.split(' ').count(), 4, "one for each second");
}

#[test]
fn a_result_that_does_not_count_says_so_first() {
    let invalid = result(false);
    let folder = folder(&[("result.json", invalid.as_str())]);
    let page = page_of(folder.path());
    assert!(page.contains("<b>Not valid:</b> somebody &lt;else&gt; disturbed it"));
}

#[test]
fn several_results_have_a_table_and_a_title_for_each() {
    let valid = result(true);
    let one = folder(&[("result.json", valid.as_str())]);
    let sources = [one.path(), one.path()].map(|path| Source::read(path).unwrap());
    let page = html(&sources);
    assert_eq!(page.matches("<h2>small</h2>").count(), 2);
    assert!(page.contains("<h1>2 results</h1>"));
}

#[test]
fn steps_of_a_search_are_drawn_by_rate() {
    let search = r#"{"kind": "ramp", "workload": "small", "records_per_second": 200.0,
        "sentence": "knee at 200", "found": "knee", "steps": [
        {"offered_records_per_second": 200.0, "acknowledged_records_per_second": 200.0,
         "response_p99_milliseconds": 2.0, "verdict": "holds"},
        {"offered_records_per_second": 100.0, "acknowledged_records_per_second": 100.0,
         "response_p99_milliseconds": 1.0, "verdict": "holds"}]}"#;
    let folder = folder(&[("ramp.json", search)]);
    let page = page_of(folder.path());
    assert!(page.contains("<h1>ramp: small</h1>") && page.contains("knee at 200"));
    assert!(page.contains("0 of 2 runs read back"), "they do not say that they did");
    assert_eq!(page.matches("<polyline").count(), 2, "p99 and what was acknowledged");
}

/// A ratio with its interval, and one of a single block.
#[test]
fn a_comparison_has_a_bar_for_each_ratio_and_says_what_does_not_count() {
    let comparison = serde_json::json!({
        "arguments": ["corelane-bench", "compare"],
        "subjects": [
            { "id": "ours", "name": "Ours, fsync", "durability": "fsync", "command": ["ours"] },
            { "id": "theirs", "name": "Theirs", "durability": "default flush" },
        ],
        "method": { "sentences": ["A B B A."] },
        "control": null,
        "cases": [{
            "title": "Saturation", "workload": "w", "load": "closed", "notes": [],
            "runs": [
                { "subject": "ours", "block": 0, "attempt": 1, "counts": true,
                  "report": { "verification": { "is_verified": true } } },
                { "subject": "theirs", "block": 0, "attempt": 1, "counts": false,
                  "reason": "steal", "report": null },
            ],
            "pairs": [{ "a": "ours", "b": "theirs", "ratios": [
                { "metric": "acknowledged_bytes", "unit": "B/s", "better": "higher",
                  "a": { "mean": 3e8, "from": 2.9e8, "to": 3.1e8, "observations": 4 },
                  "b": { "mean": 1e8, "from": null, "to": null, "observations": 1 },
                  "ratio": { "mean": 3.0, "from": 2.5, "to": 3.5, "observations": 4 },
                  "samples_a": 4, "samples_b": 4, "fraction_of_limit_a": 0.7 },
                { "metric": "response_p999", "unit": "ms", "better": "lower",
                  "ratio": { "mean": 0.5, "from": null, "to": null, "observations": 1 } },
                { "metric": "peak_memory", "unit": "B", "better": "lower", "ratio": null },
            ] }],
        }],
    })
    .to_string();
    let folder = folder(&[("compare.json", comparison.as_str())]);
    let page = page_of(folder.path());
    assert!(page.contains("<h1>Ours, fsync against Theirs</h1>"));
    assert_eq!(page.matches("<rect class=\"bar").count(), 2, "one of three has no ratio");
    assert!(page.contains("3.00× [2.50, 3.50]") && page.contains("no interval: one block"));
    assert!(page.contains("response p99.9 (lower is better)"));
    assert!(page.contains("300 MB/s [290 MB/s, 310 MB/s], 0.70 of the limit"));
    assert!(page.contains("1 of 2 runs count") && page.contains("Theirs, attempt 1 does not"));
}

#[test]
fn a_folder_without_results_is_named() {
    let empty = folder(&[]);
    let failure = Source::read(empty.path()).err().unwrap();
    assert!(failure.sentence.contains("has no results"), "{failure}");
}
