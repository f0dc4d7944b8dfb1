//! The command line.

use crate::plant::Plant;

/// What a run is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) world: WorldKind,
    /// Worlds are made until so many power cuts have happened.
    pub(crate) cuts: u64,
    /// Of the first world; the next one has the next number.
    pub(crate) seed: u64,
    /// Actions of clients in a life of a node, about.
    pub(crate) steps: u64,
    /// Each phase must have been interrupted so often.
    pub(crate) phase_minimum: u64,
    /// Print what happens.
    pub(crate) trace: bool,
    pub(crate) plant: Plant,
    pub(crate) format: Format,
}

/// What worlds are made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum WorldKind {
    /// A node's engines alone.
    #[default]
    Engine,
    /// Whole shards, with mail and connections.
    Node,
    /// Whole shards, and consumer groups with their members.
    Groups,
}

impl WorldKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Engine => "engine",
            Self::Node => "node",
            Self::Groups => "groups",
        }
    }
}

/// How the report is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    #[default]
    Text,
    Json,
}

/// What a command line asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Run(Options),
    /// Every planted fault in turn.
    Plants(Options),
    Help,
}

pub(crate) const HELP: &str = "\
simulation [options]

Runs the node's storage under virtual time and virtual disks, from a seed: clients append, read, delete, move and
create; disks reorder, tear, fill up and fail; the power goes at any moment. After every start everything that was
acknowledged must be there, once, in order, and nothing else. The same seed gives the same run.

  --world KIND        engine: a node's engines alone, with full, failing and damaged disks; node: whole shards, with
                      mail between them and clients that speak Kafka's protocol; groups: these, and members of
                      consumer groups that join, commit, pause, crash and come back (engine)
  --cuts N            make worlds until N power cuts have happened (200)
  --seed S            seed of the first world (1); the next world has the next number
  --steps K           actions of clients in a life of a node, about (120)
  --phase-minimum N   fail unless cuts interrupted each phase N times (0)
  --plant FAULT       break a rule on purpose; succeeds when the run finds it
  --plants            every planted fault in turn, in each kind of world that can show it; fails if
                      one is not found
  --format text|json  how the report is printed (text)
  --trace             print everything that happens, to stderr
  --help              this text

Examples
  simulation --cuts 10000 --phase-minimum 50     the long run, some minutes
  simulation --cuts 1 --seed 4711 --trace        one world again, as a report told it
  simulation --plants                            what the checkers are worth

Status: 0 nothing was found (or the planted fault was), 1 something was found (or it was not), 2 wrong options.
Planted faults:";

impl Default for Options {
    fn default() -> Self {
        Self {
            world: WorldKind::Engine,
            cuts: 200,
            seed: 1,
            steps: 120,
            phase_minimum: 0,
            trace: false,
            plant: Plant::Nothing,
            format: Format::Text,
        }
    }
}

/// The text of `--help`.
pub(crate) fn help() -> String {
    let faults = Plant::ALL.iter().map(|plant| format!("\n  {}", plant.name()));
    faults.fold(HELP.to_owned(), |text, fault| text + &fault) + "\n"
}

impl Request {
    /// The error says what is wrong.
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Options::default();
        let mut plants = false;
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--help" | "-h" => return Ok(Self::Help),
                "--trace" => options.trace = true,
                "--plants" => plants = true,
                name => {
                    let value = arguments.next();
                    set(&mut options, name, value.as_deref())?;
                }
            }
        }
        Ok(if plants { Self::Plants(options) } else { Self::Run(options) })
    }
}

fn set(options: &mut Options, name: &str, value: Option<&str>) -> Result<(), String> {
    let given = || value.ok_or_else(|| format!("{name} needs a value"));
    let number = || {
        let value = given()?;
        value.parse().map_err(|_| format!("{name} wants a number, and {value} is none"))
    };
    match name {
        "--cuts" => options.cuts = number()?,
        "--seed" => options.seed = number()?,
        "--steps" => options.steps = number()?,
        "--phase-minimum" => options.phase_minimum = number()?,
        "--plant" => {
            let value = given()?;
            options.plant = Plant::by_name(value)
                .ok_or_else(|| format!("no fault {value} can be planted; --help lists them"))?;
        }
        "--world" => {
            options.world = match given()? {
                "engine" => WorldKind::Engine,
                "node" => WorldKind::Node,
                "groups" => WorldKind::Groups,
                other => return Err(format!("--world is engine, node or groups, not {other}")),
            };
        }
        "--format" => {
            options.format = match given()? {
                "text" => Format::Text,
                "json" => Format::Json,
                other => return Err(format!("--format is text or json, not {other}")),
            };
        }
        _ => return Err(format!("there is no option {name}; --help lists them")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Format, Options, Request, WorldKind, help};
    use crate::plant::Plant;

    fn parse(line: &str) -> Result<Request, String> {
        Request::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn a_command_line_says_what_to_run() {
        let line = "--cuts 7 --seed 3 --trace --plant no-fragments --format json --phase-minimum 50 \
                    --world node";
        let expected = Options {
            world: WorldKind::Node,
            cuts: 7,
            seed: 3,
            trace: true,
            plant: Plant::NoFragments,
            format: Format::Json,
            phase_minimum: 50,
            ..Options::default()
        };
        assert_eq!(parse(line), Ok(Request::Run(expected)));
        assert_eq!(parse(""), Ok(Request::Run(Options::default())));
        assert_eq!(parse("--plants"), Ok(Request::Plants(Options::default())));
        assert_eq!(parse("--cuts 3 --help"), Ok(Request::Help));
        for wrong in
            ["--cuts", "--cuts x", "--what 1", "--plant nonsense", "--format xml", "--world x"]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn help_names_every_fault() {
        assert!(Plant::ALL.iter().all(|plant| help().contains(plant.name())));
    }
}
