//! The simulation: the node's storage under virtual time, virtual disks and power cuts, from one seed.
//!
//! Job: to find what tests with real disks cannot: every order of completions, every moment of a power
//! cut, every subset of what a disk may lose. May touch nothing real: no wall clock (but to say how long
//! a run took), no threads, no files, no sockets.
//!
//! | module | job |
//! |---|---|
//! | `batches` | record batches that can be told apart |
//! | `compacted` | what must be true of a log that is compacted by key |
//! | `disk` | the virtual disk: what a real one may do at a power cut, and no more |
//! | `engine_world` | one node of engines under virtual time, its clients, its checkers |
//! | `log` | what is known of one partition's log, and must therefore be true |
//! | `node_world` | one node of whole shards: the same, and virtual connections and mail besides |
//! | `options` | the command line |
//! | `plant` | rules to break on purpose, each of which must be found |
//! | `random` | the seeded generator that everything draws from |
//! | `report` | what a run came to, for people and for programs |
//! | `run` | worlds one after the other |
//! | `violation` | the checkers' names and what they find |

mod batches;
mod compacted;
mod disk;
mod engine_world;
mod log;
mod node_world;
mod options;
mod plant;
mod random;
mod report;
mod run;
#[cfg(test)]
mod tests;
mod violation;

use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use options::{Format, Options, Request, WorldKind, help};
use plant::Plant;
use report::{PlantResult, Report, print_plants};

/// A run that takes longer says every so many seconds how far it is.
const PROGRESS_SECONDS: u64 = 10;

fn main() -> ExitCode {
    let options = match Request::parse(std::env::args().skip(1)) {
        Ok(Request::Run(options)) => options,
        Ok(Request::Plants(options)) => return find_all(&options),
        Ok(Request::Help) => {
            print(&help());
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("simulation: {error}");
            return ExitCode::from(2);
        }
    };
    say_what_was_running();
    let begun = Instant::now();
    let mut told = 0;
    let report = run::run(&options, |report: &Report| {
        let seconds = begun.elapsed().as_secs();
        if seconds >= told + PROGRESS_SECONDS {
            told = seconds;
            eprintln!("{seconds:>6} s: {} of {} power cuts", report.tally.cuts, options.cuts);
        }
    });
    print(&report.print(&options, begun.elapsed().as_secs_f64()));
    if report.is_well(&options) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A broken assertion ends the process; the command that leads there again must not be lost with it. It is
/// no checker: a planted fault that ends so was not found.
fn say_what_was_running() {
    let print_panic = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let plant = run::running_plant().unwrap_or_default();
        if plant == Plant::Nothing {
            print_panic(panic);
        }
        if let Some(command) = run::running_command() {
            let what = panic.to_string().replace('\n', " ");
            print(&format!("FOUND by an assertion: {what}\nsee it again: {command}\n"));
        }
        if plant != Plant::Nothing {
            std::process::exit(1);
        }
    }));
}

/// Every planted fault in a process of its own, because an assertion may be what ends it.
fn find_all(options: &Options) -> ExitCode {
    let results: Vec<PlantResult> = Plant::ALL
        .iter()
        .map(|plant| {
            let worlds = plant.worlds().iter();
            let found = worlds.map(|world| (*world, find(*plant, *world, options))).collect();
            let result = PlantResult { plant: *plant, found };
            if options.format == Format::Text {
                eprint!("{}", result.lines());
            }
            result
        })
        .collect();
    print(&print_plants(&results, options.format));
    let all = results.iter().all(PlantResult::is_found);
    if all { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// How a run of such worlds found the fault; `None` if it did not.
fn find(plant: Plant, world: WorldKind, options: &Options) -> Option<String> {
    let program = std::env::current_exe().expect("the program knows its own path");
    let run = std::process::Command::new(program)
        .args(["--plant", plant.name(), "--seed", &options.seed.to_string()])
        .args(["--steps", &options.steps.to_string(), "--world", world.name()])
        .output()
        .expect("the program can be run");
    let text = String::from_utf8_lossy(&run.stdout).into_owned();
    let found = text.lines().find_map(|line| line.strip_prefix("FOUND "));
    found.filter(|_| run.status.success()).map(str::to_owned)
}

fn print(text: &str) {
    // Whoever closed the pipe does not want to know.
    let _ = std::io::stdout().write_all(text.as_bytes());
}
