//! What every command that runs a workload is told: which one, at which broker, with what client.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;

use crate::failure::Failure;
use crate::limits::WORKLOAD_FILE_BYTES_MAX;
use crate::results::folder;
use crate::run::RunRequest;
use crate::workload::{ClientTier, Source, Workload, shipped};

#[derive(Args, Debug)]
pub(super) struct LoadArgs {
    /// A workload file, or the name of a shipped one.
    workload: String,

    /// A broker to begin with; several are separated by commas.
    #[arg(
        short = 'b',
        long,
        alias = "bootstrap",
        value_name = "HOST:PORT",
        env = "CORELANE_BOOTSTRAP_SERVER",
        default_value = "127.0.0.1:9092"
    )]
    bootstrap_server: String,

    /// What sends and reads, instead of what the workload says.
    #[arg(long, value_enum)]
    client: Option<ClientTier>,

    /// Measured seconds of a run, instead of the workload's.
    #[arg(long, value_name = "SECONDS")]
    duration: Option<f64>,

    /// Seconds before measuring, or `stable`.
    #[arg(long, value_name = "SECONDS")]
    warm_up: Option<String>,

    /// Replaces a key of the workload; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,

    /// What the broker is called in results.
    #[arg(long, value_name = "NAME")]
    label: Option<String>,

    /// Folder for the result's files (default: bench-results/<time>-<workload>); `none` writes nothing.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,

    /// Process of the broker, where it is not found by its port.
    #[arg(long, value_name = "PID")]
    broker_pid: Option<u32>,

    /// Where the broker shows metrics (of Corelane its admin address), for the stages in which its time goes.
    #[arg(long, value_name = "HOST:PORT", env = "CORELANE_ADMIN")]
    metrics: Option<String>,

    /// `limits.json` of `corelane bench limits`: throughput is told as a fraction of what the machine can do.
    #[arg(long, value_name = "FILE")]
    limits: Option<PathBuf>,

    /// Leaves the run's topics where they are.
    #[arg(long)]
    keep_topics: bool,
}

/// What a command says where neither its user nor the workload does.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Defaults<'a> {
    /// Replaces the workload's rate.
    pub(super) rate: Option<f64>,
    /// Seconds, where --duration is not given: in place of the workload's.
    pub(super) duration: Option<f64>,
    /// Where --warm-up is not given: in place of the workload's.
    pub(super) warm_up: Option<&'a str>,
    /// Before the workload's name in the name of the folder.
    pub(super) kind: &'a str,
}

impl LoadArgs {
    pub(super) fn request(&self, defaults: Defaults<'_>) -> Result<RunRequest, Failure> {
        let workload = self.workload(defaults)?;
        Ok(RunRequest {
            label: self.label.clone().unwrap_or_else(|| {
                format!("{} ({})", self.bootstrap_server, workload.own.client.name())
            }),
            out: self.out(&format!("{}{}", defaults.kind, workload.name)),
            workload,
            bootstrap: self.bootstrap_server.clone(),
            broker_process: self.broker_pid,
            metrics: self.metrics.clone(),
            keep_topics: self.keep_topics,
            arguments: std::env::args().collect(),
            limits: self.limits.as_deref().map(limits).transpose()?,
        })
    }

    fn workload(&self, defaults: Defaults<'_>) -> Result<Workload, Failure> {
        let (text, directory) = workload_text(&self.workload)?;
        let mut settings = self.settings.clone();
        let mut set = |key: &str, value: Option<String>| {
            settings.extend(value.map(|value| format!("{key}={value}")));
        };
        let duration = self.duration.or(defaults.duration);
        let warm_up = self.warm_up.as_deref().or(defaults.warm_up);
        set("corelane.client", self.client.map(|client| client.name().to_owned()));
        set("corelane.durationSeconds", duration.map(|seconds| seconds.to_string()));
        set("corelane.warmUp", warm_up.map(str::to_owned));
        set("producerRate", defaults.rate.map(|rate| rate.to_string()));
        let source = Source { text: &text, directory, settings: &settings };
        Workload::parse(&source)
            .map_err(|error| Failure::new(format!("workload {}: {error}", self.workload)))
    }

    fn out(&self, name: &str) -> Option<PathBuf> {
        match &self.out {
            Some(folder) if folder.as_os_str() == "none" => None,
            Some(folder) => Some(folder.clone()),
            None => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH);
                let now = now.map_or(0, |since| since.as_secs());
                Some(folder::fresh(Path::new("bench-results"), name, now))
            }
        }
    }
}

/// What `corelane bench limits --out FILE` wrote.
pub(super) fn limits(path: &Path) -> Result<serde_json::Value, Failure> {
    let read = std::fs::read_to_string(path).map_err(std::io::Error::other);
    let parsed: std::io::Result<serde_json::Value> =
        read.and_then(|text| serde_json::from_str(&text).map_err(Into::into));
    let limits = parsed.ok().filter(|value| value["limits"].is_array());
    limits.ok_or_else(|| {
        Failure::new(format!(
            "{} is no limits.json; `corelane bench limits --out {}` writes one",
            path.display(),
            path.display()
        ))
    })
}

/// A workload's text, and the folder that it is in.
pub(super) fn workload_text(name: &str) -> Result<(String, Option<PathBuf>), Failure> {
    let path = Path::new(name);
    if let Some(text) = shipped::find(name).filter(|_| !path.is_file()) {
        return Ok((text.to_owned(), None));
    }
    let length = path.metadata().map_or(0, |data| data.len());
    if length > WORKLOAD_FILE_BYTES_MAX {
        return Err(Failure::new(format!("{name} is no workload: it is too large")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::new(format!(
            "there is no workload {name} ({error}); `corelane bench workloads list` shows those \
             that come along"
        ))
    })?;
    Ok((text, path.parent().map(Path::to_path_buf)))
}
