//! What is compared where nothing else is asked for: how fast, and how late, in about a quarter of an hour. And with
//! `--full`: every mode, in hours. Against a broker that keeps nothing: how much of the client's ceiling is reached.
//!
//! Contenders stand in a fixed order: ours with `fsync`, the other one, then (full) ours with `memory`, and the other
//! one with a sync of each batch, where it can do that.

use std::path::PathBuf;

use super::contender::Contender;
use super::plan::{CasePlan, RateChoice, Seat};
use crate::failure::Failure;
use crate::workload::{Source, Workload, shipped};

const OURS: usize = 0;
const THEIRS: usize = 1;
const OURS_IN_MEMORY: usize = 2;
const THEIRS_FLUSHED: usize = 3;

/// The case whose throughput gives others their rate: the first.
const SATURATION: usize = 0;

/// Of blocks and seconds.
pub const SHORT: Extent = Extent { blocks: 4, measured_seconds: 10.0 };
pub const FULL: Extent = Extent { blocks: 8, measured_seconds: 30.0 };
/// A just-in-time compiler is not done before.
pub const WARM_UP_SECONDS_MIN: f64 = 10.0;
/// The control's runs are short: what it says of the noise is too much rather than too little.
pub const CONTROL_SECONDS: f64 = 6.0;

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Extent {
    pub blocks: u32,
    pub measured_seconds: f64,
}

/// How long runs are.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    pub measured_seconds: f64,
    pub warm_up_seconds_min: f64,
}

/// A workload file that somebody named.
#[derive(Clone, Debug)]
pub struct NamedWorkload {
    pub name: String,
    pub text: String,
    pub directory: Option<PathBuf>,
    /// `KEY=VALUE`, in place of what the file says.
    pub settings: Vec<String>,
}

struct Recipe {
    id: &'static str,
    title: &'static str,
    workload: &'static str,
    settings: &'static [&'static str],
    rate: RateChoice,
    seats: &'static [usize],
    pairs: &'static [(usize, usize)],
}

/// As fast as it goes: the case of the short comparison, and of the full one.
const SATURATE: Recipe = Recipe {
    id: "saturate-1k",
    title: "1 KiB records as fast as librdkafka gets them acknowledged",
    workload: "saturate-1k",
    settings: &[],
    rate: RateChoice::AsWritten,
    seats: &[OURS, THEIRS, OURS_IN_MEMORY, THEIRS_FLUSHED],
    pairs: &[
        (OURS, THEIRS),
        (OURS_IN_MEMORY, THEIRS),
        (OURS, THEIRS_FLUSHED),
        (OURS, OURS_IN_MEMORY),
    ],
};

/// What everybody can take: the latencies of both comparisons.
const HALF_OF_SLOWEST: Recipe = Recipe {
    id: "telemetry-1k-half",
    title: "1 KiB records at half of the slowest one's saturation, read as they come",
    workload: "telemetry-1k",
    settings: &[],
    rate: RateChoice::HalfOfSlowest { case: SATURATION },
    seats: &[OURS, THEIRS, OURS_IN_MEMORY],
    pairs: &[(OURS, THEIRS), (OURS_IN_MEMORY, THEIRS)],
};

const SHORT_RECIPES: [Recipe; 2] = [SATURATE, HALF_OF_SLOWEST];

/// In the order of what is asked first: results are kept after each case, and hours may be cut short.
const FULL_RECIPES: [Recipe; 6] = [
    SATURATE,
    Recipe {
        id: "one-record-batches",
        title: "one 1 KiB record a batch on 16 partitions, as fast as it goes",
        workload: "one-record-batches",
        settings: &["producerRate=0"],
        rate: RateChoice::AsWritten,
        seats: &[OURS, THEIRS, OURS_IN_MEMORY, THEIRS_FLUSHED],
        pairs: &[(OURS, THEIRS_FLUSHED), (OURS, THEIRS), (OURS_IN_MEMORY, THEIRS)],
    },
    Recipe {
        id: "catch-up",
        title: "two readers that begin at the beginning while others write and read",
        workload: "catch-up",
        settings: &[],
        rate: RateChoice::AsWritten,
        seats: &[OURS, THEIRS],
        pairs: &[(OURS, THEIRS)],
    },
    Recipe {
        id: "telemetry-1k-half-of-own",
        title: "1 KiB records at half of each one's own saturation, read as they come",
        workload: "telemetry-1k",
        settings: &[],
        rate: RateChoice::HalfOfOwn { case: SATURATION },
        seats: &[OURS, THEIRS],
        pairs: &[(OURS, THEIRS)],
    },
    HALF_OF_SLOWEST,
    Recipe {
        id: "fan-out-4",
        title: "1 KiB records read four times from the tail",
        workload: "fan-out-4",
        settings: &[],
        rate: RateChoice::AsWritten,
        seats: &[OURS, THEIRS],
        pairs: &[(OURS, THEIRS)],
    },
];

/// At saturation without readers, which a broker that keeps nothing could not serve.
const fn ceiling(id: &'static str, title: &'static str) -> Recipe {
    Recipe {
        id,
        title,
        workload: id,
        settings: &[],
        rate: RateChoice::AsWritten,
        seats: &[OURS, THEIRS, OURS_IN_MEMORY],
        pairs: &[(OURS, THEIRS), (OURS_IN_MEMORY, THEIRS)],
    }
}

const CEILING_RECIPES: [Recipe; 6] = [
    ceiling("saturate-1k", "1 KiB records as fast as librdkafka gets them acknowledged"),
    ceiling("saturate-100b", "100 B records as fast as librdkafka gets them acknowledged"),
    ceiling(
        "saturate-raw",
        "batches of 1 MB, encoded beforehand, as fast as the broker takes them",
    ),
    ceiling("partitions-1", "batches of 16 KiB to 1 partition"),
    ceiling("partitions-1000", "batches of 16 KiB to 1,000 partitions in turn"),
    ceiling("partitions-5000", "batches of 16 KiB to 5,000 partitions in turn"),
];

/// The cases of a quarter of an hour.
pub fn short(contenders: &[Contender], timing: Timing) -> Result<Vec<CasePlan>, Failure> {
    plans(&SHORT_RECIPES, contenders, timing)
}

/// Every mode.
pub fn full(contenders: &[Contender], timing: Timing) -> Result<Vec<CasePlan>, Failure> {
    plans(&FULL_RECIPES, contenders, timing)
}

/// What a broker that keeps nothing can take part in.
pub fn ceilings(contenders: &[Contender], timing: Timing) -> Result<Vec<CasePlan>, Failure> {
    plans(&CEILING_RECIPES, contenders, timing)
}

fn plans(
    recipes: &[Recipe],
    contenders: &[Contender],
    timing: Timing,
) -> Result<Vec<CasePlan>, Failure> {
    recipes.iter().map(|recipe| recipe.plan(contenders, timing)).collect()
}

/// One that the user chose, at the rate that it says; everybody against the second.
pub fn named(workload: &NamedWorkload, contenders: &[Contender]) -> Result<CasePlan, Failure> {
    let source = Source {
        text: &workload.text,
        directory: workload.directory.clone(),
        settings: &workload.settings,
    };
    let parsed = Workload::parse(&source)
        .map_err(|error| Failure::new(format!("workload {}: {error}", workload.name)))?;
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    Ok(CasePlan {
        id: workload.name.chars().map(plain).collect(),
        title: parsed.name.clone(),
        workload: parsed,
        rate: RateChoice::AsWritten,
        seats: seats(0..contenders.len(), contenders),
        pairs: (0..contenders.len()).filter(|at| *at != THEIRS).map(|at| (at, THEIRS)).collect(),
    })
}

/// What every workload of a comparison gets, beside its own keys.
#[must_use]
pub fn settings(timing: Timing) -> Vec<String> {
    vec![
        format!("corelane.durationSeconds={}", timing.measured_seconds),
        format!("corelane.warmUpSecondsMin={}", timing.warm_up_seconds_min),
    ]
}

impl Recipe {
    /// Whoever is not among the contenders is left out.
    fn plan(&self, contenders: &[Contender], timing: Timing) -> Result<CasePlan, Failure> {
        let text = shipped::find(self.workload).expect("a recipe names a shipped workload");
        let mut settings = settings(timing);
        settings.extend(self.settings.iter().map(|setting| (*setting).to_owned()));
        let source = Source { text, directory: None, settings: &settings };
        let workload = Workload::parse(&source)
            .map_err(|error| Failure::new(format!("workload {}: {error}", self.workload)))?;
        let present: Vec<usize> =
            self.seats.iter().copied().filter(|seat| *seat < contenders.len()).collect();
        let seat_of = |contender: usize| present.iter().position(|seat| *seat == contender);
        let pairs = self.pairs.iter();
        Ok(CasePlan {
            id: self.id.to_owned(),
            title: self.title.to_owned(),
            workload,
            rate: self.rate,
            seats: seats(present.iter().copied(), contenders),
            pairs: pairs.filter_map(|(a, b)| seat_of(*a).zip(seat_of(*b))).collect(),
        })
    }
}

fn seats(present: impl Iterator<Item = usize>, contenders: &[Contender]) -> Vec<Seat> {
    present
        .map(|contender| Seat { contender, id: contenders[contender].subject.id.clone() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Timing, ceilings, full, short};
    use crate::compare::contender::Contender;

    const TIMING: Timing = Timing { measured_seconds: 5.0, warm_up_seconds_min: 2.0 };

    #[test]
    fn every_recipe_is_a_workload_and_pairs_those_who_take_part() {
        let all: Vec<Contender> =
            ["a:1", "b:1", "c:1", "d:1"].map(Contender::address).into_iter().collect();
        for (cases, contenders) in [
            (short(&all[..2], TIMING).unwrap(), 2),
            (full(&all, TIMING).unwrap(), 4),
            (full(&all[..3], TIMING).unwrap(), 3),
            (ceilings(&all[..2], TIMING).unwrap(), 2),
        ] {
            for case in cases {
                assert!(!case.pairs.is_empty(), "{}", case.id);
                assert!(case.seats.iter().all(|seat| seat.contender < contenders));
                assert!(case.pairs.iter().all(|(a, b)| a.max(b) < &case.seats.len() && a != b));
                assert_eq!(case.workload.duration_seconds, 5.0, "{}", case.id);
                assert_eq!(case.workload.own.warm_up_seconds_min, 2.0);
            }
        }
    }
}
