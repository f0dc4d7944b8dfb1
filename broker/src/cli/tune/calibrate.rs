//! `corelane tune calibrate`: the disk measured, what it means, and the node's configuration with it.

use std::io::Write;
use std::path::{Path, PathBuf};

use broker::config::ConfigOutline;
use clap::Args;
use serde::Serialize;
use tuning::{
    Bandwidth, ByteCount, Calibration, CalibrationOrigin, CalibrationRecord, DiskProbes, Effort,
    FileState, FlushTrust, HostFacts, HostRoot,
};

use super::super::failure::Failure;
use super::super::output::{Colour, Output, Table};
use super::super::times;
use super::disk_settings::{read_or_empty, with_settings};
use super::replacement::replace;

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  corelane tune calibrate --dir /mnt/data --dry-run            measure, and show what would be written
  corelane tune calibrate --config /etc/corelane.toml          the disk of the file's first data-dir
  corelane tune calibrate --dir /mnt/data --quick --format json
\nIt takes a minute on a disk that nobody else uses; stop the node before, or the numbers are of what it leaves over. Files
have no names, take an eighth of what is free (1 GiB at the most), and are gone with the process.

The settings go to [disk] of the file, which `serve --config` uses: how many journal groups and segment writes are under way
at once, and how large they are. None of them changes when an append counts. Comments and everything else stay as they
are, the file's owner and mode too. `tune check --config FILE` and `doctor --config FILE` say when the result is of another
disk or kernel or older than a year, and, as does every start of the node, when flushes took no time: then nobody knows
whether what is acknowledged outlives a power cut.")]
pub(crate) struct CalibrateArgs {
    /// A directory on the disk that holds (or will hold) the data; of several the first. [default: the data-dir of
    /// --config, else ./corelane-data]
    #[arg(
        long = "dir",
        alias = "data-dir",
        value_name = "DIR",
        env = "CORELANE_DATA_DIR",
        value_delimiter = ','
    )]
    dirs: Vec<PathBuf>,

    /// The node's configuration file; made where there is none. Without, nothing is written.
    #[arg(long, value_name = "FILE", env = "CORELANE_CONFIG")]
    config: Option<PathBuf>,

    /// A quarter of a minute.
    #[arg(long, conflicts_with = "thorough")]
    quick: bool,

    /// Some minutes.
    #[arg(long)]
    thorough: bool,

    /// Write nothing; show what the file would be.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    directory: &'a Path,
    origin: &'a CalibrationOrigin,
    #[serde(flatten)]
    calibration: &'a Calibration,
    /// The file that was written, or would be.
    config: Option<&'a Path>,
    written: bool,
    content: Option<&'a str>,
}

/// What was measured where.
struct Outcome<'a> {
    directory: &'a Path,
    calibration: Calibration,
    record: CalibrationRecord,
}

impl CalibrateArgs {
    pub(super) fn run(&self, output: &mut Output) -> Result<(), Failure> {
        // A file that cannot be read or written to is told before a minute of measuring.
        let before = self.config.as_deref().map(read_or_empty).transpose()?;
        let directory = self.directory(before.as_deref())?;
        let host = HostRoot::live();
        let failed = |error: tuning::DiskProbeError| Failure::failed(error.to_string());
        tell("the file that is measured with");
        let probes = DiskProbes::prepare(&host, &directory).map_err(failed)?;
        let calibration =
            Calibration::measure(&probes, self.effort(), &mut tell).map_err(failed)?;
        let origin = CalibrationOrigin::of(probes.facts(), &HostFacts::read(&host).kernel);
        let record = record(&calibration, origin);
        let outcome = Outcome { directory: &probes.facts().path, calibration, record };
        self.report(&outcome, before.as_deref(), output)
    }

    /// What a node with this file would write to first.
    fn directory(&self, config_text: Option<&str>) -> Result<PathBuf, Failure> {
        let outline = match (&self.config, config_text) {
            (Some(config), Some(text)) => ConfigOutline::parse(config, text)
                .map_err(|error| Failure::failed(error.to_string()))?,
            _ => ConfigOutline::default(),
        };
        let mut directories = outline.data_dirs(&self.dirs).into_iter();
        Ok(directories.next().expect("there is a default"))
    }

    /// Writes the settings where they are to be written, and says what was found.
    fn report(
        &self,
        outcome: &Outcome<'_>,
        before: Option<&str>,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let Outcome { directory, calibration, record } = outcome;
        let content = match (self.config.as_deref(), before) {
            (Some(config), Some(text)) => {
                Some(with_settings(config, text, calibration.advice, record)?)
            }
            _ => None,
        };
        let written = content.is_some() && !self.dry_run && calibration.is_steady;
        if let (Some(config), Some(content), true) = (&self.config, &content, written) {
            replace(config, content).map_err(|error| {
                let config = config.display();
                Failure::failed(format!(
                    "{config} cannot be written: {error}; give --config another file"
                ))
            })?;
        }
        if output.is_json() {
            output.json(&Report {
                directory,
                origin: &record.origin,
                calibration,
                config: self.config.as_deref(),
                written,
                content: content.as_deref(),
            })?;
            return steady(calibration);
        }
        output
            .line(format_args!("disk {} ({})", record.origin.device, record.origin.file_system))?;
        tables(calibration, output)?;
        meaning(calibration, output)?;
        steady(calibration)?;
        self.conclude(outcome, content.as_deref(), output)
    }

    fn effort(&self) -> Effort {
        match (self.quick, self.thorough) {
            (true, _) => Effort::Quick,
            (_, true) => Effort::Thorough,
            _ => Effort::Usual,
        }
    }

    fn conclude(
        &self,
        outcome: &Outcome<'_>,
        content: Option<&str>,
        output: &mut Output,
    ) -> Result<(), Failure> {
        match (&self.config, content) {
            (Some(config), Some(content)) if self.dry_run => {
                output.line(format_args!("{} would be:\n{content}", config.display()))
            }
            (Some(config), _) => {
                let config = config.display();
                output.line(format_args!(
                    "written to {config}; a node takes it with its next start: corelane serve --config {config}"
                ))
            }
            _ => {
                let none = Path::new("corelane.toml");
                let advice = outcome.calibration.advice;
                let content = with_settings(none, "", advice, &outcome.record)?;
                output.line(format_args!(
                    "--config FILE writes this into the node's file:\n{content}"
                ))
            }
        }
    }
}

/// What a disturbed disk seems to want is not written.
fn steady(calibration: &Calibration) -> Result<(), Failure> {
    match calibration.is_steady {
        true => Ok(()),
        false => Err(Failure::failed(
            "what was measured twice does not agree, or small durable writes took longer than large ones: something \
             else used the disk, and nothing was written; stop it and repeat, or give --thorough",
        )),
    }
}

fn record(calibration: &Calibration, origin: CalibrationOrigin) -> CalibrationRecord {
    CalibrationRecord {
        origin,
        is_flush_believable: Some(calibration.flush.is_believable()),
        durable_4k_nanoseconds: calibration.small_durable().p50_nanoseconds,
        plain_4k_nanoseconds: calibration.plain.p50_nanoseconds,
        unix_seconds: Some(times::unix_seconds()),
    }
}

fn tables(calibration: &Calibration, output: &mut Output) -> Result<(), Failure> {
    let mut table = Table::new(&[
        "DURABLE WRITE",
        "EXTENDING P50",
        "PREALLOCATED P50",
        "PREWRITTEN P50",
        "P99",
    ]);
    let of = |bytes, state| {
        let found = calibration.durable.iter().find(|one| one.bytes == bytes && one.state == state);
        found.map(|one| one.latency).unwrap_or_default()
    };
    let prewritten = calibration.durable.iter().filter(|one| one.state == FileState::Prewritten);
    for bytes in prewritten.map(|one| one.bytes) {
        let medians = FileState::ALL.map(|state| micros(of(bytes, state).p50_nanoseconds));
        let p99 = micros(of(bytes, FileState::Prewritten).p99_nanoseconds);
        let size = ByteCount(bytes as u64).to_string();
        table.push([size].into_iter().chain(medians).chain([p99]).collect());
    }
    output.table(&table)?;
    let plain = micros(calibration.plain.p50_nanoseconds);
    output.line(format_args!("4 KiB that nobody makes durable: {plain}"))?;
    let mut table = Table::new(&["AT ONCE", "BLOCK", "WHAT", "PER SECOND"]);
    let sweeps = [
        ("durable write (journal)", &calibration.durable_depths),
        ("durable write into new room (large runs)", &calibration.large_runs),
        ("write into new room (segments)", &calibration.blocks),
        ("write into new room (segments)", &calibration.depths),
        ("read", &calibration.reads),
    ];
    for (what, measured) in sweeps {
        for Bandwidth { shape, bytes_per_second, .. } in measured {
            let block = ByteCount(shape.block_bytes as u64).to_string();
            let speed = format!("{:.0} MB", bytes_per_second / 1e6);
            table.push(vec![shape.depth.to_string(), block, what.to_owned(), speed]);
        }
    }
    output.table(&table)
}

fn meaning(calibration: &Calibration, output: &mut Output) -> Result<(), Failure> {
    let advice = calibration.advice;
    let size = |bytes: usize| ByteCount(bytes as u64).to_string();
    let eager = match advice.journal_group_eager_bytes {
        Some(bytes) => format!(
            "a further one is begun when {} wait, for smaller ones cost as much",
            size(bytes)
        ),
        None => "the disk is too slow to say when a further one is worth its write".to_owned(),
    };
    output.line(format_args!(
        "  journal   {} groups at once reach what this disk makes durable; {eager}",
        advice.journal_groups_in_flight
    ))?;
    output.line(format_args!(
        "  segments  writes of {}, {} at once; large runs {} at once",
        size(advice.segment_write_bytes),
        advice.segment_writes_in_flight,
        advice.large_runs_in_flight
    ))?;
    let doubt = match calibration.flush {
        FlushTrust::Believable => return Ok(()),
        FlushTrust::TooFast => {
            "4 KiB are durable faster than on any device that keeps what it was told"
        }
        FlushTrust::CostsNothing => {
            "the disk says that it has a volatile cache, and to flush it takes no time"
        }
    };
    let warning = output.coloured(Colour::Yellow, "durability of this device is unverified");
    output.line(format_args!(
        "  {warning}: {doubt}; ask who runs the host whether flushes reach the disk"
    ))
}

fn micros(nanoseconds: Option<u64>) -> String {
    nanoseconds.map_or_else(|| "–".to_owned(), |ns| format!("{:.0} µs", ns as f64 / 1e3))
}

fn tell(what: &str) {
    // Nothing depends on whether somebody sees it.
    let _ = writeln!(std::io::stderr(), "measuring: {what}");
}

#[cfg(test)]
mod tests;
