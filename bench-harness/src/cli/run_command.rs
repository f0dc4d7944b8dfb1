//! `run`: one workload, what was measured, and its files.

use std::fmt::Write;
use std::path::Path;

use clap::Args;

use super::figures::{bytes, count, milliseconds};
use super::load_args::{Defaults, LoadArgs};
use super::progress::{Progress, Watching};
use super::{Format, print};
use crate::failure::{Exit, Failure};
use crate::histograms::{Latency, Summary};
use crate::results::RunReport;
use crate::results::throughput::RateInterval;
use crate::run::run;
use crate::verification::{Verdict, VerifiedScope};

pub(super) const EXAMPLES: &str = "Examples:
  corelane bench run smoke
  corelane bench run telemetry-1k -b broker:9092 --duration 60 --out results/tuesday
  corelane bench run saturate-1k --client raw          encoded beforehand instead of librdkafka
  corelane bench run telemetry-1k --set acks=1 --set codec=lz4
  corelane bench run saturate-raw --limits limits.json   how near to what the machine can do
  corelane bench run workloads/1-topic-16-partitions-1kb.yaml   of the OpenMessaging benchmark

WORKLOAD is a file, or one of `corelane bench workloads list`. `corelane bench workloads keys` explains our
keys. Topics are made for the run and removed after it. Without --out, files go to ./bench-results.";

#[derive(Args, Debug)]
pub(super) struct RunArgs {
    #[command(flatten)]
    load: LoadArgs,

    /// Records a second over all producers; 0 is as fast as possible, a closed loop.
    #[arg(long, value_name = "RATE")]
    rate: Option<f64>,
}

impl RunArgs {
    pub(super) fn run(&self, format: Format, watching: Watching) -> Result<Exit, Failure> {
        let request = self.load.request(Defaults { rate: self.rate, ..Defaults::default() })?;
        let mut progress = Progress::new(&request.workload, watching);
        let report = run(&request, &mut |event| progress.show(event))?;
        print(&match format {
            Format::Text => text(&report, request.out.as_deref()),
            Format::Json => json(&report, request.out.as_deref())?,
        })?;
        Ok(exit(&report))
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
    throughput(line, report);
    latencies(line, report);
    resources(line, report);
    stages(line, report);
    verified(line, &report.verification);
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

fn throughput(text: &mut String, report: &RunReport) {
    let rates = &report.throughput;
    let _ = writeln!(
        text,
        "  acknowledged    {}/s, {}/s{}{}",
        count(rates.acknowledged_records_per_second),
        bytes(rates.acknowledged_bytes_per_second),
        interval(rates.acknowledged_bytes_interval),
        report
            .offered_records_per_second
            .map(|offered| format!(" of {} offered", count(offered)))
            .unwrap_or_default()
    );
    if rates.consumed_records_per_second > 0.0 {
        let _ = writeln!(
            text,
            "  consumed        {}/s, {}/s{}",
            count(rates.consumed_records_per_second),
            bytes(rates.consumed_bytes_per_second),
            interval(rates.consumed_bytes_interval)
        );
    }
    if rates.caught_up_bytes_per_second > 0.0 {
        let _ = writeln!(text, "  caught up       {}/s", bytes(rates.caught_up_bytes_per_second));
    }
    let limits = [
        ("of limit", &report.fraction_of_limit),
        ("catch-up limit", &report.caught_up_fraction_of_limit),
    ];
    for (name, of) in limits {
        let Some(of) = of else { continue };
        let limit = bytes(of.bound.bytes_per_second);
        let percent = of.fraction * 100.0;
        let _ = writeln!(text, "  {name:<15} {percent:.0} % of {limit}/s, {}", of.bound.limit);
    }
}

fn interval(of: Option<RateInterval>) -> String {
    let text = |of: RateInterval| format!(" [{}–{}]", bytes(of.from), bytes(of.to));
    of.map(text).unwrap_or_default()
}

fn verified(text: &mut String, verification: &Verdict) {
    let _ = match verification.verified {
        VerifiedScope::ReadBack => writeln!(
            text,
            "  verified        {} records acknowledged, {} read by {} subscriptions: none lost, doubled, \
             reordered or altered",
            verification.records_acknowledged,
            verification.records_read,
            verification.subscriptions
        ),
        VerifiedScope::Acknowledgements => writeln!(
            text,
            "  verified        acknowledgements only (null broker): {} records, in order",
            verification.records_acknowledged
        ),
    };
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

fn stages(text: &mut String, report: &RunReport) {
    for (at, stage) in report.used.stages.iter().enumerate() {
        let head = if at == 0 { "stages" } else { "" };
        let microseconds = |found: Option<f64>| {
            found.map_or_else(|| "more".to_owned(), |found| format!("{found:.0}"))
        };
        let _ = writeln!(
            text,
            "  {head:<15} {:<14} mean {:>8.1} µs, p50 ≤ {:>6}, p99 ≤ {:>7}  (n {})",
            stage.stage,
            stage.mean_microseconds,
            microseconds(stage.p50_at_most_microseconds),
            microseconds(stage.p99_at_most_microseconds),
            count(stage.count as f64)
        );
    }
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
