//! `corelane-bench`: the command line of the bench harness.

use std::process::ExitCode;

fn main() -> ExitCode {
    bench_harness::cli::main()
}
