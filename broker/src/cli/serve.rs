//! `corelane serve`: starts a node, and says what listens where and how to try it.

use std::path::{Path, PathBuf};

use broker::config::{Config, LogFormat, Settings};
use broker::node::{self, Started};
use clap::builder::BoolishValueParser;
use clap::{Args, ValueEnum};
use engine::config::Durability;
use tuning::ByteCount;

use super::failure::Failure;
use super::output::{Colour, Output};

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  corelane                                              data in ./corelane-data, clients on 127.0.0.1:9092
  corelane --data-dir /mnt/a --data-dir /mnt/b --memory 16GiB
  corelane --listen 0.0.0.0:9092 --advertise broker1.example.com:9092
\nEvery flag can stand in a file (--config) or in the environment (CORELANE_DATA_DIR, CORELANE_LISTEN, …): flags
come before the environment, the environment before the file. [disk] of the file says how journals and segments are
written: journal-groups-in-flight (1 to 8), journal-group-eager (16KiB to 512KiB), segment-write (64KiB to 1MiB),
segment-writes-in-flight and large-runs-in-flight (1 to 8); `corelane tune calibrate` measures the disk and writes them. SIGTERM and Ctrl-C end the node in good order, however often
SIGTERM comes; a second Ctrl-C ends it at once. After that, SIGKILL or a power cut, everything that was acknowledged is there.")]
pub(crate) struct ServeArgs {
    /// A TOML file with the settings below and with Kafka's broker properties.
    #[arg(long, value_name = "FILE", env = "CORELANE_CONFIG")]
    config: Option<PathBuf>,

    /// Where data live; give several for several disks. [default: ./corelane-data]
    #[arg(long = "data-dir", value_name = "DIR", env = "CORELANE_DATA_DIR", value_delimiter = ',')]
    data_dirs: Vec<PathBuf>,

    /// Where clients connect; may be given several times. [default: 127.0.0.1:9092 and [::1]:9092]
    #[arg(long, value_name = "HOST:PORT", env = "CORELANE_LISTEN", value_delimiter = ',')]
    listen: Vec<String>,

    /// What clients are told to connect to, one for each --listen.
    #[arg(long, value_name = "HOST:PORT", env = "CORELANE_ADVERTISE", value_delimiter = ',')]
    advertise: Vec<String>,

    /// Health, metrics and partition placement over HTTP. [default: 127.0.0.1:9644]
    #[arg(long, value_name = "HOST:PORT", env = "CORELANE_ADMIN")]
    admin: Option<String>,

    /// Data shards, one a core. [default: all cores]
    #[arg(long, value_name = "N", env = "CORELANE_SHARDS", value_parser = clap::value_parser!(u16).range(1..))]
    shards: Option<u16>,

    /// Memory of the whole node. [default: half of what there is, at most 4 GiB a shard]
    #[arg(long, value_name = "SIZE", env = "CORELANE_MEMORY")]
    memory: Option<ByteCount>,

    /// This node's id, when its data directory is new. [default: 1]
    #[arg(long, value_name = "ID", env = "CORELANE_NODE_ID", value_parser = clap::value_parser!(i32).range(0..))]
    node_id: Option<i32>,

    /// When an append counts: on stable storage, or in memory (a power cut may take acknowledged
    /// records). Topics can say otherwise. [default: fsync]
    #[arg(long, value_enum, env = "CORELANE_DURABILITY")]
    durability: Option<DurabilityArg>,

    /// Touch and pin all memory at the start and register it with the kernel: the first gigabytes cost no
    /// more CPU than later ones, and direct I/O a little less; the start takes seconds. Needs as much
    /// lockable memory (`ulimit -l unlimited`).
    #[arg(
        long,
        value_name = "BOOL",
        env = "CORELANE_PIN_MEMORY",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new()
    )]
    pin_memory: Option<bool>,

    /// Start although a data directory of before is not given or not mounted: its partitions are offline,
    /// and what only its journal held of the others is lost; those whose segments hold more than the other
    /// journals know are read-only until `corelane verify --accept-loss`. Only on the command line.
    #[arg(long)]
    give_up_missing_data_dir: bool,

    /// How the log is written. [default: text]
    #[arg(long, value_enum, env = "CORELANE_LOG_FORMAT")]
    log_format: Option<LogFormatArg>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum DurabilityArg {
    Fsync,
    Memory,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormatArg {
    Text,
    Json,
}

impl ServeArgs {
    pub(crate) fn run(&self, output: &mut Output) -> Result<(), Failure> {
        let config = Config::load(self.settings(output))
            .map_err(|error| Failure::usage(error.to_string()))?;
        let json = output.is_json();
        let started = |started: &Started| {
            // A node without anybody who reads its first lines is a node nevertheless.
            let _ = if json { announce(started, output) } else { welcome(started, output) };
            let _ = output.flush();
        };
        node::run(config, started).map_err(|error| Failure::failed(error.to_string()))
    }

    fn settings(&self, output: &Output) -> Settings {
        let log_format = self.log_format.map(|format| match format {
            LogFormatArg::Text => LogFormat::Text,
            LogFormatArg::Json => LogFormat::Json,
        });
        Settings {
            config_file: self.config.clone(),
            data_dirs: self.data_dirs.clone(),
            listen: self.listen.clone(),
            advertise: self.advertise.clone(),
            admin: self.admin.clone(),
            shards: self.shards,
            memory: self.memory,
            node_id: self.node_id,
            durability: self.durability.map(|durability| match durability {
                DurabilityArg::Fsync => Durability::Fsync,
                DurabilityArg::Memory => Durability::Memory,
            }),
            pin_memory: self.pin_memory,
            give_up_missing: self.give_up_missing_data_dir,
            log_format: log_format.or(output.is_json().then_some(LogFormat::Json)),
        }
    }
}

/// What listens where, and commands to paste.
fn welcome(started: &Started, output: &mut Output) -> Result<(), Failure> {
    let joined = |texts: Vec<String>| texts.join(", ");
    let listen = joined(started.listen.iter().map(ToString::to_string).collect());
    let dirs = joined(started.data_dirs.iter().map(|dir| dir.display().to_string()).collect());
    let advertised = started.advertised.first().cloned().unwrap_or_default();
    let shards = match started.shards {
        1 => "1 shard".to_owned(),
        shards => format!("{shards} shards"),
    };
    let ready = output.coloured(Colour::Green, "ready");
    output.line(format_args!("corelane {} is {ready}", env!("CARGO_PKG_VERSION")))?;
    output.line(format_args!(
        "  clients   {listen} (advertised as {})",
        joined(started.advertised.clone())
    ))?;
    if let Some(admin) = started.admin {
        output.line(format_args!("  admin     http://{admin}  (/livez /readyz /metrics)"))?;
    }
    output.line(format_args!("  data      {dirs}, {shards}"))?;
    // The address need not be said where the commands look there anyway.
    let at = match advertised.as_str() {
        "127.0.0.1:9092" | "" => String::new(),
        address => format!(" -b {address}"),
    };
    let program = program();
    output.line("try it, in another terminal:")?;
    output.line(format_args!("  {program} topic create orders{at}"))?;
    output.line(format_args!("  echo hello | {program} produce --topic orders{at}"))?;
    output.line(format_args!("  {program} consume --topic orders{at}"))?;
    output.line("stop it with Ctrl-C")
}

/// This program as it was called, so that the commands can be pasted: `cargo run` calls it by a path.
fn program() -> String {
    let called = std::env::args().next().unwrap_or_else(|| "corelane".to_owned());
    let here = std::env::current_dir().ok();
    let below = here.as_deref().and_then(|here| Path::new(&called).strip_prefix(here).ok());
    below.map_or_else(|| called.clone(), |below| below.display().to_string())
}

/// The same for programs.
fn announce(started: &Started, output: &mut Output) -> Result<(), Failure> {
    output.json_line(&serde_json::json!({
        "event": "ready",
        "listen": started.listen.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "advertised": started.advertised,
        "admin": started.admin.map(|admin| admin.to_string()),
        "data_dirs": started.data_dirs,
        "shards": started.shards,
    }))
}
