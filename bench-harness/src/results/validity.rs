//! Whether a run says something about the broker: rules that were fixed before it began.

use serde::Serialize;

use crate::accounting::Used;
use crate::histograms::{Histograms, Latency};
use crate::workload::InvalidationRules;

/// The verdict of the rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Validity {
    pub is_valid: bool,
    /// Each rule that was broken, in words.
    pub reasons: Vec<String>,
    /// The same rules, for programs.
    pub broken: Vec<Rule>,
}

/// What a run must not do, or must not have done to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    Steal,
    IoPressure,
    OtherCpu,
    ClientCpu,
    SentLate,
    Unsent,
}

impl Rule {
    /// Whether a lower rate would have kept it; the others are the machine's doing.
    #[must_use]
    pub const fn is_about_the_rate(self) -> bool {
        matches!(self, Self::ClientCpu | Self::SentLate | Self::Unsent)
    }

    /// Whether it says something about the broker: neither machine nor client was the reason.
    #[must_use]
    pub const fn is_the_brokers_doing(self) -> bool {
        matches!(self, Self::SentLate | Self::Unsent)
    }
}

/// A run, as the rules see it.
pub struct Circumstances<'a> {
    pub rules: &'a InvalidationRules,
    pub used: &'a Used,
    pub measured: &'a Histograms,
    pub seconds: f64,
    pub unsent_records: u64,
    pub is_open_loop: bool,
}

#[must_use]
pub fn judge(run: &Circumstances<'_>) -> Validity {
    let all = broken_by_the_machine(run).into_iter().chain(broken_by_the_rate(run));
    let (broken, reasons): (Vec<Rule>, Vec<String>) = all.unzip();
    Validity { is_valid: broken.is_empty(), reasons, broken }
}

fn broken_by_the_machine(run: &Circumstances<'_>) -> Vec<(Rule, String)> {
    let mut broken = Vec::new();
    let rules = run.rules;
    if run.used.steal_percent > rules.steal_percent_max {
        let reason = format!(
            "the hypervisor took {:.1} % of the CPU time (at most {} %): other machines disturbed it",
            run.used.steal_percent, rules.steal_percent_max
        );
        broken.push((Rule::Steal, reason));
    }
    if let (Some(measured), Some(most)) =
        (run.used.io_pressure_percent, rules.io_pressure_percent_max)
        && measured > most
    {
        let reason = format!(
            "the disk kept somebody waiting {measured:.0} % of the time (at most {most} %)"
        );
        broken.push((Rule::IoPressure, reason));
    }
    if let Some(others) = run.used.other_cpu_percent
        && others > rules.other_cpu_percent_max
    {
        let reason = format!(
            "others than broker and client used {others:.0} % of the machine (at most {} %): other \
             programs disturbed it",
            rules.other_cpu_percent_max
        );
        broken.push((Rule::OtherCpu, reason));
    }
    broken
}

fn broken_by_the_rate(run: &Circumstances<'_>) -> Vec<(Rule, String)> {
    let mut broken = Vec::new();
    let rules = run.rules;
    let busiest = run.used.client_thread_cpu_seconds_max / run.seconds * 100.0;
    // A closed loop is there to find out how much a client can do.
    if run.is_open_loop && busiest > rules.client_cpu_percent_max {
        let reason = format!(
            "the client's busiest thread used {busiest:.0} % of a core (at most {} %): it was the \
             client that was measured",
            rules.client_cpu_percent_max
        );
        broken.push((Rule::ClientCpu, reason));
    }
    let delay = run.measured.get(Latency::ScheduleDelay);
    if run.is_open_loop && !delay.is_empty() {
        let delay_ms = delay.value_at_quantile(0.99) as f64 / 1e6;
        let response_ms = run.measured.get(Latency::Response).value_at_quantile(0.99) as f64 / 1e6;
        // Both must hold: a late generator matters when it is a part of what is reported.
        if delay_ms > rules.schedule_delay_milliseconds_max && delay_ms > response_ms / 10.0 {
            let reason = format!(
                "records were sent {delay_ms:.1} ms late at p99 (at most {} ms, or a tenth of the \
                 response's {response_ms:.1} ms): client or broker did not keep up with the rate",
                rules.schedule_delay_milliseconds_max
            );
            broken.push((Rule::SentLate, reason));
        }
    }
    if run.unsent_records > 0 {
        let reason = format!(
            "{} records that were due were never sent: the broker did not hold the rate",
            run.unsent_records
        );
        broken.push((Rule::Unsent, reason));
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::{Circumstances, judge};
    use crate::accounting::Used;
    use crate::histograms::{Histograms, Latency};
    use crate::workload::InvalidationRules;

    const RULES: InvalidationRules = InvalidationRules {
        steal_percent_max: 2.0,
        io_pressure_percent_max: Some(20.0),
        client_cpu_percent_max: 90.0,
        other_cpu_percent_max: 30.0,
        schedule_delay_milliseconds_max: 1.0,
    };

    fn reasons(used: &Used, delay_ms: u64, response_ms: u64, unsent_records: u64) -> usize {
        let mut measured = Histograms::default();
        measured.record(Latency::ScheduleDelay, delay_ms * 1_000_000, 1_000);
        measured.record(Latency::Response, response_ms * 1_000_000, 1_000);
        let circumstances = Circumstances {
            rules: &RULES,
            used,
            measured: &measured,
            seconds: 10.0,
            unsent_records,
            is_open_loop: true,
        };
        let validity = judge(&circumstances);
        assert_eq!(validity.is_valid, validity.reasons.is_empty());
        assert_eq!(validity.broken.len(), validity.reasons.len());
        validity.reasons.len()
    }

    #[test]
    fn each_rule_is_a_reason_of_its_own() {
        let quiet = Used::default();
        assert_eq!(reasons(&quiet, 0, 5, 0), 0);
        assert_eq!(reasons(&Used { steal_percent: 2.1, ..quiet.clone() }, 0, 5, 0), 1);
        let waiting = Used { io_pressure_percent: Some(21.0), ..quiet.clone() };
        assert_eq!(reasons(&waiting, 0, 5, 0), 1);
        let crowded = Used { other_cpu_percent: Some(31.0), ..quiet.clone() };
        assert_eq!(reasons(&crowded, 0, 5, 0), 1);
        let busy = Used { client_thread_cpu_seconds_max: 9.5, ..quiet.clone() };
        assert_eq!(reasons(&busy, 0, 5, 0), 1);
        assert_eq!(reasons(&quiet, 2, 5, 0), 1);
        assert_eq!(reasons(&quiet, 2, 50, 0), 0, "a small part of the response");
        assert_eq!(reasons(&quiet, 0, 5, 1), 1);
    }
}
