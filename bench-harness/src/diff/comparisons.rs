//! Two comparisons side by side: what each subject reached in each case, and their ratios.
//!
//! Ratios come from one machine's minutes and may be compared across days better than what they are made of; still two
//! comparisons are two days, and only what both measured in one run can be told apart for sure.

use serde_json::{Value, json};

use super::{
    Diff, Difference, Estimate, MACHINE, Measure, differences, differences_of_workload, measure,
    they_differ,
};
use crate::brokers::LOOPBACK;
use crate::failure::Failure;
use crate::results::comparison::{COMPARISON_FORMAT, Case, Comparison, Metric, MetricRatio};

/// Where a workload says how many records a second are offered.
const RATE: &str = "rate.records_per_second";
/// Of a comparison, what may well differ and is worth knowing.
const METHOD: [(&str, &str); 4] = [
    ("/harness_version", "harness"),
    ("/data_directory", "data directory"),
    ("/method/blocks", "blocks"),
    ("/method/measured_seconds", "measured seconds"),
];
/// Of a subject, what may well be what is compared.
const SUBJECT: [(&str, &str); 5] = [
    ("/version", "version"),
    ("/durability", "durability"),
    ("/command", "command"),
    ("/configuration", "configuration"),
    ("/topic_configs", "properties of topics"),
];

impl Diff {
    /// Of two `compare.json`, by the names of their folders.
    pub fn of_comparisons(a: (&str, &Value), b: (&str, &Value)) -> Result<Self, Failure> {
        let (left, right) = (read(a)?, read(b)?);
        let shared: Vec<(&Case, &Case)> = left
            .cases
            .iter()
            .filter_map(|case| Some((case, right.cases.iter().find(|other| other.id == case.id)?)))
            .collect();
        let machine = |comparison: &Comparison| json!({ "machine": comparison.machine });
        let machine = differences(&machine(&left), &machine(&right), &MACHINE);
        let mut not_comparable = Vec::new();
        let mut workload = Vec::new();
        for (a, b) in &shared {
            let found = differences_of_case(a, b);
            // A rate that comes from what was measured that day is another every day: it is told, no more.
            let fixed =
                found.iter().filter(|one| a.rate_chosen.is_none() || !one.what.contains(RATE));
            not_comparable.extend(they_differ("workloads", fixed));
            workload.extend(found);
        }
        not_comparable.extend(they_differ("machines", &machine));
        for (name, cases) in [(a.0, &left.cases), (b.0, &right.cases)] {
            let shared =
                cases.iter().filter(|case| shared.iter().any(|(known, _)| known.id == case.id));
            not_comparable.extend(shared.flat_map(|case| without_runs(name, case)));
        }
        if shared.is_empty() {
            not_comparable.push("they have no case in common".to_owned());
        }
        Ok(Self {
            a: a.0.to_owned(),
            b: b.0.to_owned(),
            is_comparable: not_comparable.is_empty(),
            not_comparable,
            workload,
            machine,
            versions: differences_of_method(a.1, b.1)
                .into_iter()
                .chain(differences_of_subjects(a.1, b.1))
                .collect(),
            measures: shared.iter().flat_map(|(a, b)| measures(a, b)).collect(),
        })
    }
}

fn read((name, value): (&str, &Value)) -> Result<Comparison, Failure> {
    let refused = |why: String| Failure::new(format!("{name} is no comparison: {why}"));
    let comparison: Comparison =
        serde_json::from_value(value.clone()).map_err(|error| refused(error.to_string()))?;
    if comparison.format != COMPARISON_FORMAT {
        let format = comparison.format;
        return Err(refused(format!(
            "its format is {format}, and this program's {COMPARISON_FORMAT}"
        )));
    }
    Ok(comparison)
}

/// Subjects none of whose runs verified and was valid: nothing is known of them.
fn without_runs(name: &str, case: &Case) -> Vec<String> {
    let counts = |subject: &str| case.runs.iter().any(|run| run.subject == subject && run.counts);
    let silent = case.subjects.iter().filter(|subject| !counts(subject));
    silent.map(|subject| format!("in {name} no run of {subject} counts in {}", case.id)).collect()
}

/// How it was measured, and what only one of them has.
fn differences_of_method(a: &Value, b: &Value) -> Vec<Difference> {
    let mut found = differences(a, b, &METHOD);
    for (list, what) in [("cases", "cases"), ("subjects", "subjects")] {
        let ids = |side: &Value| -> Value {
            let all = side[list].as_array().into_iter().flatten();
            all.map(|one| one["id"].clone()).collect()
        };
        let (a, b) = (ids(a), ids(b));
        if a != b {
            found.push(Difference { what: what.to_owned(), a, b });
        }
    }
    found
}

/// By what each subject's first result says that it ran.
fn differences_of_case(a: &Case, b: &Case) -> Vec<Difference> {
    let mut found: Vec<Difference> = Vec::new();
    for subject in &a.subjects {
        let workload = |case: &Case| {
            let mut runs = case.runs.iter().filter(|run| run.subject == *subject);
            runs.find_map(|run| run.report.clone())
        };
        let Some((left, right)) = workload(a).zip(workload(b)) else { continue };
        for difference in differences_of_workload(&left, &right) {
            let what = format!("{}: {}", a.id, difference.what);
            if found.iter().all(|known| known.what != what) {
                found.push(Difference { what, ..difference });
            }
        }
    }
    found
}

fn differences_of_subjects(a: &Value, b: &Value) -> Vec<Difference> {
    let subjects = |side: &Value| side["subjects"].as_array().cloned().unwrap_or_default();
    let others = subjects(b);
    let mut found = Vec::new();
    for subject in subjects(a) {
        let id = subject["id"].as_str().unwrap_or_default();
        let Some(other) = others.iter().find(|other| other["id"] == subject["id"]) else {
            continue;
        };
        let differences = differences(&subject, other, &SUBJECT);
        let differ = differences.into_iter().filter(|one| placeless(&one.a) != placeless(&one.b));
        found.extend(differ.map(|one| Difference { what: format!("{id}: {}", one.what), ..one }));
    }
    found
}

/// A command or configuration without what is another one with each start: ports of this machine, and the numbers of the
/// broker's folder.
fn placeless(value: &Value) -> Value {
    let is_number = |text: &str| text.parse::<u64>().is_ok();
    let part = |part: &str| match part.rsplit_once(':') {
        Some((host, port)) if host == LOOPBACK && is_number(port) => LOOPBACK.to_owned(),
        _ => {
            let words: Vec<&str> = part.split('-').collect();
            let [name @ ("corelane" | "kafka"), process, start] = words[..] else {
                return part.to_owned();
            };
            if is_number(process) && is_number(start) { name } else { part }.to_owned()
        }
    };
    match value {
        Value::String(text) => {
            text.split(['/', ',', '@']).map(|text| Value::String(part(text))).collect()
        }
        Value::Array(values) => values.iter().map(placeless).collect(),
        _ => value.clone(),
    }
}

/// Each subject once, then each pair.
fn measures(a: &Case, b: &Case) -> Vec<Measure> {
    let mut all = Vec::new();
    for subject in &a.subjects {
        for metric in Metric::ALL {
            if let Some((left, right)) = figure(a, subject, metric).zip(figure(b, subject, metric))
            {
                let name = format!("{}: {subject}, {}", a.id, metric.title());
                all.push(measure(&name, metric.unit(), metric.better(), [left, right]));
            }
        }
    }
    for pair in &a.pairs {
        let Some(other) = b.pairs.iter().find(|other| (&other.a, &other.b) == (&pair.a, &pair.b))
        else {
            continue;
        };
        for ratio in &pair.ratios {
            let same = other.ratios.iter().find(|other| other.metric == ratio.metric);
            let estimates = ratio.ratio.as_ref().zip(same.and_then(|same| same.ratio.as_ref()));
            if let Some((left, right)) = estimates {
                let metric = ratio.metric;
                let name = format!("{}: {} ÷ {}, {}", a.id, pair.a, pair.b, metric.title());
                all.push(measure(&name, "", metric.better(), [left, right].map(estimate)));
            }
        }
    }
    all
}

/// What a subject reached, from whichever pair tells it.
fn figure(case: &Case, subject: &str, metric: Metric) -> Option<Estimate> {
    let of = |ratio: &MetricRatio, is_a: bool| {
        let found = if is_a { ratio.a.as_ref() } else { ratio.b.as_ref() };
        found.map(estimate)
    };
    case.pairs.iter().filter(|pair| pair.a == subject || pair.b == subject).find_map(|pair| {
        let ratio = pair.ratios.iter().find(|ratio| ratio.metric == metric)?;
        of(ratio, pair.a == subject)
    })
}

fn estimate(of: &crate::results::comparison::Estimate) -> Estimate {
    (of.mean, of.from.zip(of.to))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Diff;
    use crate::diff::Measure;

    fn estimate(mean: f64) -> Value {
        json!({ "mean": mean, "from": mean * 0.9, "to": mean * 1.1, "observations": 4 })
    }

    fn comparison(version: &str, kernel: &str, rate: f64, acknowledged: f64) -> Value {
        let ratio = json!({
            "metric": "acknowledged_bytes", "unit": "B/s", "better": "higher",
            "a": estimate(acknowledged), "b": estimate(100.0), "ratio": estimate(acknowledged / 100.0),
            "samples_a": 4, "samples_b": 4, "fraction_of_limit_a": null, "fraction_of_limit_b": null,
            "limit": null, "note": null,
        });
        let subject = |id: &str, version: &str| {
            json!({
                "id": id, "name": id, "kind": "corelane", "version": version, "durability": "fsync",
                "durability_explained": "", "command": [], "configuration": [], "topic_configs": [],
            })
        };
        let run = |subject: &str| {
            json!({
                "subject": subject, "block": 0, "attempt": 1, "counts": true, "reason": null,
                "offered_records_per_second": rate, "start_up": null, "folder": null,
                "report": { "workload": { "name": "w", "rate": { "records_per_second": rate } } },
            })
        };
        json!({
            "format": 1, "harness_version": "0", "arguments": [], "started_unix_seconds": 0,
            "seconds": 1.0, "machine": { "facts": { "kernel": { "release": kernel } } },
            "data_directory": "", "method": { "blocks": 4, "confidence_percent": 95.0,
                "measured_seconds": 6.0, "warm_up_seconds_min": 1.0, "sentences": [] },
            "subjects": [subject("ours", version), subject("theirs", "4")],
            "control": null, "limits": null, "limits_missing": null, "notes": [],
            "cases": [{
                "id": "one", "title": "", "workload": "w", "load": "open", "rate_chosen": null,
                "subjects": ["ours", "theirs"], "runs": [run("ours"), run("theirs")],
                "pairs": [{ "a": "ours", "b": "theirs", "ratios": [ratio] }], "notes": [],
            }],
        })
    }

    fn diff(a: &Value, b: &Value) -> Diff {
        Diff::of_comparisons(("a", a), ("b", b)).unwrap()
    }

    fn of<'a>(diff: &'a Diff, name: &str) -> &'a Measure {
        diff.measures.iter().find(|measure| measure.name == name).unwrap()
    }

    #[test]
    fn subjects_and_ratios_are_told_with_their_intervals() {
        let found = diff(&comparison("1", "6", 5.0, 300.0), &comparison("2", "6", 5.0, 600.0));
        assert!(found.is_comparable, "{:?}", found.not_comparable);
        assert_eq!(found.versions[0].what, "ours: version");
        assert_eq!(found.versions.len(), 1);
        let reached = of(&found, "one: ours, acknowledged");
        assert_eq!((reached.ratio, reached.is_beyond_intervals), (Some(2.0), Some(true)));
        let theirs = of(&found, "one: theirs, acknowledged");
        assert_eq!((theirs.ratio, theirs.is_beyond_intervals), (Some(1.0), Some(false)));
        assert_eq!(of(&found, "one: ours ÷ theirs, acknowledged").ratio, Some(2.0));
        assert_eq!(found.measures.len(), 3);
    }

    #[test]
    fn ports_and_folders_of_a_start_are_no_difference() {
        let with = |folder: &str, port: u16, memory: &str| {
            let mut all = comparison("1", "6", 5.0, 300.0);
            let listen =
                format!("PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{}", port + 1);
            all["subjects"][0]["command"] = json!(["serve", folder, "--memory", memory]);
            all["subjects"][1]["configuration"] = json!([["listeners", listen]]);
            all
        };
        let a = with("/data/corelane-28490-101/data", 36425, "1GiB");
        let again = diff(&a, &with("/data/corelane-77-3/data", 41773, "1GiB"));
        assert_eq!(again.versions, []);
        let memory = diff(&a, &with("/data/corelane-77-3/data", 41773, "2GiB"));
        assert_eq!(memory.versions[0].what, "ours: command");
        let elsewhere = diff(&a, &with("/fast/corelane-77-3/data", 41773, "1GiB"));
        assert_eq!(elsewhere.versions.len(), 1);
    }

    #[test]
    fn another_load_machine_or_set_of_cases_is_not_comparable() {
        let a = comparison("1", "6", 5.0, 300.0);
        let rate = diff(&a, &comparison("1", "6", 6.0, 300.0));
        assert_eq!(rate.not_comparable, ["the workloads differ in one: rate.records_per_second"]);
        let kernel = diff(&a, &comparison("1", "7", 5.0, 300.0));
        assert_eq!(kernel.not_comparable, ["the machines differ in kernel"]);
        let mut chosen = [comparison("1", "6", 5.0, 300.0), comparison("1", "6", 6.0, 300.0)];
        chosen.iter_mut().for_each(|side| side["cases"][0]["rate_chosen"] = "half of it".into());
        let chosen = diff(&chosen[0], &chosen[1]);
        assert!(chosen.is_comparable && chosen.workload.len() == 1, "it is told");
        let mut failed = comparison("1", "6", 5.0, 300.0);
        failed["cases"][0]["runs"][0]["counts"] = false.into();
        assert_eq!(diff(&a, &failed).not_comparable, ["in b no run of ours counts in one"]);
        let mut other = comparison("1", "6", 5.0, 300.0);
        other["cases"][0]["id"] = "another".into();
        let none = diff(&a, &other);
        assert_eq!(none.not_comparable, ["they have no case in common"]);
        assert!(none.measures.is_empty());
        assert!(none.versions.iter().any(|one| one.what == "cases"));
    }

    #[test]
    fn what_is_no_comparison_is_refused_with_a_reason() {
        let good = comparison("1", "6", 5.0, 300.0);
        let refused = Diff::of_comparisons(("a", &good), ("b", &json!({}))).unwrap_err();
        assert!(refused.sentence.starts_with("b is no comparison: "), "{}", refused.sentence);
        let mut newer = good.clone();
        newer["format"] = 2.into();
        let refused = Diff::of_comparisons(("a", &newer), ("b", &good)).unwrap_err();
        assert!(refused.sentence.contains("its format is 2"), "{}", refused.sentence);
    }
}
