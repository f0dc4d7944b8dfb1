//! The manifest as a table: machine, kernel, disk, versions, commands. All of it follows, folded.

use serde_json::Value;

use super::page::{escaped, table};
use crate::figures::bytes;

/// Rows, and where in `manifest.json` they are.
const ROWS: [(&str, &str); 19] = [
    ("command", "/arguments"),
    ("harness", "/harness/version"),
    ("optimised build", "/harness/is_optimised"),
    ("client", "/client/tier"),
    ("librdkafka", "/client/librdkafka"),
    ("broker", "/broker/bootstrap"),
    ("broker's command", "/broker/arguments"),
    ("data directory", "/broker/data_directory"),
    ("file system", "/broker/disk/kind"),
    ("mount options", "/broker/disk/mount_options"),
    ("disk", "/broker/disk/disks/0/name"),
    ("disk's model", "/broker/disk/disks/0/model"),
    ("disk's scheduler", "/broker/disk/disks/0/scheduler"),
    ("disk's write cache", "/broker/disk/disks/0/write_cache"),
    ("kernel", "/machine/facts/kernel/release"),
    ("CPU", "/machine/cpu_model"),
    ("CPUs", "/machine/facts/cpus/allowed"),
    ("memory", "/machine/facts/memory/total"),
    ("clock source", "/machine/clock_source"),
];

pub(super) fn section(manifest: &Value) -> String {
    if manifest.is_null() {
        return "<h2>Machine</h2>\n<p class=\"faint\">This result has no manifest.</p>\n"
            .to_owned();
    }
    let rows: Vec<Vec<String>> = ROWS
        .iter()
        .filter_map(|(name, path)| {
            let value = manifest.pointer(path).filter(|value| !value.is_null())?;
            let text = match (*name, value.as_f64()) {
                ("memory", Some(size)) => bytes(size),
                _ => text_of(value),
            };
            Some(vec![(*name).to_owned(), text])
        })
        .collect();
    let all = serde_json::to_string_pretty(manifest).unwrap_or_default();
    format!(
        "<h2>Machine, versions, commands</h2>\n{}<details><summary>manifest.json</summary>\
         <pre>{}</pre></details>\n",
        table(&[], &rows, false),
        escaped(&all)
    )
}

/// Lists of words as a command line has them.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "NO".to_owned(),
        Value::Array(list) => list.iter().map(text_of).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::section;

    #[test]
    fn what_is_known_has_a_row_and_the_rest_is_folded() {
        let html = section(&json!({
            "arguments": ["corelane-bench", "run", "smoke"],
            "machine": { "cpu_model": null, "facts": { "memory": { "total": 8_000_000_000u64 } } },
            "seed": 77,
        }));
        assert!(html.contains("<td>command</td><td>corelane-bench run smoke</td>"));
        assert!(html.contains("<td>memory</td><td>8.00 GB</td>"));
        assert!(!html.contains("<td>CPU</td>"), "what is not known has no row");
        assert!(html.contains("&quot;seed&quot;: 77"));
        assert!(section(&Value::Null).contains("no manifest"));
    }
}
