//! The command line.

use crate::plant::Plant;

/// What a run is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// Worlds are made until so many power cuts have happened.
    pub(crate) cuts: u64,
    /// Of the first world; the next one has the next number.
    pub(crate) seed: u64,
    /// Actions of clients in a life of a node, about.
    pub(crate) steps: u64,
    /// Print what happens.
    pub(crate) trace: bool,
    pub(crate) plant: Plant,
    /// Every planted fault in turn.
    pub(crate) plant_all: bool,
}

pub(crate) const USAGE: &str = "\
simulation [--cuts N] [--seed S] [--steps K] [--trace] [--plant FAULT|all]

Runs the storage engine under virtual time and virtual disks, cuts its power, and checks what is left.

  --cuts N      make worlds until N power cuts have happened (200)
  --seed S      seed of the first world (1); `--cuts 1 --seed S` repeats one world
  --steps K     actions of clients in a life of a node, about (120)
  --trace       print everything that happens
  --plant FAULT break a rule on purpose; the run must then find a loss. `all`: every one in turn";

impl Default for Options {
    fn default() -> Self {
        Self {
            cuts: 200,
            seed: 1,
            steps: 120,
            trace: false,
            plant: Plant::Nothing,
            plant_all: false,
        }
    }
}

impl Options {
    /// The error says what is wrong.
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::default();
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            if argument == "--trace" {
                options.trace = true;
                continue;
            }
            let value =
                arguments.next().ok_or(format!("{argument} is unknown or lacks a value"))?;
            let number = || value.parse().map_err(|_| format!("{argument} {value} is no number"));
            match argument.as_str() {
                "--cuts" => options.cuts = number()?,
                "--seed" => options.seed = number()?,
                "--steps" => options.steps = number()?,
                "--plant" if value == "all" => options.plant_all = true,
                "--plant" => {
                    let known: Vec<_> = Plant::ALL.iter().map(|plant| plant.name()).collect();
                    options.plant = Plant::by_name(&value)
                        .ok_or(format!("no fault {value}; there are {}", known.join(", ")))?;
                }
                _ => return Err(format!("{argument} is unknown")),
            }
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::Options;
    use crate::plant::Plant;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn a_command_line_says_what_to_run() {
        let options = parse("--cuts 7 --seed 3 --trace --plant no-fragments").unwrap();
        assert_eq!((options.cuts, options.seed, options.trace), (7, 3, true));
        assert_eq!(options.plant, Plant::NoFragments);
        assert_eq!(parse("").unwrap(), Options::default());
        assert!(parse("--plant all").unwrap().plant_all);
        for wrong in ["--cuts", "--cuts x", "--what 1", "--plant nonsense"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
