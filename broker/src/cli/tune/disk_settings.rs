//! `[disk]` of the node's configuration, as `tune calibrate` writes it: everything else of the file stays as it is,
//! comments too.

use std::io::ErrorKind;
use std::path::Path;

use toml_edit::{DocumentMut, Item, Table, value};
use tuning::{ByteCount, CalibrationOrigin, DiskAdvice};

use super::super::failure::Failure;

const DISK: &str = "disk";
const CALIBRATED: &str = "calibrated";

/// What was measured where, for the file.
pub(super) struct Measured<'a> {
    pub(super) advice: DiskAdvice,
    pub(super) origin: &'a CalibrationOrigin,
    pub(super) is_flush_believable: bool,
    /// Median of a durable 4 KiB write, where there were enough.
    pub(super) durable_4k_nanoseconds: Option<u64>,
    pub(super) unix_seconds: u64,
}

/// Which disk the configuration was calibrated on, if it was.
pub(crate) fn calibrated_origin(config: &Path) -> Result<Option<CalibrationOrigin>, Failure> {
    let document = parse(config, &read(config)?)?;
    let calibrated = document.get(DISK).and_then(|disk| disk.get(CALIBRATED));
    let text = |key: &str| {
        let value = calibrated.and_then(|table| table.get(key)).and_then(Item::as_str);
        value.unwrap_or_default().to_owned()
    };
    Ok(calibrated.map(|_| CalibrationOrigin {
        device: text("device"),
        file_system: text("file-system"),
        kernel: text("kernel"),
    }))
}

/// The text of the file with these settings in it.
pub(super) fn with_settings(
    config: &Path,
    text: &str,
    measured: &Measured<'_>,
) -> Result<String, Failure> {
    let mut document = parse(config, text)?;
    let is_new = document.get(DISK).is_none();
    let disk = document.entry(DISK).or_insert_with(|| Item::Table(Table::new()));
    let Some(disk) = disk.as_table_mut() else {
        return Err(Failure::failed(format!(
            "disk in {} is no table; write [disk] on a line of its own",
            config.display()
        )));
    };
    if is_new {
        disk.decor_mut().set_prefix(match text.trim().is_empty() {
            true => "# Measured by `corelane tune calibrate`.\n",
            false => "\n# Measured by `corelane tune calibrate`.\n",
        });
    }
    let advice = measured.advice;
    let size = |bytes: usize| ByteCount(bytes as u64).to_string().replace(' ', "");
    let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    set(disk, "journal-groups-in-flight", value(count(advice.journal_groups_in_flight)));
    set(disk, "journal-group-eager", value(size(advice.journal_group_eager_bytes)));
    set(disk, "segment-write", value(size(advice.segment_write_bytes)));
    set(disk, "segment-writes-in-flight", value(count(advice.segment_writes_in_flight)));
    set(disk, "large-runs-in-flight", value(count(advice.large_runs_in_flight)));
    let mut calibrated = Table::new();
    let origin = measured.origin;
    set(&mut calibrated, "device", value(origin.device.as_str()));
    set(&mut calibrated, "file-system", value(origin.file_system.as_str()));
    set(&mut calibrated, "kernel", value(origin.kernel.as_str()));
    set(&mut calibrated, "flush-is-believable", value(measured.is_flush_believable));
    let number = |number: u64| value(i64::try_from(number).unwrap_or(i64::MAX));
    if let Some(nanoseconds) = measured.durable_4k_nanoseconds {
        set(&mut calibrated, "durable-4KiB-p50-nanoseconds", number(nanoseconds));
    }
    set(&mut calibrated, "measured-unix-seconds", number(measured.unix_seconds));
    disk.insert(CALIBRATED, Item::Table(calibrated));
    Ok(document.to_string())
}

/// A comment behind an older value stays there.
fn set(table: &mut Table, key: &str, mut item: Item) {
    let older = table.get(key).and_then(Item::as_value).map(|older| older.decor().clone());
    if let (Some(decor), Some(newer)) = (older, item.as_value_mut()) {
        *newer.decor_mut() = decor;
    }
    match table.get_mut(key) {
        Some(present) => *present = item,
        None => {
            table.insert(key, item);
        }
    }
}

/// Empty where there is no file yet.
pub(super) fn read_or_empty(config: &Path) -> Result<String, Failure> {
    match std::fs::read_to_string(config) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        read => read.map_err(|error| unreadable(config, &error)),
    }
}

fn read(config: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(config).map_err(|error| unreadable(config, &error))
}

fn unreadable(config: &Path, error: &std::io::Error) -> Failure {
    let config = config.display();
    Failure::failed(format!("{config} cannot be read: {error}; give --config another file"))
}

fn parse(config: &Path, text: &str) -> Result<DocumentMut, Failure> {
    text.parse().map_err(|error: toml_edit::TomlError| {
        Failure::failed(format!("{}: {}", config.display(), error.to_string().trim_end()))
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use broker::config::{Config, Settings};
    use tuning::{CalibrationOrigin, DiskAdvice};

    use super::super::super::tests::directory;
    use super::{Measured, calibrated_origin, with_settings};

    const ADVICE: DiskAdvice = DiskAdvice {
        journal_groups_in_flight: 4,
        journal_group_eager_bytes: 64 << 10,
        segment_write_bytes: 256 << 10,
        segment_writes_in_flight: 2,
        large_runs_in_flight: 3,
    };

    fn origin() -> CalibrationOrigin {
        CalibrationOrigin {
            device: "vda \"fast\" 100 GiB".to_owned(),
            file_system: "ext4".to_owned(),
            kernel: "6.12.1".to_owned(),
        }
    }

    fn written(text: &str) -> String {
        let origin = origin();
        let measured = Measured {
            advice: ADVICE,
            origin: &origin,
            is_flush_believable: true,
            durable_4k_nanoseconds: Some(95_000),
            unix_seconds: 1_800_000_000,
        };
        with_settings(Path::new("corelane.toml"), text, &measured).unwrap()
    }

    #[test]
    fn everything_else_of_the_file_stays_with_its_comments() {
        let text = "# ours\ndata-dir = \"/a\" # the fast one\n\n[disk]\n# first try\n\
                    segment-write = \"1MiB\" # why not\n\n[kafka]\nlog.retention.hours = 72 # three days\n";
        let after = written(text);
        for kept in [
            "# ours\ndata-dir = \"/a\" # the fast one\n",
            "# first try\nsegment-write = \"256KiB\" # why not\n",
            "[kafka]\nlog.retention.hours = 72 # three days\n",
        ] {
            assert!(after.contains(kept), "{kept} is not in\n{after}");
        }
        assert_eq!(written(&after), after, "a second time changes nothing");
    }

    #[test]
    fn a_node_takes_what_was_written_and_its_origin_is_found_again() {
        let folder = directory();
        let file = folder.path().join("corelane.toml");
        for text in ["", "shards = 2\n", "[kafka]\nlog.retention.ms = 5\n"] {
            std::fs::write(&file, written(text)).unwrap();
            let settings = Settings { config_file: Some(file.clone()), ..Settings::default() };
            let disk = Config::load(settings).unwrap().disk;
            assert_eq!(disk.journal_groups_in_flight, 4);
            assert_eq!(disk.journal_group_bytes_eager, 64 << 10);
            assert_eq!(disk.segment_write_bytes, 256 << 10);
            assert_eq!((disk.segment_writes_in_flight, disk.large_runs_in_flight), (2, 3));
            assert_eq!(calibrated_origin(&file).unwrap(), Some(origin()));
        }
        std::fs::write(&file, "[disk]\nsegment-write = \"1MiB\"\n").unwrap();
        assert_eq!(calibrated_origin(&file).unwrap(), None, "set by hand");
    }
}
