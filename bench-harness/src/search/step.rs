//! One run as a search sees it: did the rate hold?

use serde::Serialize;

use super::rate_search::Purpose;
use crate::failure::Failure;
use crate::histograms::Latency;
use crate::results::validity::Rule;
use crate::results::{FractionOfLimit, RunReport};

/// Of what is offered, what must be acknowledged within the same time.
const ACKNOWLEDGED_SHARE_MIN: f64 = 0.97;

/// Of what is acknowledged, what must be read within the same time: less, and readers fall behind without end.
const CONSUMED_SHARE_MIN: f64 = 0.97;

/// What a run says of its rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trial {
    Holds,
    #[default]
    Misses,
    /// Nothing: the machine disturbed it.
    Disturbed,
}

/// A line of `ramp.json` and `slo.json`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Step {
    pub offered_records_per_second: f64,
    pub purpose: Option<Purpose>,
    pub verdict: Trial,
    /// Why it does not hold, or says nothing.
    pub reason: String,
    /// `None`, as all below, where a client could not go on.
    pub acknowledged_records_per_second: Option<f64>,
    pub acknowledged_bytes_per_second: Option<f64>,
    /// Of these bytes.
    pub fraction_of_limit: Option<FractionOfLimit>,
    /// When the broker acknowledges, as it says itself.
    pub durability: Option<String>,
    /// That the latencies come from.
    pub samples: u64,
    pub response_p50_milliseconds: Option<f64>,
    pub response_p99_milliseconds: Option<f64>,
    pub end_to_end_p99_milliseconds: Option<f64>,
    /// Of the objective's latency and percentile.
    pub objective_milliseconds: Option<f64>,
    pub records_acknowledged: u64,
    pub is_verified: bool,
    /// Of one core, broker and client.
    pub broker_cpu_percent: Option<f64>,
    pub client_cpu_percent: Option<f64>,
    /// Folder of the run's files, relative to that of the search.
    pub folder: Option<String>,
}

impl Step {
    /// Of a run that has a result, which therefore verified.
    pub fn of(rate: f64, purpose: Purpose, report: &RunReport) -> Result<Self, Failure> {
        let (verdict, reason) = judge(rate, report)?;
        let percentile = |latency, percent: f64| {
            let summary = report.latencies.get(latency)?;
            let found = summary.percentiles.iter().find(|found| found.percent == percent)?;
            Some(found.nanoseconds as f64 / 1e6)
        };
        let of_core = |cpu_seconds: f64| cpu_seconds / report.measured_seconds * 100.0;
        Ok(Self {
            offered_records_per_second: rate,
            purpose: Some(purpose),
            verdict,
            reason,
            acknowledged_records_per_second: Some(
                report.throughput.acknowledged_records_per_second,
            ),
            acknowledged_bytes_per_second: Some(report.throughput.acknowledged_bytes_per_second),
            fraction_of_limit: report.fraction_of_limit.clone(),
            durability: Some(report.durability.clone()),
            samples: report.latencies.response.as_ref().map_or(0, |response| response.samples),
            response_p50_milliseconds: percentile(Latency::Response, 50.0),
            response_p99_milliseconds: percentile(Latency::Response, 99.0),
            end_to_end_p99_milliseconds: percentile(Latency::EndToEnd, 99.0),
            objective_milliseconds: report
                .objective
                .and_then(|objective| objective.measured_milliseconds),
            records_acknowledged: report.verification.records_acknowledged,
            is_verified: report.verification.is_verified,
            broker_cpu_percent: report.used.broker_cpu_seconds.map(of_core),
            client_cpu_percent: Some(of_core(report.used.client_cpu_seconds)),
            folder: None,
        })
    }

    /// Of a rate at which a client could not go on.
    #[must_use]
    pub fn failed(rate: f64, purpose: Purpose, failure: &Failure) -> Self {
        Self {
            offered_records_per_second: rate,
            purpose: Some(purpose),
            reason: failure.sentence.clone(),
            ..Self::default()
        }
    }
}

/// What broke the rate and what disturbed the run are told apart: only the latter is repeated.
fn judge(rate: f64, report: &RunReport) -> Result<(Trial, String), Failure> {
    let validity = &report.validity;
    let reason_of = |is_meant: fn(Rule) -> bool| {
        let all = validity.broken.iter().zip(&validity.reasons);
        all.into_iter().find(|(rule, _)| is_meant(**rule)).map(|(_, reason)| reason.clone())
    };
    if let Some(reason) = reason_of(|rule| !rule.is_about_the_rate()) {
        return Ok((Trial::Disturbed, reason));
    }
    if let Some(reason) = reason_of(Rule::is_about_the_rate) {
        return Ok((Trial::Misses, reason));
    }
    let acknowledged = report.throughput.acknowledged_records_per_second;
    if acknowledged < rate * ACKNOWLEDGED_SHARE_MIN {
        let share = acknowledged / rate * 100.0;
        return Ok((Trial::Misses, format!("{share:.0} % of what was offered was acknowledged")));
    }
    let subscriptions = f64::from(report.workload.subscriptions_per_topic);
    let consumed = report.throughput.consumed_records_per_second;
    let to_read = acknowledged * subscriptions;
    if report.workload.is_consumed() && consumed < to_read * CONSUMED_SHARE_MIN {
        let share = consumed / to_read * 100.0;
        return Ok((Trial::Misses, format!("readers read {share:.0} % of what was written")));
    }
    let Some(objective) = &report.objective else { return Ok((Trial::Holds, String::new())) };
    let slo = objective.slo;
    let Some(measured) = objective.measured_milliseconds else {
        return Err(Failure::new(format!(
            "{} s at {rate} records a second have too few samples for p{}; measure longer with \
             --duration, or begin at a higher rate with --from",
            report.measured_seconds, slo.percent
        )));
    };
    let verdict = if objective.is_met { Trial::Holds } else { Trial::Misses };
    let reason = match verdict {
        Trial::Misses => {
            let name = slo.latency.name().replace('_', " ");
            format!("{name} p{} {measured:.2} ms is above {} ms", slo.percent, slo.milliseconds)
        }
        _ => String::new(),
    };
    Ok((verdict, reason))
}
