//! `corelane bench`: starts `corelane-bench`, a program of its own, so that the server links no C client.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;

use super::failure::Failure;
use super::output::Format;

const PROGRAM: &str = "corelane-bench";

/// Everything is the other program's to understand, `--help` too.
#[derive(Args, Debug)]
#[command(disable_help_flag = true)]
pub(crate) struct BenchArgs {
    /// See `corelane bench --help`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    arguments: Vec<OsString>,
}

impl BenchArgs {
    /// Becomes the other program; comes back only when there is none.
    pub(crate) fn run(&self, format: Format) -> Result<(), Failure> {
        let own = std::env::current_exe().ok();
        let mut command = Command::new(program(own.as_deref()));
        if format == Format::Json {
            command.args(["--format", "json"]);
        }
        let error = command.args(&self.arguments).exec();
        Err(match error.kind() {
            ErrorKind::NotFound => Failure::failed(
                "corelane-bench is neither beside this program nor in PATH; build it with \
                 `cargo build --release -p bench-harness`",
            ),
            _ => Failure::failed(format!(
                "corelane-bench cannot be started: {error}; build it again with `cargo build \
                 --release -p bench-harness`"
            )),
        })
    }
}

/// Beside this program, else wherever PATH says.
fn program(own: Option<&Path>) -> PathBuf {
    let beside = own.map(|own| own.with_file_name(PROGRAM)).filter(|path| path.is_file());
    beside.unwrap_or_else(|| PathBuf::from(PROGRAM))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::tests::directory;
    use super::{PROGRAM, program};

    #[test]
    fn the_program_beside_this_one_comes_before_those_in_path() {
        let folder = directory();
        let own = folder.path().join("corelane");
        assert_eq!(program(Some(&own)), Path::new(PROGRAM));
        let beside = folder.path().join(PROGRAM);
        std::fs::write(&beside, "").unwrap();
        assert_eq!(program(Some(&own)), beside);
        assert_eq!(program(None), Path::new(PROGRAM));
    }
}
