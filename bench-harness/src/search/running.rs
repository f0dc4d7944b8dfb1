//! The runs of a search, one after another, and its files.

use std::fs;
use std::path::{Path, PathBuf};

use super::ramp::{RampPlan, knee};
use super::rate_search::{Next, Outcome, Purpose, RateSearch, SloPlan};
use super::step::{Step, Trial};
use super::{SearchReport, rounded};
use crate::failure::{Exit, Failure};
use crate::report;
use crate::results::folder::exists_already;
use crate::run::{Event, RunRequest, run};
use crate::workload::{Rate, Slo};

/// A ramp ends when so many rates in a row did not hold: what is above them will not either.
const MISSES_IN_A_ROW_MAX: usize = 2;

/// A search over a workload.
pub struct Search<'a> {
    /// Its rate is replaced in each run, its folder is that of the search.
    pub request: RunRequest,
    pub observe: &'a mut dyn FnMut(&SearchEvent<'_>),
}

/// What happens in a search, for whoever shows it.
pub enum SearchEvent<'a> {
    /// A run begins: the how many-th, of how many at the most.
    Begins {
        number: usize,
        runs_max: usize,
        rate: f64,
        purpose: Purpose,
    },
    /// In that run.
    Run(&'a Event<'a>),
    Step(&'a Step),
}

impl Search<'_> {
    /// Runs the rates upwards.
    pub fn ramp(&mut self, plan: &RampPlan) -> Result<SearchReport, Failure> {
        self.refuse_existing()?;
        let rates = plan.rates();
        let mut steps: Vec<Step> = Vec::new();
        for rate in &rates {
            let step = match self.step(*rate, Purpose::Ramp, steps.len() + 1, rates.len()) {
                Ok(step) => step,
                // Beyond a rate that held, a client that cannot go on is an answer.
                Err(failure) if failure.exit == Exit::Failed && highest_held(&steps).is_some() => {
                    Step::failed(*rate, Purpose::Ramp, &failure)
                }
                Err(failure) => {
                    return Err(self.stopped(
                        ("ramp", None),
                        steps,
                        (*rate, Purpose::Ramp),
                        failure,
                    ));
                }
            };
            (self.observe)(&SearchEvent::Step(&step));
            steps.push(step);
            let missed = steps.iter().rev().take_while(|step| step.verdict == Trial::Misses);
            if missed.count() >= MISSES_IN_A_ROW_MAX {
                break;
            }
        }
        let highest = highest_held(&steps);
        let knee = knee(&steps).map(|step| step.offered_records_per_second);
        let sentence = match (highest, knee) {
            (None, _) => "no rate of the ramp held; begin lower with --from".to_owned(),
            (Some(highest), Some(knee)) => format!(
                "the knee is at {knee} records a second: there throughput for its latency is \
                 highest; the highest rate that held is {highest}"
            ),
            (Some(highest), None) => format!(
                "the highest rate that held is {highest} records a second; no knee below the \
                 last rate that ran: go higher with --to"
            ),
        };
        self.finish("ramp", None, (knee, "knee"), sentence, steps)
    }

    /// Searches for the highest rate that holds the objective.
    pub fn slo(&mut self, plan: &SloPlan, slo: Slo) -> Result<SearchReport, Failure> {
        self.refuse_existing()?;
        self.request.workload.own.slo = Some(slo);
        let mut search = RateSearch::new(*plan);
        let mut steps: Vec<Step> = Vec::new();
        let outcome = loop {
            let (rate, purpose) = match search.next() {
                Next::Run { rate, purpose } => (rate, purpose),
                Next::Done(outcome) => break outcome,
            };
            let step = match self.step(rate, purpose, steps.len() + 1, plan.runs_max as usize) {
                Ok(step) => step,
                Err(failure) if failure.exit == Exit::Failed && search.has_held() => {
                    Step::failed(rate, purpose, &failure)
                }
                Err(failure) => {
                    return Err(self.stopped(("slo", Some(slo)), steps, (rate, purpose), failure));
                }
            };
            search.tell(step.verdict);
            (self.observe)(&SearchEvent::Step(&step));
            steps.push(step);
        };
        let objective = format!(
            "{} p{} ≤ {} ms",
            slo.latency.name().replace('_', " "),
            slo.percent,
            slo.milliseconds
        );
        let (rate, found, sentence) = told(&outcome, &objective, &steps);
        self.finish("slo", Some(slo), (rate, found), sentence, steps)
    }

    fn refuse_existing(&self) -> Result<(), Failure> {
        match self.request.out.as_deref().filter(|out| out.exists()) {
            Some(out) => Err(exists_already(out)),
            None => Ok(()),
        }
    }

    fn step(
        &mut self,
        rate: f64,
        purpose: Purpose,
        number: usize,
        runs_max: usize,
    ) -> Result<Step, Failure> {
        (self.observe)(&SearchEvent::Begins { number, runs_max, rate, purpose });
        let folder = format!("steps/{number:02}-{}", rounded(rate));
        let mut request = self.request.clone();
        request.workload.rate = Rate::Open { records_per_second: rate };
        request.out = self.request.out.as_ref().map(|out| out.join(&folder));
        let report = run(&request, &mut |event| (self.observe)(&SearchEvent::Run(event)))?;
        let step = Step::of(rate, purpose, &report)?;
        Ok(Step { folder: self.request.out.is_some().then_some(folder), ..step })
    }

    /// Keeps what was measured before a search could not go on, with the run that ended it.
    fn stopped(
        &self,
        (kind, objective): (&'static str, Option<Slo>),
        mut steps: Vec<Step>,
        (rate, purpose): (f64, Purpose),
        failure: Failure,
    ) -> Failure {
        if steps.is_empty() {
            return failure;
        }
        let highest = highest_held(&steps);
        let held = highest.map_or_else(
            || "no rate held before".to_owned(),
            |rate| format!("the highest rate that held before is {rate} records a second"),
        );
        let sentence = format!("ended by run {}: {failure}; {held}", steps.len() + 1);
        if failure.exit != Exit::Interrupted {
            steps.push(Step::failed(rate, purpose, &failure));
        }
        let found = if highest.is_some() { "held before the search ended" } else { "nothing" };
        // The failure is what the caller has to hear.
        let is_kept = self.finish(kind, objective, (highest, found), sentence, steps).is_ok();
        match &self.request.out {
            Some(out) if is_kept => Failure {
                sentence: format!("{failure}; what ran before is in {}", out.display()),
                ..failure
            },
            _ => failure,
        }
    }

    fn finish(
        &self,
        kind: &'static str,
        objective: Option<Slo>,
        (records_per_second, found): (Option<f64>, &str),
        sentence: String,
        steps: Vec<Step>,
    ) -> Result<SearchReport, Failure> {
        let workload = &self.request.workload;
        let told = steps.iter().find_map(|step| step.durability.clone());
        let durability = told.unwrap_or_else(|| workload.own.durability.name().to_owned());
        let report = SearchReport {
            kind,
            workload: workload.name.clone(),
            label: self.request.label.clone(),
            client: workload.own.client.name(),
            durability,
            arguments: self.request.arguments.clone(),
            objective,
            records_per_second,
            found: found.to_owned(),
            sentence,
            steps,
        };
        if let Some(out) = &self.request.out {
            write(out, &report)?;
        }
        Ok(report)
    }
}

fn highest_held(steps: &[Step]) -> Option<f64> {
    let held = steps.iter().filter(|step| step.verdict == Trial::Holds);
    held.map(|step| step.offered_records_per_second).reduce(f64::max)
}

/// The rate, what it is, and the sentence.
fn told(outcome: &Outcome, objective: &str, steps: &[Step]) -> (Option<f64>, &'static str, String) {
    match *outcome {
        Outcome::Found { rate, missed, is_confirmed } => {
            let found = if is_confirmed { "held twice" } else { "held once, not confirmed" };
            let above = match missed {
                None => "nothing higher was run".to_owned(),
                Some(missed) => {
                    let reason = steps
                        .iter()
                        .rfind(|step| {
                            step.verdict == Trial::Misses
                                && step.offered_records_per_second == missed
                        })
                        .map_or_else(String::new, |step| format!(": {}", step.reason));
                    format!("{missed} did not{reason}")
                }
            };
            let sentence = format!("{rate} records a second hold {objective} ({found}); {above}");
            (Some(rate), found, sentence)
        }
        Outcome::NothingHeld { lowest } => (
            None,
            "nothing",
            format!(
                "{objective} was not held even at {lowest} records a second{}",
                steps.last().map_or_else(String::new, |step| format!(": {}", step.reason))
            ),
        ),
        Outcome::Disturbed { rate } => (
            None,
            "nothing",
            format!(
                "the machine disturbed every run at {rate} records a second{}; try again when it \
                 is quiet",
                steps.last().map_or_else(String::new, |step| format!(" ({})", step.reason))
            ),
        ),
    }
}

fn write(out: &Path, report: &SearchReport) -> Result<(), Failure> {
    let cannot = |error: &dyn std::fmt::Display| {
        Failure::new(format!("{} cannot be written: {error}", out.display()))
    };
    fs::create_dir_all(out).map_err(|error| cannot(&error))?;
    let text = serde_json::to_string_pretty(report).map_err(|error| cannot(&error))?;
    let file: PathBuf = out.join(format!("{}.json", report.kind));
    fs::write(file, text + "\n").map_err(|error| cannot(&error))?;
    let page = report::html(&[report::Source::read(out)?]);
    fs::write(out.join("report.html"), page).map_err(|error| cannot(&error))
}
