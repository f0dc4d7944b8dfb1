//! The simulation: the node's storage under virtual time, virtual disks and power cuts, from one seed.
//!
//! Job: to find what tests with real disks cannot: every order of completions, every moment of a power
//! cut, every subset of what a disk may lose. May touch nothing real: no wall clock (but to say how long
//! a run took), no threads, no files, no sockets.
//!
//! | module | job |
//! |---|---|
//! | `disk` | the virtual disk: what a real one may do at a power cut, and no more |
//! | `engine_world` | one node of engines under virtual time, its clients, its checkers |
//! | `options` | the command line |
//! | `plant` | rules to break on purpose, each of which must be found |
//! | `random` | the seeded generator that everything draws from |
//! | `run` | worlds one after the other, and the report |
//! | `violation` | the checkers' names and what they find |

#[allow(dead_code, reason = "the disk offers more than the world of engines uses yet")]
mod disk;
#[allow(dead_code, reason = "checkers' views that only a failure prints")]
mod engine_world;
mod options;
mod plant;
mod random;
mod run;
#[cfg(test)]
mod tests;
mod violation;

use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use options::{Options, USAGE};
use plant::Plant;

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    say_what_was_running();
    let begun = Instant::now();
    if options.plant_all {
        return find_all(&options);
    }
    let report = match options.plant {
        Plant::Nothing => run::run(&options),
        _ => run::run_planted(&options),
    };
    let (text, is_well) = run::describe(&options, &report, begun);
    print(&text);
    // A planted fault is to be found.
    if is_well == (options.plant == Plant::Nothing) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A broken assertion ends the process; the command that leads there again must not be lost with it.
fn say_what_was_running() {
    let print_panic = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let plant = run::running_plant().unwrap_or_default();
        if plant == Plant::Nothing {
            print_panic(panic);
        }
        if let Some(command) = run::running_command() {
            print(&format!("FOUND by an assertion: {panic}\nsee it again: {command}\n"));
        }
        if plant != Plant::Nothing {
            std::process::exit(0);
        }
    }));
}

/// Every planted fault in a process of its own, because an assertion may be what finds it.
fn find_all(options: &Options) -> ExitCode {
    let mut missed = Vec::new();
    for plant in Plant::ALL {
        let program = std::env::current_exe().expect("the program knows its own path");
        let run = std::process::Command::new(program)
            .args(["--plant", plant.name(), "--seed", &options.seed.to_string()])
            .args(["--steps", &options.steps.to_string()])
            .output()
            .expect("the program can be run");
        let text = String::from_utf8_lossy(&run.stdout).into_owned();
        let found = text.lines().find(|line| line.starts_with("FOUND"));
        let line = found.filter(|_| run.status.success()).unwrap_or("NOT FOUND");
        print(&format!("{:<28}{line}\n", plant.name()));
        if !run.status.success() {
            missed.push(plant.name());
        }
    }
    if missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print(text: &str) {
    // Whoever closed the pipe does not want to know.
    let _ = std::io::stdout().write_all(text.as_bytes());
}
