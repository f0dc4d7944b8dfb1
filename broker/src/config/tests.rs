//! What is accepted, what is refused and with which words.

use std::path::Path;

use engine::config::{DiskConfig, Durability};

use super::{AddressError, Config, ConfigError, ConfigOutline, Settings, file};

fn merged(settings: Settings, text: &str) -> Result<Config, ConfigError> {
    let file = file::parse(Path::new("corelane.toml"), text).map_err(ConfigError::File)?;
    Config::merge(settings, file)
}

fn listening(listen: &[&str], advertise: &[&str]) -> Result<Config, ConfigError> {
    let texts = |given: &[&str]| given.iter().map(|text| (*text).to_owned()).collect();
    merged(
        Settings { listen: texts(listen), advertise: texts(advertise), ..Settings::default() },
        "",
    )
}

#[test]
fn without_settings_a_node_listens_on_loopback_of_both_families() {
    let config = listening(&[], &[]).unwrap();
    let addresses: Vec<String> =
        config.listen.iter().map(|listen| listen.address.to_string()).collect();
    assert_eq!(addresses, ["127.0.0.1:9092", "[::1]:9092"]);
    assert!(config.listen.iter().all(|one| one.advertised.to_string() == "127.0.0.1:9092"));
    assert_eq!(config.data_dirs, [Path::new("./corelane-data")]);
    assert_eq!(config.admin.unwrap().to_string(), "127.0.0.1:9644");
    assert!(config.warnings.is_empty());
}

#[test]
fn a_wildcard_needs_an_address_to_tell_clients() {
    let error = listening(&["0.0.0.0:9092"], &[]).unwrap_err();
    let given = "0.0.0.0:9092".to_owned();
    assert!(error.to_string().contains("--advertise broker1.example.com:9092"));
    let wildcard = ConfigError::Address(AddressError::WildcardWithoutAdvertise { given });
    assert_eq!(error, wildcard);
    let config = listening(&["0.0.0.0:9092"], &["broker1:9093"]).unwrap();
    assert_eq!(config.listen[0].advertised.to_string(), "broker1:9093");
    assert_eq!(config.warnings.len(), 1);
    assert!(listening(&["0.0.0.0:9092"], &["0.0.0.0:9092"]).is_err());
    assert!(listening(&["127.0.0.1:9092"], &["a:1", "b:2"]).is_err());
    assert!(listening(&["nonsense"], &[]).is_err());
}

#[test]
fn settings_come_before_the_file_and_the_file_before_defaults() {
    let text = "data-dir = \"/a\"\nshards = 3\nmemory = \"1GiB\"\ndurability = \"memory\"\n\
                [kafka]\nlog.retention.hours = 72\nauto.create.topics.enable = false\n";
    let config = merged(Settings { shards: Some(2), ..Settings::default() }, text).unwrap();
    assert_eq!((config.shards, config.data_dirs.len()), (Some(2), 1));
    assert_eq!(config.durability, Durability::Memory);
    assert_eq!(config.memory.unwrap().to_string(), "1 GiB");
}

#[test]
fn truths_of_the_file_are_overruled_by_settings() {
    for (file, given, expected) in [
        ("", None, false),
        ("pin-memory = true", None, true),
        ("pin_memory = true", Some(false), false),
        ("pin-memory = false", Some(true), true),
    ] {
        let settings = Settings { pin_memory: given, ..Settings::default() };
        assert_eq!(merged(settings, file).unwrap().pin_memory, expected, "{file:?}, {given:?}");
    }
}

#[test]
fn unknown_keys_are_refused_by_name() {
    for (text, named) in [
        ("datadir = \"/a\"", "datadir"),
        ("[kafka]\nlog.retention.moons = 1", "log.retention.moons"),
        ("[kafka]\nnum.partitions = \"many\"", "num.partitions"),
        ("durability = \"maybe\"", "maybe"),
        ("memory = \"much\"", "much"),
        ("pin-memory = \"very\"", "pin-memory"),
    ] {
        let error = merged(Settings::default(), text).unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
    }
}

/// It stood in the file, and no start said it.
#[test]
fn a_start_says_that_nobody_knows_whether_flushes_are_obeyed() {
    for (believable, durability, is_said) in [
        ("flush-is-believable = false", "fsync", true),
        ("flush-is-believable = true", "fsync", false),
        ("", "fsync", false),
        // Nothing is flushed before it is acknowledged.
        ("flush-is-believable = false", "memory", false),
    ] {
        let text = format!("durability = \"{durability}\"\n[disk.calibrated]\n{believable}\n");
        let warnings = merged(Settings::default(), &text).unwrap().warnings;
        let is_there = warnings.iter().any(|warning| warning.contains("is unverified"));
        assert_eq!(is_there, is_said, "{believable} {durability}: {warnings:?}");
    }
}

#[test]
fn an_outline_is_what_the_file_says_of_the_nodes_place() {
    let path = Path::new("corelane.toml");
    let text = "data-dir = \"/a\"\nshards = 3\nmemory = \"1GiB\"\n[disk.calibrated]\n\
                device = \"vda\"\nmeasured-unix-seconds = 5\nkernel = 7\nof-a-later-version = true\n";
    let outline = ConfigOutline::parse(path, text).unwrap();
    assert_eq!((outline.shards, outline.memory.unwrap().get()), (Some(3), 1 << 30));
    let record = outline.calibrated.clone().unwrap();
    assert_eq!((record.origin.device.as_str(), record.origin.kernel.as_str()), ("vda", ""));
    assert_eq!((record.unix_seconds, record.is_flush_believable), (Some(5), None));
    assert_eq!(outline.data_dirs(&[]), [Path::new("/a")]);
    assert_eq!(outline.data_dirs(&["/b".into()]), [Path::new("/b")]);
    assert_eq!(ConfigOutline::default().data_dirs(&[]), [Path::new("./corelane-data")]);
    assert!(ConfigOutline::parse(path, "shards = \"many\"").is_err());
}

/// They were accepted, without effect, and shown to clients as if they had one.
#[test]
fn properties_that_the_node_has_keys_for_are_refused_with_the_key() {
    for (line, instead) in [
        ("node.id = 5", "--node-id"),
        ("broker.id = 5", "node-id ="),
        ("listeners = \"PLAINTEXT://:9092\"", "--listen"),
        ("advertised.listeners = \"PLAINTEXT://a:9092\"", "--advertise"),
        ("log.dirs = \"/mnt/a\"", "--data-dir"),
        ("log.dir = \"/mnt/a\"", "--data-dir"),
    ] {
        let text = format!("[kafka]\n{line}");
        let error = merged(Settings::default(), &text).unwrap_err().to_string();
        let name = line.split(' ').next().unwrap();
        assert!(error.contains(name) && error.contains(instead), "{error}");
    }
}

#[test]
fn how_the_disk_is_written_is_set_within_bounds_and_what_was_measured_is_let_be() {
    let text = "[disk]\njournal-groups-in-flight = 2\njournal-group-eager = \"64KiB\"\n\
                segment-write = \"256KiB\"\n[disk.calibrated]\ndevice = \"vda\"\n";
    let disk = merged(Settings::default(), text).unwrap().disk;
    let wanted = DiskConfig {
        journal_groups_in_flight: 2,
        journal_group_bytes_eager: 64 << 10,
        segment_write_bytes: 256 << 10,
        ..DiskConfig::default()
    };
    assert_eq!(disk, wanted);
    assert_eq!(merged(Settings::default(), "").unwrap().disk, DiskConfig::default());
    for line in [
        "journal-groups-in-flight = 0",
        "segment-writes-in-flight = 9",
        "large-runs-in-flight = 9",
        "journal-group-eager = \"8KiB\"",
        "journal-group-eager = \"100000\"",
        "segment-write = \"2MiB\"",
        "segment-write = \"soon\"",
    ] {
        let error = merged(Settings::default(), &format!("[disk]\n{line}")).unwrap_err();
        let key = line.split(' ').next().unwrap();
        assert!(error.to_string().contains(&format!("disk.{key} = ")), "{error}");
    }
    assert!(merged(Settings::default(), "[disk]\nunknown = 1").is_err());
}
