//! `manifest.json`: everything that another run would need to be the same one.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tuning::{DirectoryFacts, HostFacts, HostRoot};

use crate::accounting::Watched;
use crate::clients::rdkafka_producer;
use crate::workload::{ClientTier, Workload};

/// What the manifest is about.
pub struct Subject<'a> {
    pub workload: &'a Workload,
    pub bootstrap: &'a str,
    pub label: &'a str,
    pub watched: &'a Watched,
    pub arguments: &'a [String],
    pub run_id: &'a str,
}

#[must_use]
pub fn manifest(subject: &Subject<'_>) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    json!({
        "format": 1,
        "run": subject.run_id,
        "started_unix_seconds": now,
        "label": subject.label,
        "arguments": subject.arguments,
        "harness": {
            "version": env!("CARGO_PKG_VERSION"),
            "is_optimised": !cfg!(debug_assertions),
        },
        "workload": subject.workload,
        "client": client_of(subject),
        "broker": broker_of(subject),
        "machine": machine(),
    })
}

/// What a result depends on beside the broker.
#[must_use]
pub fn machine() -> Value {
    json!({
        "facts": HostFacts::read(&HostRoot::live()),
        "cpu_model": cpu_model(),
        "command_line_of_kernel": text_of("/proc/cmdline"),
        "clock_source":
            text_of("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
    })
}

fn client_of(subject: &Subject<'_>) -> Value {
    match subject.workload.own.client {
        ClientTier::Raw => json!({ "tier": "raw" }),
        ClientTier::Rdkafka => {
            let (_, version) = rdkafka::util::get_rdkafka_version();
            let config = rdkafka_producer::configuration(subject.bootstrap, &subject.workload.own);
            json!({
                "tier": "rdkafka",
                "librdkafka": version,
                "producer": config.config_map(),
            })
        }
    }
}

/// Where it is on this machine: how it was started, and the disk below its files.
fn broker_of(subject: &Subject<'_>) -> Value {
    let Some(pid) = subject.watched.broker() else {
        return json!({ "bootstrap": subject.bootstrap, "is_local": false });
    };
    let folder = format!("/proc/{pid}");
    let command = std::fs::read(format!("{folder}/cmdline")).unwrap_or_default();
    let arguments: Vec<_> = command
        .split(|byte| *byte == 0)
        .filter(|argument| !argument.is_empty())
        .map(|argument| String::from_utf8_lossy(argument).into_owned())
        .collect();
    let program = std::fs::read_link(format!("{folder}/exe")).ok();
    let bytes = program.as_deref().and_then(|path| path.metadata().ok()).map(|data| data.len());
    let data = data_directory(&folder);
    let disk = data
        .as_deref()
        .and_then(|path| DirectoryFacts::read(&HostRoot::live(), Path::new(path)).ok());
    json!({
        "bootstrap": subject.bootstrap,
        "is_local": true,
        "arguments": arguments,
        "program": program,
        "program_bytes": bytes,
        "data_directory": data,
        "disk": disk,
    })
}

/// The folder of a journal or a segment that the process has open.
fn data_directory(process: &str) -> Option<String> {
    let files = std::fs::read_dir(format!("{process}/fd")).ok()?.flatten();
    let mut paths = files.filter_map(|file| std::fs::read_link(file.path()).ok());
    paths
        .find(|path| is_of_a_log(path))?
        .parent()
        .map(|folder| folder.to_string_lossy().into_owned())
}

/// A journal, or a segment of Kafka's naming: what a broker prints may go to a `.log`, too.
fn is_of_a_log(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
    match ending {
        Some("journal") => true,
        Some("log") => name.len() == 20 && name.bytes().all(|byte| byte.is_ascii_digit()),
        _ => false,
    }
}

fn cpu_model() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    line.split_once(':').map(|(_, model)| model.trim().to_owned())
}

fn text_of(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::is_of_a_log;

    #[test]
    fn what_a_broker_prints_is_no_log_of_records() {
        assert!(is_of_a_log(Path::new("/data/journal/0/3.journal")));
        assert!(is_of_a_log(Path::new("/data/t-0/00000000000000000042.log")));
        assert!(!is_of_a_log(Path::new("/var/log/node.log")));
        assert!(!is_of_a_log(Path::new("/data/t-0/00000000000000000042.index")));
    }
}
