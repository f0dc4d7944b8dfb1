//! The command line of `corelane-bench`.
//!
//! * `run_command`: `run`
//! * `report_command`: `report`
//! * `workloads_command`: `workloads list|show|keys`
//! * `progress`: lines while a run goes
//!
//! What a command found goes to standard output, what happens meanwhile to standard error.

mod progress;
mod report_command;
mod run_command;
mod workloads_command;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use crate::failure::{Exit, Failure};
use crate::figures;

#[derive(Debug, Parser)]
#[command(
    name = "corelane-bench",
    bin_name = "corelane bench",
    version,
    about = "Measures anything that speaks Kafka's protocol: open loop, verified data, numbers with their samples.",
    max_term_width = 100,
    after_help = "First steps, with a broker on 127.0.0.1:9092:
  corelane bench run smoke                        ten seconds: does it work, does it verify?
  corelane bench run telemetry-1k --duration 30   latencies at 50,000 records of 1 KiB a second
  corelane bench run saturate-raw                 how much the broker takes
  corelane bench run my-workload.yaml             a file of the OpenMessaging benchmark, as it is
  corelane bench workloads list                   what else there is

Exit codes:
  0  measured and verified, within the objective where there is one
  1  the command makes no sense or failed: nothing was measured
  2  measured and verified, and the objective (slo) was missed
  3  records were lost, doubled, reordered or altered: there is no result
  4  the machine disturbed the run: its numbers say nothing about the broker"
)]
struct CommandLine {
    /// Print for people, or one JSON value for programs.
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    format: Format,

    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a workload and says what was measured.
    #[command(after_help = run_command::EXAMPLES)]
    Run(Box<run_command::RunArgs>),
    /// Draws results: one HTML page that needs nothing but itself.
    #[command(after_help = report_command::EXAMPLES)]
    Report(report_command::ReportArgs),
    /// Lists and shows the workloads inside this program, and explains our keys.
    #[command(subcommand)]
    Workloads(workloads_command::WorkloadsCommand),
}

/// The whole program.
#[must_use]
pub fn main() -> ExitCode {
    let line = match CommandLine::try_parse() {
        Ok(line) => line,
        Err(error) => {
            let is_failure = error.use_stderr();
            let _ = error.print();
            return code(if is_failure { Exit::Failed } else { Exit::Done });
        }
    };
    let result = match &line.command {
        Command::Run(args) => args.run(line.format),
        Command::Report(args) => args.run(line.format),
        Command::Workloads(command) => command.run(line.format),
    };
    match result {
        Ok(exit) => code(exit),
        Err(failure) => {
            tell(line.format, &failure);
            code(failure.exit)
        }
    }
}

fn code(exit: Exit) -> ExitCode {
    ExitCode::from(exit.code())
}

fn tell(format: Format, failure: &Failure) {
    let _ = match format {
        Format::Text => writeln!(io::stderr(), "corelane bench: {failure}"),
        Format::Json => {
            let error = serde_json::json!({
                "error": { "message": failure.sentence, "exit_code": failure.exit.code() }
            });
            writeln!(io::stderr(), "{error}")
        }
    };
}

/// Writes to standard output. Whoever stopped reading has had enough of it.
fn print(text: &str) -> Result<(), Failure> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("the output cannot be written: {error}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::CommandLine;

    #[test]
    fn the_description_of_the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn documented_lines_are_understood_and_senseless_ones_are_not() {
        let parse = |line: &str| CommandLine::try_parse_from(line.split_whitespace());
        for line in [
            "corelane-bench run smoke",
            "corelane-bench run saturate-1k --client raw --duration 10 --warm-up 3",
            "corelane-bench run a.yaml -b host:9092 --rate 1000 --set acks=1 --set messageSize=100",
            "corelane-bench --format json run smoke --out results/a --label ours --keep-topics",
            "corelane-bench report results/a results/b --out all.html",
            "corelane-bench workloads list",
            "corelane-bench workloads show smoke",
            "corelane-bench workloads keys --format json",
        ] {
            parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
        for line in ["corelane-bench", "corelane-bench run", "corelane-bench run a --duration soon"]
        {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
