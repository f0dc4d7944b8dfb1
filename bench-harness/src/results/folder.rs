//! The files of a run in their folder. A folder appears when all of its files are written.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::Value;

use super::comparison::Comparison;
use super::distribution::distributions;
use super::hlog::IntervalLog;
use super::{RunReport, omb, timeseries, used};
use crate::accounting::UsedSecond;
use crate::collector::Collector;
use crate::failure::Failure;
use crate::report;

/// Everything that is written.
pub struct Artifacts<'a> {
    pub report: &'a RunReport,
    pub collector: &'a Collector,
    pub used_seconds: &'a [UsedSecond],
    pub log: &'a IntervalLog,
    pub manifest: &'a Value,
    pub began: SystemTime,
}

/// Writes into `folder`, which may not exist yet.
pub fn write(folder: &Path, artifacts: &Artifacts<'_>) -> Result<(), Failure> {
    if folder.exists() {
        return Err(exists_already(folder));
    }
    write_files(folder, artifacts).map_err(|error| {
        Failure::new(format!(
            "the results cannot be written to {}: {error}; name another folder with --out",
            folder.display()
        ))
    })
}

/// Writes `compare.json` beside the folders of its runs, and the page of it.
pub fn write_comparison(folder: &Path, comparison: &Comparison) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(comparison).map_err(io::Error::other);
    let written = text.and_then(|text| {
        fs::create_dir_all(folder)?;
        replace(&folder.join("compare.json"), &(text + "\n"))?;
        let source = report::Source::read(folder).map_err(io::Error::other)?;
        replace(&folder.join("report.html"), &report::html(&[source]))
    });
    written.map_err(|error| {
        Failure::new(format!(
            "the comparison cannot be written to {}: {error}; the runs' files are there",
            folder.display()
        ))
    })
}

/// What was measured before stands in the file: it is there as a whole at any time.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    fs::write(&part, text)?;
    fs::rename(&part, path)
}

/// `<time>-<name>` below `parent`, not taken yet.
#[must_use]
pub fn fresh(parent: &Path, name: &str, unix_seconds: u64) -> PathBuf {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = name.chars().map(plain).collect();
    let parts: Vec<&str> = name.split('-').filter(|part| !part.is_empty()).collect();
    let first = parent.join(format!("{unix_seconds}-{}", parts.join("-")));
    let others = (2..).map(|number| {
        let mut path = first.clone().into_os_string();
        path.push(format!("-{number}"));
        PathBuf::from(path)
    });
    std::iter::once(first.clone())
        .chain(others)
        .find(|path| !path.exists())
        .expect("numbers do not end")
}

/// Results are never replaced.
#[must_use]
pub fn exists_already(folder: &Path) -> Failure {
    Failure::new(format!("{} exists already; name another folder with --out", folder.display()))
}

fn write_files(folder: &Path, artifacts: &Artifacts<'_>) -> io::Result<()> {
    let mut partial = folder.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let _ = fs::remove_dir_all(&partial);
    fs::create_dir_all(&partial)?;
    let json = |name: &str, value: &Value| {
        let text = serde_json::to_string_pretty(value).map_err(io::Error::other)?;
        fs::write(partial.join(name), text + "\n")
    };
    let report = artifacts.report;
    json("result.json", &serde_json::to_value(report).map_err(io::Error::other)?)?;
    json("manifest.json", artifacts.manifest)?;
    let collector = artifacts.collector;
    let of_omb = omb::result(report, &collector.groups, &collector.measured);
    json("omb-result.json", &of_omb)?;
    fs::write(partial.join("timeseries.csv"), timeseries::csv(&collector.seconds))?;
    fs::write(partial.join("used.csv"), used::csv(artifacts.used_seconds))?;
    let curves = serde_json::to_value(distributions(&collector.measured));
    json("distributions.json", &curves.map_err(io::Error::other)?)?;
    fs::write(partial.join("latencies.hlog"), artifacts.log.finish(artifacts.began))?;
    // Drawn from the files, as `report` would: nothing is in it that they do not have.
    let page = report::Source::read(&partial).map(|source| report::html(&[source]));
    fs::write(
        partial.join("report.html"),
        page.map_err(|error| io::Error::other(error.sentence))?,
    )?;
    fs::rename(&partial, folder)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::fresh;

    #[test]
    fn a_folder_is_named_after_time_and_workload_and_never_taken_twice() {
        let program = std::env::current_exe().unwrap();
        let parent = tempfile::tempdir_in(program.parent().unwrap()).unwrap();
        let first = fresh(parent.path(), "1 topic / 1Kb", 1_700_000_000);
        assert!(first.ends_with("1700000000-1-topic-1kb"));
        fs::create_dir(&first).unwrap();
        let second = fresh(parent.path(), "1 topic / 1Kb", 1_700_000_000);
        assert!(second.ends_with("1700000000-1-topic-1kb-2"));
    }
}
