//! `corelane tune unit`: a systemd unit that fits the machine.

use std::path::{Path, PathBuf};

use broker::config::ConfigOutline;
use broker::limits::STOP_SECONDS_MAX;
use clap::Args;
use tuning::{
    ByteCount, DataDirsSaid, HostFacts, UNIT_PATH, UnitWishes, plan_shards, systemd_unit,
};

use super::super::failure::Failure;
use super::super::output::Output;
use super::machine::RootArgs;

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  corelane tune unit --data-dir /mnt/data
  corelane tune unit --data-dir /mnt/data --config /etc/corelane.toml | sudo tee /etc/systemd/system/corelane.service
\nIt is printed, not installed. With Type=notify `systemctl start` returns when clients can connect; the watchdog
restarts a node whose shards do not answer any more. What --config says of data directories, shards and memory counts as
it does for `serve`: flags given here come before it. Cores, memory and limits are those that the unit will have, not
those of this shell.")]
pub(crate) struct UnitArgs {
    /// The data directories of the node. [default: those of --config, else /var/lib/corelane/data]
    #[arg(long = "data-dir", value_name = "DIR", env = "CORELANE_DATA_DIR", value_delimiter = ',')]
    data_dirs: Vec<PathBuf>,

    /// The program. [default: this one]
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,

    /// Whom it runs as.
    #[arg(long, value_name = "USER", default_value = "corelane")]
    user: String,

    /// As `serve --config`; it is read.
    #[arg(long, value_name = "FILE", env = "CORELANE_CONFIG")]
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

/// Where a unit's data are if nobody says it: that of `serve` depends on where it is started.
const DATA_DIR: &str = "/var/lib/corelane/data";

impl UnitArgs {
    pub(super) fn run(&self, output: &mut Output) -> Result<(), Failure> {
        let host = self.root.host()?;
        let facts = HostFacts::read_for_unit(&host);
        let outline = ConfigOutline::of_named(self.config.as_deref());
        let outline = outline.map_err(|error| Failure::failed(error.to_string()))?;
        let shards = self.shards.or(outline.shards).map(u32::from);
        let plan = plan_shards(&facts, shards, self.memory.or(outline.memory))
            .map_err(|error| Failure::failed(error.to_string()))?;
        let (data_dirs, data_dirs_said) = self.data_dirs(&outline)?;
        let wishes = UnitWishes {
            program: self.program()?,
            user: self.user()?,
            data_dirs,
            data_dirs_said,
            config: self.config.as_deref().map(absolute).transpose()?,
            shards: self.shards.map(u32::from),
            memory: self.memory,
            stop_seconds_max: STOP_SECONDS_MAX,
        };
        let unit = systemd_unit(&host, &facts, &plan, &wishes);
        if output.is_json() {
            return output.json(&serde_json::json!({ "path": UNIT_PATH, "content": unit }));
        }
        output.bytes(unit.as_bytes())
    }

    /// As the node will have them, and who tells it. A flag comes before the file, so one that nobody gave would start
    /// the node on another disk than the file says.
    fn data_dirs(&self, outline: &ConfigOutline) -> Result<(Vec<PathBuf>, DataDirsSaid), Failure> {
        if self.data_dirs.is_empty() && !outline.data_dirs.is_empty() {
            if let Some(relative) = outline.data_dirs.iter().find(|path| !path.is_absolute()) {
                return Err(Failure::failed(format!(
                    "data-dir {} of the configuration is relative, and a unit starts in /; write it there from / on, \
                     or give --data-dir",
                    relative.display()
                )));
            }
            return Ok((all_absolute(&outline.data_dirs)?, DataDirsSaid::InTheFile));
        }
        let given = match self.data_dirs.is_empty() {
            true => all_absolute(&[PathBuf::from(DATA_DIR)])?,
            false => all_absolute(&self.data_dirs)?,
        };
        Ok((given, DataDirsSaid::ByFlags))
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

fn all_absolute(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    paths.iter().map(|path| absolute(path)).collect()
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
