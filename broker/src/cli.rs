//! The command line: `corelane [serve]`, and the tools around a node.
//!
//! | module | job |
//! |---|---|
//! | `serve` | starts a node and says how to try it |
//! | `topic`, `partition` | what there is, and changing it |
//! | `produce`, `consume` | records in, records out |
//! | `group` | teams of consumers: where they are, how far behind, and moving them |
//! | `inspect`, `verify` | the files of a data directory |
//! | `doctor` | the machine and the node: what should be mended |
//! | `tune` | everything about the machine that makes a node slower, and changing it with a way back |
//! | `bench` | starts `corelane-bench` |
//! | `client` | a blocking Kafka client |
//! | `admin_http` | the admin address of a node |
//! | `node_disks` | the arguments of commands that look at a node's disks |
//! | `records`, `times` | records and times as people read them |
//! | `stored_files`, `segment_walk`, `stored_indexes`, `journal_walk` | files of a data directory, read |
//! | `output`, `progress`, `confirm`, `failure` | what is printed, asked, and how a command ends |
//! | `limits` | every bound, with its arithmetic |

mod admin_http;
mod bench;
mod client;
mod confirm;
mod consume;
mod doctor;
mod failure;
mod group;
mod inspect;
mod journal_walk;
mod limits;
mod node_disks;
mod output;
mod partition;
mod produce;
mod progress;
mod records;
mod segment_walk;
mod serve;
mod stored_files;
mod stored_indexes;
mod times;
mod topic;
mod topic_argument;
mod tune;
mod verify;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use failure::Failure;
use output::{Format, Output};

#[derive(Debug, Parser)]
#[command(
    name = "corelane",
    version,
    about = "An event-streaming broker that speaks Kafka's protocol; what it acknowledges is on stable storage.",
    max_term_width = 100,
    override_usage = "corelane [serve] [OPTIONS]\n       corelane <COMMAND> [OPTIONS]",
    after_help = "Without a command, `corelane` starts a node (`corelane serve`).

First steps:
  corelane                                        start a node: data in ./corelane-data
  corelane topic create orders                    in another terminal
  echo 'hello' | corelane produce --topic orders
  corelane consume --topic orders

Each command explains itself: corelane help COMMAND"
)]
struct CommandLine {
    /// Print for people, or for programs: one JSON value, or one a line.
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    format: Format,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts a node (the default).
    Serve(Box<serve::ServeArgs>),
    /// Creates, lists, describes, configures and deletes topics.
    #[command(subcommand, after_help = topic::EXAMPLES)]
    Topic(topic::TopicCommand),
    /// Shows and changes which core and disk each partition lives on.
    #[command(subcommand, after_help = partition::EXAMPLES)]
    Partition(partition::PartitionCommand),
    /// Writes records to a topic.
    Produce(Box<produce::ProduceArgs>),
    /// Reads records of a topic.
    Consume(Box<consume::ConsumeArgs>),
    /// Lists, describes, moves and deletes consumer groups, and says how far behind they are.
    #[command(subcommand, after_help = group::EXAMPLES)]
    Group(group::GroupCommand),
    /// Shows what is in a data directory or one of its files.
    Inspect(inspect::InspectArgs),
    /// Checks every file of a stopped node's data directories.
    Verify(verify::VerifyArgs),
    /// Checks the machine, the data directory and the node.
    Doctor(doctor::DoctorArgs),
    /// Fits the machine to the node: looks, explains, changes settings with a journal, puts them back.
    #[command(subcommand, after_help = tune::EXAMPLES)]
    Tune(tune::TuneCommand),
    /// Measures this or any broker that speaks Kafka's protocol; `corelane bench --help` tells more.
    Bench(bench::BenchArgs),
}

/// The whole program.
pub(crate) fn main() -> ExitCode {
    let arguments = with_default_command(std::env::args_os().collect());
    let line = match CommandLine::try_parse_from(&arguments) {
        Ok(line) => line,
        Err(error) if error.use_stderr() && asks_for_json(&arguments) => {
            let failure = misunderstood(&error);
            return match is_tune(&arguments) {
                true => failure.or_with_code(tune::ERROR).report(Format::Json),
                false => failure.report(Format::Json),
            };
        }
        // There 2 says that something keeps a node from starting.
        Err(error) if error.use_stderr() && is_tune(&arguments) => {
            let _ = error.print();
            return ExitCode::from(tune::ERROR);
        }
        // Prints what is wrong, or the help that was asked for, and ends the process with 2 or 0.
        Err(error) => error.exit(),
    };
    match run(&line) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(line.format),
    }
}

/// A line that is not understood may be one of `tune`, whose exit codes are its own.
fn is_tune(arguments: &[OsString]) -> bool {
    arguments.get(command_at(arguments)).is_some_and(|command| command == "tune")
}

/// A line that is not understood may ask for JSON nevertheless.
fn asks_for_json(arguments: &[OsString]) -> bool {
    arguments.windows(2).any(|two| two[0] == "--format" && two[1] == "json")
        || arguments.iter().any(|argument| argument == "--format=json")
}

/// What the parser of the line says, which is several lines for people, as one sentence.
fn misunderstood(error: &clap::Error) -> Failure {
    let text = error.to_string();
    let said = text.split("\n\nUsage:").next().unwrap_or_default();
    let said = said.split("\n\nFor more information").next().unwrap_or_default();
    let said = said.strip_prefix("error: ").unwrap_or(said);
    let words: Vec<&str> = said.split_whitespace().collect();
    Failure::usage(format!("{}; see `corelane --help`", words.join(" ")))
}

fn run(line: &CommandLine) -> Result<(), Failure> {
    let mut output = Output::new(line.format);
    let result = match &line.command {
        Command::Serve(args) => args.run(&mut output),
        Command::Topic(command) => command.run(&mut output),
        Command::Partition(command) => command.run(&mut output),
        Command::Produce(args) => args.run(&mut output),
        Command::Consume(args) => args.run(&mut output),
        Command::Group(command) => command.run(&mut output),
        Command::Inspect(args) => args.run(&mut output),
        Command::Verify(args) => args.run(&mut output),
        Command::Doctor(args) => args.run(&mut output),
        Command::Tune(command) => command.run(&mut output),
        Command::Bench(args) => args.run(line.format),
    };
    // What was printed before a failure belongs before its sentence.
    output.flush().and(result)
}

/// Where the command stands, or would stand.
fn command_at(arguments: &[OsString]) -> usize {
    let mut at = 1;
    while let Some(argument) = arguments.get(at).and_then(|argument| argument.to_str()) {
        match argument {
            "--format" => at += 2,
            _ if argument.starts_with("--format=") => at += 1,
            _ => break,
        }
    }
    at
}

/// `corelane` and `corelane --shards 2` mean `corelane serve …`.
fn with_default_command(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let at = command_at(&arguments);
    let next = arguments.get(at).map(|argument| argument.to_string_lossy().into_owned());
    let is_serve = match next.as_deref() {
        None => true,
        Some("-h" | "--help" | "-V" | "--version") => false,
        Some(argument) => argument.starts_with('-'),
    };
    if is_serve {
        arguments.insert(at.min(arguments.len()), OsString::from("serve"));
    }
    arguments
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use clap::{CommandFactory, Parser};

    use super::{Command, CommandLine, Format, with_default_command};

    /// Below target/, on a disk like that of real data; gone when dropped.
    pub(super) fn directory() -> tempfile::TempDir {
        let program = std::env::current_exe().expect("tests are a program below target/");
        tempfile::tempdir_in(program.parent().expect("it is in a directory")).unwrap()
    }

    fn arguments(line: &str) -> Vec<OsString> {
        with_default_command(line.split_whitespace().map(OsString::from).collect())
    }

    fn parsed(line: &str) -> Result<CommandLine, clap::Error> {
        CommandLine::try_parse_from(arguments(line))
    }

    #[test]
    fn the_description_of_the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn a_node_is_started_where_no_command_is_given() {
        for line in [
            "corelane",
            "corelane --shards 2 --data-dir /tmp/a --data-dir /tmp/b",
            "corelane --format json --shards 2",
            "corelane serve --listen 0.0.0.0:9092 --advertise host:9092",
            "corelane --format=json",
        ] {
            assert!(matches!(parsed(line).unwrap().command, Command::Serve(_)), "{line}");
        }
    }

    #[test]
    fn every_documented_line_is_understood() {
        for line in [
            "corelane topic create orders --partitions 12 --config retention.ms=86400000 --if-not-exists",
            "corelane --format json topic list",
            "corelane topic list --format json -b host:1",
            "corelane topic describe",
            "corelane topic config orders --set retention.ms=1 --delete segment.ms",
            "corelane topic delete orders --yes",
            "corelane partition list orders",
            "corelane partition move orders 3 --shard 1",
            "corelane produce --topic t --key k --value v --header a=b --acks 0 --compression lz4",
            "corelane produce --topic t --key-separator : --timestamp -1h",
            "corelane consume --topic t --from -1h --count 3 --follow --output key-value",
            "corelane consume --topic t --partition 1 --partition 2 --from time:2026-01-01T00:00:00Z",
            "corelane consume --topic t --group g --max 3 --follow",
            "corelane group list --state stable --type consumer --lag",
            "corelane group describe g --members",
            "corelane group lag",
            "corelane group lag g h --watch",
            "corelane group seek g --to-earliest --topic t --topic u:0,1 --execute",
            "corelane group seek g --shift -5",
            "corelane group seek g --by-duration 15m",
            "corelane group seek g --to-time 2026-01-01T00:00:00Z",
            "corelane group delete g h --yes",
            "corelane group delete-offsets g --topic t",
            "corelane inspect corelane-data",
            "corelane verify corelane-data --accept-loss --yes",
            "corelane doctor --data-dir x",
            "corelane bench run smoke --duration 3 --format json",
            "corelane --format json bench --help",
            "corelane bench",
            "corelane tune check --profile bench --data-dir a,b --all --strict --format json",
            "corelane tune plan disk network.somaxconn --persist --allow-risky --root copy",
            "corelane tune apply --state-dir x --dry-run",
            "corelane tune rollback --to 1 --force",
            "corelane tune status --strict",
            "corelane tune explain disk.scheduler:vda",
            "corelane tune list",
            "corelane tune shards --shards 2 --memory 4GiB",
            "corelane tune unit --data-dir /a --user kafka --program /b --config /c --shards 2",
        ] {
            parsed(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
        assert_eq!(parsed("corelane --format json topic list").unwrap().format, Format::Json);
    }

    #[test]
    fn senseless_lines_are_refused_with_exit_code_2() {
        for line in [
            "corelane frobnicate",
            "corelane --no-such-flag",
            "corelane topic create",
            "corelane topic create a --partitions 0",
            "corelane produce --topic t --acks 2",
            "corelane consume --topic t --from yesterday",
            "corelane consume --topic t --group g --partition 1",
            "corelane group list --state asleep",
            "corelane group seek g",
            "corelane group seek g --to-earliest --to-latest",
            "corelane group seek g --to-time yesterday",
            "corelane group seek g --to-offset -1",
            "corelane group delete",
            "corelane group delete-offsets g",
            "corelane serve --memory lots",
            "corelane partition move t -1 --shard 0",
            "corelane tune",
            "corelane tune check --profile fast",
            "corelane tune rollback --force --keep",
        ] {
            assert_eq!(parsed(line).unwrap_err().exit_code(), 2, "{line}");
        }
    }
}
