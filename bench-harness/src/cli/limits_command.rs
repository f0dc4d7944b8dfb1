//! `limits`: what this machine can do at most, as a table or as one JSON value.

use std::fmt::Write;
use std::io;
use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;

use super::{Format, print};
use crate::failure::{Exit, Failure};
use crate::figures::{bytes, count};
use crate::machine::{Group, Limit, LimitsReport, LimitsRequest, Step, Unit, measure};

pub(super) const EXAMPLES: &str = "Examples:
  corelane bench limits --dir /mnt/data                 half a minute, on the disk that holds the data
  corelane bench limits --dir /mnt/data --thorough      some minutes, with sweeps of block size and depth
  corelane bench limits --only disk --format json | jq '.limits[] | select(.id == \"disk.sequential.write\")'
  corelane bench limits --out limits.json

Files are without names and gone with the process, however it ends; they take an eighth of what is free, 1 GiB at the most.
`corelane tune calibrate` measures the disk in the same way, and writes what fits it into the node's configuration.";

#[derive(Args, Debug)]
pub(super) struct LimitsArgs {
    /// A directory on the disk to measure.
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,

    /// Measures five times as long, and sweeps block sizes and depths.
    #[arg(long)]
    thorough: bool,

    /// Measures only these; several are separated by commas. [default: all]
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Group>,

    /// Writes the JSON value to a file, too.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl LimitsArgs {
    pub(super) fn run(&self, format: Format) -> Result<Exit, Failure> {
        let groups = if self.only.is_empty() { Group::ALL.to_vec() } else { self.only.clone() };
        let request =
            LimitsRequest { directory: self.dir.clone(), is_thorough: self.thorough, groups };
        let report = measure(&request, &mut |step: &Step<'_>| {
            let _ = writeln!(io::stderr(), "{:>3}  {}", step.number, step.what);
        })?;
        let json = serde_json::to_string_pretty(&report)
            .map_err(|error| Failure::new(format!("the limits cannot be told: {error}")))?;
        if let Some(out) = &self.out {
            std::fs::write(out, format!("{json}\n")).map_err(|error| {
                let out = out.display();
                Failure::new(format!("{out} cannot be written ({error}); give --out another file"))
            })?;
        }
        print(&match format {
            Format::Text => text(&report),
            Format::Json => format!("{json}\n"),
        })?;
        Ok(Exit::Done)
    }
}

fn text(report: &LimitsReport) -> String {
    let mut text = String::new();
    if let Some(disk) = &report.disk {
        let names: Vec<&str> = disk.disks.iter().map(|disk| disk.name.as_str()).collect();
        let _ = writeln!(
            text,
            "\ndisk {} below {} ({})",
            names.join(", "),
            disk.path.display(),
            disk.kind.name()
        );
    }
    let _ = writeln!(
        text,
        "\n{:<40} {:>12} {:>10} {:>10} {:>9}  HOW",
        "LIMIT", "VALUE", "P50", "P99", "SAMPLES"
    );
    for limit in &report.limits {
        let _ = writeln!(
            text,
            "{:<40} {:>12} {:>10} {:>10} {:>9}  {}",
            limit.id,
            value(limit),
            duration(limit.p50_nanoseconds.map(|nanoseconds| nanoseconds as f64)),
            duration(limit.p99_nanoseconds.map(|nanoseconds| nanoseconds as f64)),
            count(limit.samples as f64),
            limit.how
        );
    }
    for knee in &report.knees {
        let _ = writeln!(
            text,
            "knee            {:?}: blocks of {} KiB, {} at once, for {}/s",
            knee.direction,
            knee.shape.block_bytes >> 10,
            knee.shape.depth,
            bytes(knee.bytes_per_second)
        );
    }
    for warning in &report.warnings {
        let _ = writeln!(text, "WARNING         {warning}");
    }
    let _ = writeln!(text, "took {:.0} s", report.took_seconds);
    text
}

fn value(limit: &Limit) -> String {
    let Some(value) = limit.value else { return "–".to_owned() };
    match limit.unit {
        Unit::BytesPerSecond => format!("{}/s", bytes(value)),
        Unit::RecordsPerSecond => format!("{} rec/s", count(value)),
        Unit::WritesPerSecond => format!("{} wr/s", count(value)),
        Unit::Nanoseconds => duration(Some(value)),
        Unit::Percent => format!("{value:.1} %"),
    }
}

fn duration(nanoseconds: Option<f64>) -> String {
    match nanoseconds {
        None => "–".to_owned(),
        Some(small) if small < 1e3 => format!("{small:.0} ns"),
        Some(middle) if middle < 1e6 => format!("{:.1} µs", middle / 1e3),
        Some(large) => format!("{:.2} ms", large / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn durations_have_the_unit_that_fits() {
        assert_eq!(duration(Some(42.4)), "42 ns");
        assert_eq!(duration(Some(102_340.0)), "102.3 µs");
        assert_eq!(duration(Some(1_234_567.0)), "1.23 ms");
        assert_eq!(duration(None), "–");
    }
}
