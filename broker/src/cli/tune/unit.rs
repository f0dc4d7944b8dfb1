//! `corelane tune unit`: a systemd unit that fits the machine.

use std::path::{Path, PathBuf};

use broker::limits::STOP_SECONDS_MAX;
use clap::Args;
use tuning::{ByteCount, HostFacts, UNIT_PATH, UnitWishes, plan_shards, systemd_unit};

use super::super::failure::Failure;
use super::super::output::Output;
use super::machine::RootArgs;

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  corelane tune unit --data-dir /mnt/data
  corelane tune unit --data-dir /mnt/data --config /etc/corelane.toml | sudo tee /etc/systemd/system/corelane.service
\nIt is printed, not installed. With Type=notify `systemctl start` returns when clients can connect; the watchdog
restarts a node whose shards do not answer any more.")]
pub(crate) struct UnitArgs {
    /// The data directories of the node.
    #[arg(
        long = "data-dir",
        value_name = "DIR",
        env = "CORELANE_DATA_DIR",
        value_delimiter = ',',
        default_value = "/var/lib/corelane/data"
    )]
    data_dirs: Vec<PathBuf>,

    /// The program. [default: this one]
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,

    /// Whom it runs as.
    #[arg(long, value_name = "USER", default_value = "corelane")]
    user: String,

    /// As `serve --config`.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// As `serve --shards`.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    shards: Option<u16>,

    /// As `serve --memory`.
    #[arg(long, value_name = "SIZE")]
    memory: Option<ByteCount>,

    #[command(flatten)]
    root: RootArgs,
}

impl UnitArgs {
    pub(super) fn run(&self, output: &mut Output) -> Result<(), Failure> {
        let host = self.root.host()?;
        let facts = HostFacts::read(&host);
        let shards = self.shards.map(u32::from);
        let plan = plan_shards(&facts, shards, self.memory)
            .map_err(|error| Failure::failed(error.to_string()))?;
        let directories: Result<Vec<PathBuf>, Failure> =
            self.data_dirs.iter().map(|directory| absolute(directory)).collect();
        let wishes = UnitWishes {
            program: self.program()?,
            user: self.user()?,
            data_dirs: directories?,
            config: self.config.as_deref().map(absolute).transpose()?,
            shards,
            memory: self.memory,
            stop_seconds_max: STOP_SECONDS_MAX,
        };
        let unit = systemd_unit(&host, &facts, &plan, &wishes);
        if output.is_json() {
            return output.json(&serde_json::json!({ "path": UNIT_PATH, "content": unit }));
        }
        output.bytes(unit.as_bytes())
    }

    fn program(&self) -> Result<PathBuf, Failure> {
        match &self.program {
            Some(program) => absolute(program),
            None => std::env::current_exe().map_err(|error| {
                Failure::failed(format!(
                    "where this program is is not known ({error}); give --program"
                ))
            }),
        }
    }

    /// A name that systemd and useradd both take.
    fn user(&self) -> Result<String, Failure> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let begins_well = self.user.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
        match begins_well && self.user.chars().all(is_plain) {
            true => Ok(self.user.clone()),
            false => Err(Failure::usage(format!(
                "`{}` is no name of a user; give --user with small letters, digits, - and _",
                self.user
            ))),
        }
    }
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    let absolute = std::path::absolute(path)
        .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
    match absolute.to_str().is_some_and(|text| !text.contains(char::is_control)) {
        true => Ok(absolute),
        false => Err(Failure::usage(format!(
            "a unit cannot name {:?}; give a path of ordinary letters",
            path.display().to_string()
        ))),
    }
}
