//! `run`: one workload, what was measured, and its files.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;

use super::figures::{bytes, count, milliseconds};
use super::progress::Lines;
use super::{Format, print};
use crate::failure::{Exit, Failure};
use crate::histograms::{Latency, Summary};
use crate::limits::WORKLOAD_FILE_BYTES_MAX;
use crate::results::{RunReport, folder};
use crate::run::{RunRequest, run};
use crate::workload::{ClientTier, Source, Workload, shipped};

pub(super) const EXAMPLES: &str = "Examples:
  corelane bench run smoke
  corelane bench run telemetry-1k -b broker:9092 --duration 60 --out results/tuesday
  corelane bench run saturate-1k --client raw          encoded beforehand instead of librdkafka
  corelane bench run telemetry-1k --set acks=1 --set codec=lz4
  corelane bench run workloads/1-topic-16-partitions-1kb.yaml   of the OpenMessaging benchmark

WORKLOAD is a file, or one of `corelane bench workloads list`. `corelane bench workloads keys` explains our
keys. Topics are made for the run and removed after it. Without --out, files go to ./bench-results.";

#[derive(Args, Debug)]
pub(super) struct RunArgs {
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

    /// Measured seconds, instead of the workload's.
    #[arg(long, value_name = "SECONDS")]
    duration: Option<f64>,

    /// Seconds before measuring, or `stable`.
    #[arg(long, value_name = "SECONDS")]
    warm_up: Option<String>,

    /// Records a second over all producers; 0 is as fast as possible, a closed loop.
    #[arg(long, value_name = "RATE")]
    rate: Option<f64>,

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

    /// Leaves the run's topics where they are.
    #[arg(long)]
    keep_topics: bool,
}

impl RunArgs {
    pub(super) fn run(&self, format: Format) -> Result<Exit, Failure> {
        let workload = self.workload()?;
        let out = self.out(&workload.name);
        let request = RunRequest {
            label: self.label.clone().unwrap_or_else(|| {
                format!("{} ({})", self.bootstrap_server, workload.own.client.name())
            }),
            workload,
            bootstrap: self.bootstrap_server.clone(),
            broker_process: self.broker_pid,
            keep_topics: self.keep_topics,
            out,
            arguments: std::env::args().collect(),
        };
        let mut lines = Lines::new(&request.workload);
        let report = run(&request, &mut |event| lines.show(event))?;
        print(&match format {
            Format::Text => text(&report, request.out.as_deref()),
            Format::Json => json(&report, request.out.as_deref())?,
        })?;
        Ok(exit(&report))
    }

    fn workload(&self) -> Result<Workload, Failure> {
        let (text, directory) = self.text()?;
        let mut settings = self.settings.clone();
        let mut set = |key: &str, value: Option<String>| {
            settings.extend(value.map(|value| format!("{key}={value}")));
        };
        set("corelane.client", self.client.map(|client| client.name().to_owned()));
        set("corelane.durationSeconds", self.duration.map(|seconds| seconds.to_string()));
        set("corelane.warmUp", self.warm_up.clone());
        set("producerRate", self.rate.map(|rate| rate.to_string()));
        let source = Source { text: &text, directory, settings: &settings };
        Workload::parse(&source)
            .map_err(|error| Failure::new(format!("workload {}: {error}", self.workload)))
    }

    /// The workload's text, and the folder that it is in.
    fn text(&self) -> Result<(String, Option<PathBuf>), Failure> {
        let path = Path::new(&self.workload);
        if let Some(text) = shipped::find(&self.workload).filter(|_| !path.is_file()) {
            return Ok((text.to_owned(), None));
        }
        let length = path.metadata().map_or(0, |data| data.len());
        if length > WORKLOAD_FILE_BYTES_MAX {
            return Err(Failure::new(format!("{} is no workload: it is too large", self.workload)));
        }
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::new(format!(
                "there is no workload {} ({error}); `corelane bench workloads list` shows those \
                 that come along",
                self.workload
            ))
        })?;
        Ok((text, path.parent().map(Path::to_path_buf)))
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

/// An objective is judged only where the run is valid.
fn exit(report: &RunReport) -> Exit {
    if !report.validity.is_valid {
        return Exit::InvalidEnvironment;
    }
    match &report.objective {
        Some(objective) if !objective.is_met => Exit::ObjectiveMissed,
        _ => Exit::Done,
    }
}

fn json(report: &RunReport, out: Option<&Path>) -> Result<String, Failure> {
    let value = serde_json::json!({ "result": report, "folder": out });
    serde_json::to_string(&value)
        .map(|text| text + "\n")
        .map_err(|error| Failure::new(format!("the result cannot be told: {error}")))
}

fn text(report: &RunReport, out: Option<&Path>) -> String {
    let mut text = String::new();
    let line = &mut text;
    let workload = &report.workload;
    let _ = writeln!(line, "\n{}", workload.name);
    let _ = writeln!(
        line,
        "  {}, {} loop, durability {}, {} s measured after {:.0} s",
        report.client,
        report.load,
        report.durability,
        report.measured_seconds,
        report.warm_up_seconds
    );
    let rates = &report.throughput;
    let _ = writeln!(
        line,
        "  acknowledged    {}/s, {}/s{}",
        count(rates.acknowledged_records_per_second),
        bytes(rates.acknowledged_bytes_per_second),
        report
            .offered_records_per_second
            .map(|offered| format!(" of {} offered", count(offered)))
            .unwrap_or_default()
    );
    if rates.consumed_records_per_second > 0.0 {
        let _ = writeln!(
            line,
            "  consumed        {}/s, {}/s",
            count(rates.consumed_records_per_second),
            bytes(rates.consumed_bytes_per_second)
        );
    }
    if rates.caught_up_bytes_per_second > 0.0 {
        let _ = writeln!(line, "  caught up       {}/s", bytes(rates.caught_up_bytes_per_second));
    }
    latencies(line, report);
    resources(line, report);
    let verification = &report.verification;
    let _ = writeln!(
        line,
        "  verified        {} records acknowledged, {} read by {} subscriptions: none lost, doubled, \
         reordered or altered",
        verification.records_acknowledged, verification.records_read, verification.subscriptions
    );
    if let Some(objective) = &report.objective {
        let measured = objective.measured_milliseconds;
        let _ = writeln!(
            line,
            "  objective       {} p{} ≤ {} ms: {} ({})",
            objective.slo.latency.name(),
            objective.slo.percent,
            objective.slo.milliseconds,
            if objective.is_met { "met" } else { "missed" },
            measured.map_or("too few samples".to_owned(), |measured| format!("{measured:.2} ms"))
        );
    }
    for reason in &report.validity.reasons {
        let _ = writeln!(line, "  NOT VALID       {reason}");
    }
    for note in &report.notes {
        let _ = writeln!(line, "  note            {note}");
    }
    if let Some(folder) = out {
        let _ = writeln!(line, "  files           {}", folder.display());
    }
    text
}

fn latencies(text: &mut String, report: &RunReport) {
    // In a closed loop a record is due when it is sent: there is one latency, and it is that of a client's queue.
    let shown: &[Latency] = match report.load {
        "closed" => &[Latency::Service, Latency::EndToEnd],
        _ => &[Latency::Response, Latency::EndToEnd, Latency::Service, Latency::ScheduleDelay],
    };
    for &latency in shown {
        let Some(summary) = report.latencies.get(latency) else { continue };
        let name = latency.name().replace('_', " ");
        let _ = writeln!(text, "  {name:<15} {}", one_latency(summary));
    }
}

fn one_latency(summary: &Summary) -> String {
    let mut text = String::new();
    for found in &summary.percentiles {
        let _ = write!(
            text,
            "p{} {} [{}–{}]  ",
            found.percent,
            milliseconds(found.nanoseconds),
            milliseconds(found.from_nanoseconds),
            milliseconds(found.to_nanoseconds)
        );
    }
    let max = milliseconds(summary.max_nanoseconds);
    let _ = write!(text, "max {max} ms  (n {}", count(summary.samples as f64));
    if summary.observations < summary.samples {
        let _ = write!(text, " in {} batches", count(summary.observations as f64));
    }
    text.push(')');
    text
}

fn resources(text: &mut String, report: &RunReport) {
    let (broker, used) = (&report.broker, &report.used);
    if let Some(cpu) = broker.cpu_seconds_per_gigabyte {
        let memory = broker.peak_memory_bytes.map_or(0.0, |bytes| bytes as f64);
        let device = broker
            .device_bytes_per_byte
            .map_or_else(String::new, |ratio| format!(", {ratio:.2} device bytes a byte"));
        let _ = writeln!(
            text,
            "  broker          {cpu:.3} CPU-s/GB, peak memory {}{device}",
            bytes(memory)
        );
    } else {
        let _ = writeln!(
            text,
            "  broker          its process is not on this machine, or not ours to look at"
        );
    }
    let percent = |seconds: f64| seconds / report.measured_seconds * 100.0;
    let _ = writeln!(
        text,
        "  machine         client {:.0} % of a core (busiest thread {:.0} %), everything {:.0} %{}, steal {:.1} %",
        percent(used.client_cpu_seconds),
        percent(used.client_thread_cpu_seconds_max),
        percent(used.host_cpu_seconds),
        used.other_cpu_percent
            .map(|other| format!(" (others {other:.0} % of the machine)"))
            .unwrap_or_default(),
        used.steal_percent
    );
}
