//! `[disk]` of the node's configuration, as `tune calibrate` writes it: everything else of the file stays as it is,
//! comments too.

use std::io::ErrorKind;
use std::path::Path;

use toml_edit::{DocumentMut, Item, Table, value};
use tuning::{ByteCount, CalibrationRecord, DiskAdvice};

use super::super::failure::Failure;

const DISK: &str = "disk";
const CALIBRATED: &str = "calibrated";

/// The text of the file with these settings in it. What is not known of the disk stays as it stands there.
pub(super) fn with_settings(
    config: &Path,
    text: &str,
    advice: DiskAdvice,
    record: &CalibrationRecord,
) -> Result<String, Failure> {
    let mut document = parse(config, text)?;
    let is_new = document.get(DISK).is_none();
    // What stands at the end would go behind the new table, as if it were about that.
    let end = if is_new { take_end(&mut document) } else { String::new() };
    let disk = document.entry(DISK).or_insert_with(|| Item::Table(Table::new()));
    let Some(disk) = disk.as_table_mut() else {
        return Err(Failure::failed(format!(
            "disk in {} is no table; write [disk] on a line of its own",
            config.display()
        )));
    };
    if is_new {
        let blank = if text.trim().is_empty() { "" } else { "\n" };
        disk.decor_mut()
            .set_prefix(format!("{end}{blank}# Measured by `corelane tune calibrate`.\n"));
    }
    let size = |bytes: usize| ByteCount(bytes as u64).to_string().replace(' ', "");
    let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    set(disk, "journal-groups-in-flight", value(count(advice.journal_groups_in_flight)));
    if let Some(bytes) = advice.journal_group_eager_bytes {
        set(disk, "journal-group-eager", value(size(bytes)));
    }
    set(disk, "segment-write", value(size(advice.segment_write_bytes)));
    set(disk, "segment-writes-in-flight", value(count(advice.segment_writes_in_flight)));
    set(disk, "large-runs-in-flight", value(count(advice.large_runs_in_flight)));
    disk.insert(CALIBRATED, Item::Table(calibrated(record)));
    Ok(document.to_string())
}

/// Comments and blank lines behind the last key.
fn take_end(document: &mut DocumentMut) -> String {
    let mut end = document.trailing().as_str().unwrap_or_default().to_owned();
    document.set_trailing("");
    if !end.is_empty() && !end.ends_with('\n') {
        end.push('\n');
    }
    end
}

/// What `ConfigOutline` reads again.
fn calibrated(record: &CalibrationRecord) -> Table {
    let mut table = Table::new();
    let origin = &record.origin;
    set(&mut table, "device", value(origin.device.as_str()));
    set(&mut table, "file-system", value(origin.file_system.as_str()));
    set(&mut table, "kernel", value(origin.kernel.as_str()));
    if let Some(is_believable) = record.is_flush_believable {
        set(&mut table, "flush-is-believable", value(is_believable));
    }
    for (key, number) in [
        ("durable-4KiB-p50-nanoseconds", record.durable_4k_nanoseconds),
        ("plain-4KiB-p50-nanoseconds", record.plain_4k_nanoseconds),
        ("measured-unix-seconds", record.unix_seconds),
    ] {
        let Some(number) = number else { continue };
        set(&mut table, key, value(i64::try_from(number).unwrap_or(i64::MAX)));
    }
    table
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
        read => read.map_err(|error| {
            let config = config.display();
            Failure::failed(format!("{config} cannot be read: {error}; give --config another file"))
        }),
    }
}

fn parse(config: &Path, text: &str) -> Result<DocumentMut, Failure> {
    text.parse().map_err(|error: toml_edit::TomlError| {
        Failure::failed(format!("{}: {}", config.display(), error.to_string().trim_end()))
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use broker::config::{Config, ConfigOutline, Settings};
    use engine::config::DiskConfig;
    use tuning::{CalibrationOrigin, CalibrationRecord, DiskAdvice};

    use super::super::super::tests::directory;
    use super::with_settings;

    const ADVICE: DiskAdvice = DiskAdvice {
        journal_groups_in_flight: 4,
        journal_group_eager_bytes: Some(64 << 10),
        segment_write_bytes: 256 << 10,
        segment_writes_in_flight: 2,
        large_runs_in_flight: 3,
    };

    fn record() -> CalibrationRecord {
        CalibrationRecord {
            origin: CalibrationOrigin {
                device: "vda \"fast\" 100 GiB".to_owned(),
                file_system: "ext4".to_owned(),
                kernel: "6.12.1".to_owned(),
            },
            is_flush_believable: Some(true),
            durable_4k_nanoseconds: Some(95_000),
            plain_4k_nanoseconds: None,
            unix_seconds: Some(1_800_000_000),
        }
    }

    fn written(text: &str) -> String {
        with_settings(Path::new("corelane.toml"), text, ADVICE, &record()).unwrap()
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

    /// It went below the new table.
    #[test]
    fn a_comment_at_the_end_stays_where_it_is() {
        for text in ["# ours\n", "shards = 2\n# ours\n", "[kafka]\n# log.retention.ms = 5"] {
            let after = written(text);
            assert!(after.starts_with(text), "{after}");
            assert_eq!(written(&after), after, "a second time changes nothing");
        }
    }

    #[test]
    fn a_node_takes_what_was_written_and_the_record_is_found_again() {
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
            assert_eq!(ConfigOutline::read(&file).unwrap().calibrated, Some(record()));
        }
        std::fs::write(&file, "[disk]\nsegment-write = \"1MiB\"\n").unwrap();
        assert_eq!(ConfigOutline::read(&file).unwrap().calibrated, None, "set by hand");
    }

    /// The least that the node takes was written, which a slow disk is the last to want.
    #[test]
    fn what_was_not_found_out_stays_as_it_is() {
        let unknown = DiskAdvice { journal_group_eager_bytes: None, ..ADVICE };
        for (text, expected) in [
            ("", DiskConfig::default().journal_group_bytes_eager),
            ("[disk]\njournal-group-eager = \"32KiB\"\n", 32 << 10),
        ] {
            let folder = directory();
            let file = folder.path().join("corelane.toml");
            let after = with_settings(&file, text, unknown, &record()).unwrap();
            std::fs::write(&file, after).unwrap();
            let settings = Settings { config_file: Some(file), ..Settings::default() };
            assert_eq!(Config::load(settings).unwrap().disk.journal_group_bytes_eager, expected);
        }
    }
}
