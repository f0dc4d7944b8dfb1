//! The command line of `corelane-bench`.
//!
//! * `run_command`: `run`
//! * `search_command`: `ramp` and `slo`
//! * `diff_command`: `diff`
//! * `report_command`: `report`
//! * `limits_command`, `null_broker_command`: what the machine and the client can do at most
//! * `compare_command`: `compare`; `compare_progress` and `compare_table` show it
//! * `workloads_command`: `workloads list|show|keys`
//! * `load_args`: what every command that runs a workload is told
//! * `progress`: what is shown while a run goes: lines, or in a terminal the view of `live`
//!
//! What a command found goes to standard output, what happens meanwhile to standard error.

mod compare_command;
mod compare_progress;
mod compare_table;
mod diff_command;
mod limits_command;
mod live;
mod load_args;
mod null_broker_command;
mod progress;
mod report_command;
mod run_command;
mod search_command;
mod workloads_command;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use crate::brokers::{keeper, null};
use crate::failure::{Exit, Failure};
use crate::figures;
use crate::interruption;
use progress::Watching;

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
  corelane bench ramp telemetry-1k                rate after rate: where is the knee?
  corelane bench slo telemetry-1k --latency response:p99:5ms   the highest rate that holds it
  corelane bench compare --against kafka          side by side with Apache Kafka, in 15 to 20 minutes
  corelane bench workloads list                   what else there is
  corelane bench limits --dir /mnt/data           what this machine can do at most

Exit codes:
  0  measured and verified, within the objective where there is one
  1  the command makes no sense or failed: nothing was measured
  2  measured and verified, and the objective (slo) was missed
  3  records were lost, doubled, reordered or altered: there is no result
  4  not valid: the machine disturbed the run, or client or broker did not keep up with its rate
  130  interrupted: topics of the run are removed; Ctrl-C once more ends at once"
)]
struct CommandLine {
    /// Print for people, or one JSON value for programs.
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    format: Format,

    /// Lines instead of a live view, in a terminal too.
    #[arg(long, global = true)]
    plain: bool,

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
    /// Runs a workload at one rate after another: where is the knee?
    #[command(after_help = search_command::RAMP_EXAMPLES)]
    Ramp(Box<search_command::RampArgs>),
    /// Searches for the highest rate that holds a latency objective.
    #[command(after_help = search_command::SLO_EXAMPLES)]
    Slo(Box<search_command::SloArgs>),
    /// Compares two results: whether they may be compared, and each measure with its ratio.
    #[command(after_help = diff_command::EXAMPLES)]
    Diff(diff_command::DiffArgs),
    /// Draws results: one HTML page that needs nothing but itself.
    #[command(after_help = report_command::EXAMPLES)]
    Report(report_command::ReportArgs),
    /// Measures what this machine and the clients can do at most; half a minute.
    #[command(after_help = limits_command::EXAMPLES)]
    Limits(limits_command::LimitsArgs),
    /// Listens as a broker that keeps nothing: the ceiling of every client.
    #[command(name = null::COMMAND, after_help = null_broker_command::EXAMPLES)]
    NullBroker(null_broker_command::NullBrokerArgs),
    /// Compares corelane with Apache Kafka or any other broker: interleaved runs, ratios with intervals.
    #[command(after_help = compare_command::EXAMPLES)]
    Compare(Box<compare_command::CompareArgs>),
    /// Lists and shows the workloads inside this program, and explains our keys.
    #[command(subcommand)]
    Workloads(workloads_command::WorkloadsCommand),
    /// Keeps a broker until standard input ends: what `compare` starts.
    #[command(hide = true, name = keeper::COMMAND)]
    KeepBroker {
        folder: PathBuf,
        #[arg(last = true)]
        command: Vec<String>,
    },
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
    let watching = if line.plain { Watching::Plain } else { Watching::Live };
    let has_runs = matches!(
        line.command,
        Command::Run(_) | Command::Ramp(_) | Command::Slo(_) | Command::Compare(_)
    );
    if has_runs {
        // Without it a signal ends the program, and the run's topics stay.
        let _ = interruption::listen();
    }
    let result = match &line.command {
        Command::Run(args) => args.run(line.format, watching),
        Command::Ramp(args) => args.run(line.format, watching),
        Command::Slo(args) => args.run(line.format, watching),
        Command::Diff(args) => args.run(line.format),
        Command::Report(args) => args.run(line.format),
        Command::Limits(args) => args.run(line.format),
        Command::NullBroker(args) => args.run(),
        Command::Compare(args) => args.run(line.format, watching),
        Command::Workloads(command) => command.run(line.format),
        Command::KeepBroker { folder, command } => keeper::keep(folder, command),
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
            "corelane-bench ramp smoke --from 1000 --to 8000 --factor 2 --plain",
            "corelane-bench slo smoke --latency response:p99:5ms --runs 8 --out none",
            "corelane-bench diff results/a results/b --format json",
            "corelane-bench report results/a results/b --out all.html",
            "corelane-bench limits --dir /mnt/data --thorough --only disk,clients --out limits.json",
            "corelane-bench null-broker --listen 127.0.0.1:0",
            "corelane-bench compare --against kafka",
            "corelane-bench compare --against h:9092 --workload smoke --workload a.yaml --blocks 2",
            "corelane-bench compare --against kafka --full --out results/a --kafka-heap 2G",
            "corelane-bench workloads list",
            "corelane-bench workloads show smoke",
            "corelane-bench workloads keys --format json",
        ] {
            parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
        for line in [
            "corelane-bench",
            "corelane-bench run",
            "corelane-bench run a --duration soon",
            "corelane-bench slo a",
            "corelane-bench slo a --latency fast",
            "corelane-bench ramp a --steps 4 --factor 2",
            "corelane-bench ramp a --factor 1",
            "corelane-bench compare",
            "corelane-bench compare --against kafka --blocks 0",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
