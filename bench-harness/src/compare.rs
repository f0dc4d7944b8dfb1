//! Brokers side by side: the same client and workload, interleaved blocks, ratios with their intervals.
//!
//! * `contender`: a broker in one mode
//! * `plan`: the cases, and the rate of each
//! * `standard`: what is compared where nothing else is asked for, and with `--full`
//! * `blocks`: who runs when, repeats
//! * `ratios`: from runs to ratios
//! * `fractions`: of the machine's limits
//! * `pace`: how long it will take
//! * `room`: whether the disk has room for it
//!
//! One broker runs at a time: each run starts its broker with an empty data directory and ends it afterwards, so that
//! an idle one disturbs nobody, and start-up, memory and what a virtual machine compiles are measured anew in each block.
//! Somebody else's broker stays where it is. Nothing here prints.

mod blocks;
pub mod contender;
mod fractions;
mod pace;
pub mod plan;
mod ratios;
mod room;
pub mod standard;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::brokers::Place;
use crate::failure::{Exit, Failure};
use crate::interruption;
use crate::results::comparison::{
    COMPARISON_FORMAT, Case, CaseRun, Comparison, Method, Metric, StartUp, Subject, SubjectKind,
};
use crate::results::{RunReport, folder, manifest};
use crate::run::{self, RunRequest};
use crate::statistics::CONFIDENCE_PERCENT;
use crate::warm_up;
use crate::workload::{Rate, Workload};
use blocks::Turn;
use contender::Contender;
use pace::Remaining;
use plan::CasePlan;

/// What to compare.
#[derive(Clone, Debug)]
pub struct CompareRequest {
    pub contenders: Vec<Contender>,
    pub cases: Vec<CasePlan>,
    /// Measured seconds of each run of the control; no control without it.
    pub control_seconds: Option<f64>,
    pub blocks: u32,
    /// What the cases' workloads have; told, not set here.
    pub measured_seconds: f64,
    pub warm_up_seconds_min: f64,
    pub place: Place,
    /// Folder of `compare.json` and of the runs' files; none are written without it.
    pub out: Option<PathBuf>,
    pub arguments: Vec<String>,
    pub limits: Option<Value>,
    pub limits_missing: Option<String>,
}

/// What happens, for whoever shows it.
#[derive(Debug)]
pub enum Event<'a> {
    Case {
        title: &'a str,
        runs: usize,
    },
    Begins {
        /// From 1, of all runs that are planned; repeats have the number of what they repeat.
        run: usize,
        runs: usize,
        case: &'a str,
        subject: &'a str,
        attempt: u32,
        seconds_left: f64,
    },
    Run(&'a run::Event<'a>),
    Done(&'a CaseRun),
}

/// Takes events.
pub type Observer<'a> = &'a mut dyn FnMut(&Event<'_>);

/// A comparison, and how the process is to end.
#[derive(Debug)]
pub struct Compared {
    pub comparison: Comparison,
    pub exit: Exit,
}

/// Runs the control and all cases. Fails only where nothing can go on.
pub fn compare(request: &CompareRequest, observe: Observer<'_>) -> Result<Compared, Failure> {
    if let Some(out) = request.out.as_deref().filter(|out| out.exists()) {
        return Err(folder::exists_already(out));
    }
    let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let control = request.control_seconds.map(|seconds| request.cases[0].control(seconds));
    let plans: Vec<&CasePlan> = control.iter().chain(&request.cases).collect();
    let mut comparing = Comparing {
        request,
        subjects: request.contenders.iter().map(|one| one.subject.clone()).collect(),
        exits: Vec::new(),
        remaining: Remaining::new(&plans, request),
        written: BTreeMap::new(),
        observe,
        began: Instant::now(),
    };
    let mut comparison = comparing.comparison(started);
    if let Some(plan) = &control {
        comparison.control = Some(comparing.case(plan, &[])?);
        comparing.keep(&mut comparison)?;
    }
    for plan in &request.cases {
        match comparing.case(plan, &comparison.cases) {
            Ok(case) => comparison.cases.push(case),
            Err(failure) => {
                comparison.notes.push(format!("it ended before its end: {failure}"));
                // The failure is what the caller has to hear.
                let _ = comparing.keep(&mut comparison);
                return Err(failure);
            }
        }
        comparing.keep(&mut comparison)?;
    }
    Ok(Compared { comparison, exit: blocks::worst(comparing.exits.into_iter()) })
}

struct Comparing<'a> {
    request: &'a CompareRequest,
    subjects: Vec<Subject>,
    /// Of runs that count and of those whose repeats did not help.
    exits: Vec<Exit>,
    remaining: Remaining,
    /// Most bytes of a run so far, by workload and contender.
    written: BTreeMap<(String, usize), f64>,
    observe: Observer<'a>,
    began: Instant,
}

impl Comparing<'_> {
    /// Without anything measured yet.
    fn comparison(&self, started_unix_seconds: u64) -> Comparison {
        let request = self.request;
        Comparison {
            format: COMPARISON_FORMAT,
            harness_version: env!("CARGO_PKG_VERSION").to_owned(),
            arguments: request.arguments.clone(),
            started_unix_seconds,
            seconds: 0.0,
            machine: manifest::machine(),
            data_directory: request.place.folder.display().to_string(),
            method: method(request),
            subjects: self.subjects.clone(),
            control: None,
            cases: Vec::new(),
            limits: request.limits.clone(),
            limits_missing: request.limits_missing.clone(),
            notes: notes(request),
        }
    }

    /// Writes what is measured by now: the next case may be interrupted.
    fn keep(&self, comparison: &mut Comparison) -> Result<(), Failure> {
        comparison.seconds = self.began.elapsed().as_secs_f64();
        comparison.subjects.clone_from(&self.subjects);
        match &self.request.out {
            Some(out) => folder::write_comparison(out, comparison),
            None => Ok(()),
        }
    }

    fn case(&mut self, plan: &CasePlan, done: &[Case]) -> Result<Case, Failure> {
        let mut case = Case {
            id: plan.id.clone(),
            title: plan.title.clone(),
            workload: plan.workload.name.clone(),
            load: if plan.workload.rate == Rate::Closed { "closed" } else { "open" }.to_owned(),
            rate_chosen: plan.rate_chosen(),
            subjects: plan.seats.iter().map(|seat| seat.id.clone()).collect(),
            runs: Vec::new(),
            pairs: Vec::new(),
            notes: Vec::new(),
        };
        let runs = plan.seats.len() * self.request.blocks as usize;
        (self.observe)(&Event::Case { title: &plan.title, runs });
        let workloads = match plan.workloads(done) {
            Ok(workloads) => workloads,
            Err(failure) => {
                // Other cases do not depend on it.
                case.notes.push(failure.sentence);
                self.remaining.skip(runs);
                return Ok(case);
            }
        };
        if workloads.iter().all(|workload| workload.rate != Rate::Closed) {
            "open".clone_into(&mut case.load);
        }
        let mut last_exit = Vec::new();
        case.runs = blocks::run(plan.seats.len(), self.request.blocks, &mut |turn| {
            let (run, exit) = self.turn(plan, &workloads[turn.seat], turn)?;
            last_exit.push((turn, exit));
            Ok(run)
        })?;
        let last_of = |block: u32| {
            let attempts = last_exit.iter().filter(move |(turn, _)| turn.block == block);
            attempts.map(|(turn, _)| turn.attempt).max()
        };
        self.exits.extend(
            last_exit
                .iter()
                .filter(|(turn, exit)| {
                    last_of(turn.block) == Some(turn.attempt) || *exit == Exit::NotVerified
                })
                .map(|(_, exit)| *exit),
        );
        let id = |at: usize| plan.seats[at].id.as_str();
        let keeps_nothing =
            |at: usize| self.subjects[plan.seats[at].contender].kind == SubjectKind::Null;
        let pair = |(a, b): &(usize, usize)| {
            let mut pair = ratios::pair(&case.runs, id(*a), id(*b));
            if keeps_nothing(*a) || keeps_nothing(*b) {
                // It writes nothing, remembers nothing, and has nothing to start.
                let shared = [Metric::AcknowledgedBytes, Metric::BrokerCpu];
                pair.ratios.retain(|ratio| shared.contains(&ratio.metric));
            }
            pair
        };
        case.pairs = plan.pairs.iter().map(pair).collect();
        let (limits, missing) = (&self.request.limits, &self.request.limits_missing);
        for ratio in case.pairs.iter_mut().flat_map(|pair| &mut pair.ratios) {
            fractions::fill(ratio, &workloads[0], limits.as_ref(), missing.as_deref());
        }
        let left_out = case.runs.iter().filter(|run| !run.counts).count();
        if left_out > 0 {
            case.notes.push(format!(
                "{left_out} of {} runs do not count; each says why",
                case.runs.len()
            ));
        }
        Ok(case)
    }

    fn turn(
        &mut self,
        plan: &CasePlan,
        workload: &Workload,
        turn: Turn,
    ) -> Result<(CaseRun, Exit), Failure> {
        interruption::check()?;
        let seat = &plan.seats[turn.seat];
        let contender = &self.request.contenders[seat.contender];
        if turn.attempt == 1 {
            self.remaining.begin();
        }
        (self.observe)(&Event::Begins {
            run: self.remaining.number(),
            runs: self.remaining.runs(),
            case: &plan.id,
            subject: &contender.subject.name,
            attempt: turn.attempt,
            seconds_left: self.remaining.seconds_left(),
        });
        let began = Instant::now();
        let workload = contender.workload(workload);
        let name = format!("{}-{}-{}-{}", plan.id, turn.block, turn.attempt, seat.id);
        let (result, start_up) = self.measure(seat.contender, &workload, &name)?;
        let offered = match workload.rate {
            Rate::Open { records_per_second } => Some(records_per_second),
            Rate::Closed => None,
        };
        let Judged { report, reason, remark, exit } = judged(result)?;
        if let Some(report) = &report {
            let records = report["verification"]["records_acknowledged"].as_f64().unwrap_or(0.0);
            let most = self.written.entry((workload.name.clone(), seat.contender)).or_default();
            *most = most.max(records * workload.record_bytes as f64);
        }
        let is_written = report.is_some() && self.request.out.is_some();
        let run = CaseRun {
            subject: seat.id.clone(),
            block: turn.block,
            attempt: turn.attempt,
            counts: reason.is_none(),
            reason,
            remark,
            offered_records_per_second: offered,
            start_up,
            report,
            folder: is_written.then_some(name),
        };
        self.remaining.took(began.elapsed().as_secs_f64());
        (self.observe)(&Event::Done(&run));
        Ok((run, exit))
    }

    /// A fresh broker, one run, and its end.
    fn measure(
        &mut self,
        contender: usize,
        workload: &Workload,
        name: &str,
    ) -> Result<(Result<RunReport, Failure>, Option<StartUp>), Failure> {
        let one = &self.request.contenders[contender];
        if one.is_started() && one.subject.kind != SubjectKind::Null {
            let before = self.written.get(&(workload.name.clone(), contender)).copied();
            let wanted = room::bytes_wanted(workload, before);
            if let Err(failure) = room::has_room(&self.request.place.folder, wanted) {
                // What ran before it is worth keeping.
                let is_first = self.subjects[contender].command.is_empty();
                return if is_first { Err(failure) } else { Ok((Err(failure), None)) };
            }
        }
        let subject = &mut self.subjects[contender];
        let broker = match one.broker.start(&self.request.place, &one.subject.topic_configs) {
            Ok(broker) => broker,
            // It has started before: this run alone has no result.
            Err(failure) if !subject.command.is_empty() => return Ok((Err(failure), None)),
            Err(failure) => return Err(failure),
        };
        subject.command.clone_from(&broker.command);
        subject.configuration.clone_from(&broker.configuration);
        let request = RunRequest {
            workload: workload.clone(),
            bootstrap: broker.bootstrap.clone(),
            label: one.subject.name.clone(),
            broker_process: broker.process,
            metrics: broker.metrics.clone(),
            // They go with the broker's folder.
            keep_topics: one.is_started(),
            out: self.request.out.as_ref().map(|out| out.join(name)),
            arguments: self.request.arguments.clone(),
            limits: self.request.limits.clone(),
        };
        let observe = &mut self.observe;
        let result = run::run(&request, &mut |event| observe(&Event::Run(event)));
        interruption::check()?;
        let result = result.map_err(|failure| match broker.ended() {
            Some(last) => Failure {
                sentence: format!("{failure}; the broker ended, and said last:\n{last}"),
                ..failure
            },
            None => failure,
        });
        Ok((result, broker.start_up))
    }
}

/// What a run is worth.
struct Judged {
    report: Option<Value>,
    /// Why it does not count.
    reason: Option<String>,
    remark: Option<String>,
    /// Of the run alone.
    exit: Exit,
}

/// A broker that did not keep up with the rate is what is measured: such a run counts, its latencies are from when
/// records were due. Leaving it out, and its block again until the broker is quiet, would hide the worst of it.
fn judged(result: Result<RunReport, Failure>) -> Result<Judged, Failure> {
    let report = match result {
        Ok(report) => report,
        Err(failure) => {
            let reason = Some(failure.sentence);
            return Ok(Judged { report: None, reason, remark: None, exit: failure.exit });
        }
    };
    let value = serde_json::to_value(&report)
        .map_err(|error| Failure::new(format!("the result cannot be told: {error}")))?;
    let broken = || report.validity.broken.iter().zip(&report.validity.reasons);
    let disturbed: Vec<&str> = broken()
        .filter(|(rule, _)| !rule.is_the_brokers_doing())
        .map(|(_, reason)| reason.as_str())
        .collect();
    let remarks: Vec<&str> = broken()
        .filter(|(rule, _)| rule.is_the_brokers_doing())
        .map(|(_, reason)| reason.as_str())
        .chain(report.notes.iter().map(String::as_str).filter(|note| warm_up::is_said_by(note)))
        .collect();
    let remark = (!remarks.is_empty()).then(|| remarks.join("; "));
    let (reason, exit) = if disturbed.is_empty() {
        (None, Exit::Done)
    } else {
        (Some(format!("not valid: {}", disturbed.join("; "))), Exit::InvalidEnvironment)
    };
    Ok(Judged { report: Some(value), reason, remark, exit })
}

fn method(request: &CompareRequest) -> Method {
    let sentences = [
        "A block is one run of each broker with the same client and workload; every second block \
         goes through them in reverse order: A B, B A, A B, …",
        "Each run starts its broker with an empty data directory on the same file system and ends \
         it afterwards, so one broker is active at a time, and start-up, memory and just-in-time \
         compilation are measured anew in each run. A broker given by address stays where it is.",
        "A ratio is the geometric mean of the ratios within blocks; its interval is Student's t \
         over their logarithms, printed however wide. Means of hours apart are never divided.",
        "Every run verifies its data by a hash chain for each partition; one that does not verify \
         has no result. Rules fixed beforehand say when the machine or the client disturbed a run. Such a \
         block is repeated at most twice, and every run is kept. A run in which the broker did not keep up \
         with the rate counts, and says so.",
        "Response and end to end count from when a record was due (open loop). Closed loops \
         measure throughput; their latencies are not compared.",
        "Broker CPU is of the broker's process, for a gigabyte acknowledged and read taken together; \
         device bytes are of the whole device until everything is written back, for each byte \
         acknowledged; memory is the peak resident set, page cache apart; start-up is from the \
         start of the process, without formatting Kafka's storage.",
    ];
    Method {
        blocks: request.blocks,
        confidence_percent: CONFIDENCE_PERCENT,
        measured_seconds: request.measured_seconds,
        warm_up_seconds_min: request.warm_up_seconds_min,
        sentences: sentences.map(str::to_owned).into(),
    }
}

fn notes(request: &CompareRequest) -> Vec<String> {
    let mut notes = Vec::new();
    if cfg!(debug_assertions) {
        notes.push(
            "corelane-bench was built without optimisation: throughputs are too low; use `cargo \
             build --release -p bench-harness`"
                .to_owned(),
        );
    }
    if request.control_seconds.is_none() {
        notes.push("there was no A/A control: how noisy the machine is, is not known".to_owned());
    }
    if request.contenders.iter().any(|one| one.subject.kind == SubjectKind::Null) {
        notes.push(
            "of the broker that keeps nothing, acknowledgements alone were verified".to_owned(),
        );
    }
    notes
}
