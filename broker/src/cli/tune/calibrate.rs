//! `corelane tune calibrate`: the disk measured, what it means, and the node's configuration with it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use serde::Serialize;
use tuning::{
    Bandwidth, ByteCount, Calibration, CalibrationOrigin, DiskProbes, Effort, FileState, HostFacts,
    HostRoot,
};

use super::super::failure::Failure;
use super::super::output::{Colour, Output, Table};
use super::disk_settings::{Measured, read_or_empty, with_settings};

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  corelane tune calibrate --dir /mnt/data --dry-run            measure, and show what would be written
  corelane tune calibrate --dir /mnt/data --config /etc/corelane.toml
  corelane tune calibrate --dir /mnt/data --quick --format json
\nIt takes a minute on a disk that nobody else uses; stop the node before, or the numbers are of what it leaves over. Files
have no names, take an eighth of what is free (1 GiB at the most), and are gone with the process.

The settings go to [disk] of the file, which `serve --config` uses: how many journal groups and segment writes are under way
at once, and how large they are. None of them changes when an append counts. Comments and everything else stay as they
are. `tune check --config FILE` and `doctor --config FILE` say when the result is of another disk or kernel.")]
pub(crate) struct CalibrateArgs {
    /// A directory on the disk that holds (or will hold) the data.
    #[arg(
        long,
        alias = "data-dir",
        value_name = "DIR",
        env = "CORELANE_DATA_DIR",
        default_value = "./corelane-data"
    )]
    dir: PathBuf,

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

impl CalibrateArgs {
    pub(super) fn run(&self, output: &mut Output) -> Result<(), Failure> {
        // A file that cannot be read or written to is told before a minute of measuring.
        let before = self.config.as_deref().map(read_or_empty).transpose()?;
        let host = HostRoot::live();
        let failed = |error: tuning::DiskProbeError| Failure::failed(error.to_string());
        tell("the file that is measured with");
        let probes = DiskProbes::prepare(&host, &self.dir).map_err(failed)?;
        let calibration =
            Calibration::measure(&probes, self.effort(), &mut tell).map_err(failed)?;
        let origin = CalibrationOrigin::of(probes.facts(), &HostFacts::read(&host).kernel);
        let content = match (self.config.as_deref(), &before) {
            (Some(config), Some(text)) => {
                Some(with_settings(config, text, &measured(&calibration, &origin))?)
            }
            _ => None,
        };
        let written = content.is_some() && !self.dry_run && calibration.is_steady;
        if let (Some(config), Some(content), true) = (&self.config, &content, written) {
            replace(config, content)?;
        }
        if output.is_json() {
            output.json(&Report {
                directory: &probes.facts().path,
                origin: &origin,
                calibration: &calibration,
                config: self.config.as_deref(),
                written,
                content: content.as_deref(),
            })?;
            return steady(&calibration);
        }
        output.line(format_args!("disk {} ({})", origin.device, origin.file_system))?;
        tables(&calibration, output)?;
        meaning(&calibration, output)?;
        steady(&calibration)?;
        self.conclude(&calibration, &origin, content.as_deref(), output)
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
        calibration: &Calibration,
        origin: &CalibrationOrigin,
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
                let content = with_settings(none, "", &measured(calibration, origin))?;
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
            "small durable writes took longer than large ones: something else used the disk, and nothing was \
             written; stop it and repeat, or give --thorough",
        )),
    }
}

fn measured<'a>(calibration: &Calibration, origin: &'a CalibrationOrigin) -> Measured<'a> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let of_4k = calibration
        .durable
        .iter()
        .find(|one| one.bytes == 4096 && one.state == FileState::Prewritten);
    Measured {
        advice: calibration.advice,
        origin,
        is_flush_believable: calibration.is_flush_believable,
        durable_4k_nanoseconds: of_4k.and_then(|one| one.latency.p50_nanoseconds),
        unix_seconds: now,
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
    let mut table = Table::new(&["AT ONCE", "BLOCK", "WHAT", "PER SECOND"]);
    let sweeps = [
        ("durable write", &calibration.durable_depths),
        ("write", &calibration.blocks),
        ("write", &calibration.depths),
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
    output.line(format_args!(
        "  journal   {} groups at once reach what this disk makes durable; a further one is begun when {} wait, \
         for smaller ones cost as much",
        advice.journal_groups_in_flight,
        size(advice.journal_group_eager_bytes)
    ))?;
    output.line(format_args!(
        "  segments  writes of {}, {} at once; large runs {} at once",
        size(advice.segment_write_bytes),
        advice.segment_writes_in_flight,
        advice.large_runs_in_flight
    ))?;
    if calibration.is_flush_believable {
        return Ok(());
    }
    let warning = output.coloured(Colour::Yellow, "durability of this device is unverified");
    output.line(format_args!(
        "  {warning}: 4 KiB are durable faster than on any device that keeps what it was told; ask who runs the \
         host whether flushes reach the disk"
    ))
}

fn micros(nanoseconds: Option<u64>) -> String {
    nanoseconds.map_or_else(|| "–".to_owned(), |ns| format!("{:.0} µs", ns as f64 / 1e3))
}

/// In one step: a node that starts meanwhile finds the old file or the new one.
fn replace(config: &Path, content: &str) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        let config = config.display();
        Failure::failed(format!("{config} cannot be written: {error}; give --config another file"))
    };
    // Where the name is a link, the file behind it is meant.
    let target = std::fs::canonicalize(config).unwrap_or_else(|_| config.to_path_buf());
    let mut name = target.clone().into_os_string();
    name.push(".new");
    let newer = PathBuf::from(name);
    let result = std::fs::write(&newer, content).and_then(|()| {
        if let Ok(older) = std::fs::metadata(&target) {
            std::fs::set_permissions(&newer, older.permissions())?;
        }
        std::fs::File::open(&newer)?.sync_all()?;
        std::fs::rename(&newer, &target)
    });
    if result.is_err() {
        let _ = std::fs::remove_file(&newer);
    }
    result.map_err(failed)
}

fn tell(what: &str) {
    // Nothing depends on whether somebody sees it.
    let _ = writeln!(std::io::stderr(), "measuring: {what}");
}
