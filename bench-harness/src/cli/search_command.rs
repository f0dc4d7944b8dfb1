//! `ramp` and `slo`: a workload at one rate after another, a line a step.

use std::fmt::Write;
use std::str::FromStr;

use clap::Args;

use super::load_args::{Defaults, LoadArgs};
use super::progress::{Progress, Watching};
use super::{Format, print};
use crate::failure::{Exit, Failure};
use crate::figures::count;
use crate::histograms::Latency;
use crate::run::RunRequest;
use crate::search::ramp::{STEPS_MAX, Spacing};
use crate::search::rate_search::Purpose;
use crate::search::step::Trial;
use crate::search::{RampPlan, Search, SearchEvent, SearchReport, SloPlan, Step};
use crate::workload::{Rate, Slo};

/// Of one run of a search, where --duration does not say.
const DURATION_SECONDS: f64 = 15.0;
/// Before each, where --warm-up does not say.
const WARM_UP_SECONDS: &str = "5";
const STEPS_DEFAULT: u32 = 8;
/// Where neither the workload nor --from has a rate.
const FROM_DEFAULT: f64 = 1_000.0;
/// A ramp goes from this share of the workload's rate …
const RAMP_FROM_SHARE: f64 = 0.2;
/// … to so many times that rate.
const RAMP_TO_TIMES: f64 = 2.0;

pub(super) const RAMP_EXAMPLES: &str = "Examples:
  corelane bench ramp telemetry-1k                              eight rates, 10,000 to 100,000 a second
  corelane bench ramp telemetry-1k --from 1000 --to 200000 --factor 2
  corelane bench ramp saturate-1k --from 20000 --to 400000 --steps 20 --duration 30

Each rate is a whole run, verified. The knee is where throughput divided by the p99 of response is highest. A ramp
ends early when two rates in a row did not hold. Files: ramp.json, report.html, and each run in steps/.";

pub(super) const SLO_EXAMPLES: &str = "Examples:
  corelane bench slo telemetry-1k --latency response:p99:5ms
  corelane bench slo telemetry-1k --latency end_to_end:p99.9:20ms --from 50000 --duration 30
  corelane bench slo saturate-1k --latency response:p99:10ms --client raw --precision 2

The rate doubles until the objective is missed, then the bracket is halved until it is narrow enough, then the
highest rate that held is run once more. A rate holds when the run verifies, the objective is met and records were
sent and acknowledged as they were due. A run that the machine disturbed is repeated, at most twice. Ends with
exit code 2 where no rate held twice. Files: slo.json, report.html, and each run in steps/.";

#[derive(Args, Debug)]
pub(super) struct RampArgs {
    #[command(flatten)]
    load: LoadArgs,

    /// The first rate, records a second (default: a fifth of the workload's).
    #[arg(long, value_name = "RATE", value_parser = rate)]
    from: Option<f64>,

    /// The last one (default: twice the workload's).
    #[arg(long, value_name = "RATE", value_parser = rate)]
    to: Option<f64>,

    /// So many rates, evenly (default: 8).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=i64::from(STEPS_MAX)))]
    steps: Option<u32>,

    /// Each rate so many times the one before, instead of evenly.
    #[arg(long, value_name = "F", value_parser = factor, conflicts_with = "steps")]
    factor: Option<f64>,
}

#[derive(Args, Debug)]
pub(super) struct SloArgs {
    #[command(flatten)]
    load: LoadArgs,

    /// The objective: response, end_to_end, service or schedule_delay; a percentile; milliseconds.
    #[arg(long, value_name = "NAME:pPERCENT:MILLISECONDSms")]
    latency: Objective,

    /// The first rate, records a second (default: the workload's).
    #[arg(long, value_name = "RATE", value_parser = rate)]
    from: Option<f64>,

    /// No higher rate is run.
    #[arg(long, value_name = "RATE", value_parser = rate)]
    to: Option<f64>,

    /// How close the result is to a rate that does not hold, in percent.
    #[arg(long, value_name = "PERCENT", default_value_t = 5.0, value_parser = precision)]
    precision: f64,

    /// Runs in all, repeated ones included.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(2..=100))]
    runs: u32,
}

impl RampArgs {
    pub(super) fn run(&self, format: Format, watching: Watching) -> Result<Exit, Failure> {
        let of_workload = self.load.request(Defaults::default())?.workload.rate;
        let of_workload = match of_workload {
            Rate::Open { records_per_second } => records_per_second,
            Rate::Closed => FROM_DEFAULT / RAMP_FROM_SHARE,
        };
        let from = self.from.unwrap_or(of_workload * RAMP_FROM_SHARE);
        let to = self.to.unwrap_or_else(|| (of_workload * RAMP_TO_TIMES).max(from));
        if to < from {
            return Err(Failure::new(format!(
                "a ramp goes upwards, and --to {to} is below --from {from}"
            )));
        }
        let spacing = match self.factor {
            Some(factor) => Spacing::Factor(factor),
            None => Spacing::Steps(self.steps.unwrap_or(STEPS_DEFAULT)),
        };
        let request = request(&self.load, from, "ramp-")?;
        let plan = RampPlan { from, to, spacing };
        let report = watched(&request, watching, |search| search.ramp(&plan))?;
        tell(&report, &request, format)?;
        let has_held = report.steps.iter().any(|step| step.verdict == Trial::Holds);
        Ok(if has_held { Exit::Done } else { Exit::ObjectiveMissed })
    }
}

impl SloArgs {
    pub(super) fn run(&self, format: Format, watching: Watching) -> Result<Exit, Failure> {
        let of_workload = self.load.request(Defaults::default())?.workload.rate;
        let from = self.from.unwrap_or(match of_workload {
            Rate::Open { records_per_second } => records_per_second,
            Rate::Closed => FROM_DEFAULT,
        });
        let from = self.to.map_or(from, |to| from.min(to));
        let plan =
            SloPlan { from, to: self.to, precision: self.precision / 100.0, runs_max: self.runs };
        let request = request(&self.load, from, "slo-")?;
        let report = watched(&request, watching, |search| search.slo(&plan, self.latency.0))?;
        tell(&report, &request, format)?;
        let last = report.steps.last().map(|step| (step.purpose, step.verdict));
        Ok(match last {
            Some((Some(Purpose::Confirm), Trial::Holds)) => Exit::Done,
            Some((_, Trial::Disturbed)) => Exit::InvalidEnvironment,
            _ => Exit::ObjectiveMissed,
        })
    }
}

/// The request of a search's runs, which differ in their rate.
fn request(load: &LoadArgs, from: f64, kind: &str) -> Result<RunRequest, Failure> {
    load.request(Defaults {
        rate: Some(from),
        duration: Some(DURATION_SECONDS),
        warm_up: Some(WARM_UP_SECONDS),
        kind,
    })
}

fn watched(
    request: &RunRequest,
    watching: Watching,
    search: impl FnOnce(&mut Search<'_>) -> Result<SearchReport, Failure>,
) -> Result<SearchReport, Failure> {
    let mut progress = Progress::new(&request.workload, watching);
    search(&mut Search {
        request: request.clone(),
        observe: &mut |event| match event {
            SearchEvent::Begins { number, runs_max, rate, purpose } => {
                let purpose = match purpose {
                    Purpose::Ramp => "",
                    Purpose::Bracket => ", to bracket",
                    Purpose::Bisect => ", to halve the bracket",
                    Purpose::Confirm => ", to confirm",
                };
                let part = format!(
                    "run {number} of at most {runs_max}: {} a second{purpose}",
                    count(*rate)
                );
                progress.part(&part);
            }
            SearchEvent::Run(event) => progress.show(event),
            SearchEvent::Step(step) => progress.line(&line(step)),
        },
    })
}

fn tell(report: &SearchReport, request: &RunRequest, format: Format) -> Result<(), Failure> {
    let out = request.out.as_deref();
    print(&match format {
        Format::Json => {
            let value = serde_json::json!({ "result": report, "folder": out });
            format!("{value}\n")
        }
        Format::Text => {
            let mut text = format!("\n{} of {}\n", report.kind, report.workload);
            for step in &report.steps {
                let _ = writeln!(text, "{}", line(step));
            }
            let _ = writeln!(text, "\n{}", report.sentence);
            if report.steps.iter().all(|step| step.is_verified) {
                text.push_str("every run verified: nothing lost, doubled, reordered or altered\n");
            }
            if let Some(out) = out {
                let _ = writeln!(text, "files  {}", out.display());
            }
            text
        }
    })
}

fn line(step: &Step) -> String {
    let verdict = match step.verdict {
        Trial::Holds => "holds",
        Trial::Misses => "MISSES",
        Trial::Disturbed => "disturbed",
    };
    let known = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |v| format!("{v:.2}"));
    let mut line = format!(
        "  {:>8}/s offered  {:>8}/s acknowledged  response p50 {:>6} p99 {:>8} ms",
        count(step.offered_records_per_second),
        step.acknowledged_records_per_second.map_or_else(|| "–".to_owned(), count),
        known(step.response_p50_milliseconds),
        known(step.response_p99_milliseconds)
    );
    if let Some(broker) = step.broker_cpu_percent {
        let _ = write!(line, "  broker {broker:>3.0} %");
    }
    let _ = write!(line, "  {verdict}");
    if !step.reason.is_empty() {
        let _ = write!(line, ": {}", step.reason);
    }
    line
}

/// `response:p99:5ms`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Objective(Slo);

impl FromStr for Objective {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || {
            format!(
                "{text} is no objective; give one like response:p99:5ms or end_to_end:p99.9:20ms"
            )
        };
        let mut parts = text.split(':');
        let (Some(name), Some(percent), Some(limit), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(refuse());
        };
        let name = name.replace('-', "_");
        let latency =
            Latency::ALL.into_iter().find(|latency| latency.name() == name).ok_or_else(refuse)?;
        let number = |text: &str| text.parse::<f64>().ok().filter(|number| *number > 0.0);
        let percent = percent.strip_prefix('p').and_then(number).ok_or_else(refuse)?;
        let limit = limit.strip_suffix("ms").and_then(number).ok_or_else(refuse)?;
        if percent >= 100.0 {
            return Err(refuse());
        }
        Ok(Self(Slo { latency, percent, milliseconds: limit }))
    }
}

fn rate(text: &str) -> Result<f64, String> {
    bounded(text, |rate| rate > 0.0 && rate <= 1e9, "records a second, above 0")
}

fn factor(text: &str) -> Result<f64, String> {
    bounded(text, |factor| (1.05..=100.0).contains(&factor), "a factor from 1.05 to 100")
}

fn precision(text: &str) -> Result<f64, String> {
    bounded(text, |percent| (0.5..=100.0).contains(&percent), "a percentage from 0.5 to 100")
}

fn bounded(text: &str, is_allowed: fn(f64) -> bool, what: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| is_allowed(*number));
    number.ok_or_else(|| format!("{text} is not {what}"))
}

#[cfg(test)]
mod tests {
    use super::Objective;
    use crate::histograms::Latency;

    #[test]
    fn objectives_are_read_and_others_refused_with_an_example() {
        let read = |text: &str| text.parse::<Objective>().map(|objective| objective.0);
        let slo = read("response:p99:5ms").unwrap();
        assert_eq!((slo.latency, slo.percent, slo.milliseconds), (Latency::Response, 99.0, 5.0));
        let slo = read("end-to-end:p99.9:0.5ms").unwrap();
        assert_eq!((slo.latency, slo.percent, slo.milliseconds), (Latency::EndToEnd, 99.9, 0.5));
        for wrong in [
            "",
            "response",
            "response:99:5ms",
            "response:p99:5",
            "reply:p99:5ms",
            "response:p100:5ms",
            "response:p99:-5ms",
            "response:p99:5ms:x",
        ] {
            assert!(read(wrong).unwrap_err().contains("response:p99:5ms"), "{wrong}");
        }
    }
}
