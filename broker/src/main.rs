//! The `corelane` binary: the command line, of which starting a node is one command.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
