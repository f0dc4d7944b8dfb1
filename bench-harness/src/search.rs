//! Searching for a rate by running a workload at one after another.
//!
//! * `rate_search`: which rate `slo` runs next: brackets, then halves, then confirms
//! * `ramp`: the rates of `ramp`, and the knee of its curve
//! * `step`: one run as a search sees it: did the rate hold?
//! * `running`: the runs themselves, and the files
//!
//! Deciding is apart from running, so that a search is tested against a model of a broker with a known knee. Every
//! step is a whole run that verified: one that did not ends the search, as an interruption does, and what ran before it
//! is kept.

pub mod ramp;
pub mod rate_search;
pub mod running;
pub mod step;

use serde::Serialize;

pub use ramp::RampPlan;
pub use rate_search::SloPlan;
pub use running::{Search, SearchEvent};
pub use step::Step;

use crate::workload::Slo;

/// `ramp.json` and `slo.json`.
#[derive(Clone, Debug, Serialize)]
pub struct SearchReport {
    /// `ramp` or `slo`.
    pub kind: &'static str,
    /// Of the workload.
    pub workload: String,
    pub label: String,
    pub client: &'static str,
    /// As the broker says itself; where it does not, what the workload asked for.
    pub durability: String,
    pub arguments: Vec<String>,
    pub objective: Option<Slo>,
    /// What was searched for; `None` where it was not found.
    pub records_per_second: Option<f64>,
    /// What that rate is, in a few words.
    pub found: String,
    /// The result in one sentence.
    pub sentence: String,
    /// In the order in which they ran.
    pub steps: Vec<Step>,
}

/// Four digits that count: rates that people can read.
fn rounded(rate: f64) -> f64 {
    let unit = 10f64.powf(rate.max(1e-3).log10().floor() - 3.0);
    // Division by a whole number is exact where multiplication by its inverse is not.
    if unit < 1.0 {
        (rate / unit).round() / (1.0 / unit).round()
    } else {
        (rate / unit).round() * unit
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn rates_have_four_digits() {
        assert_eq!(super::rounded(123_456.0), 123_500.0);
        assert_eq!(super::rounded(70_710.678), 70_710.0);
        assert_eq!(super::rounded(1.23456), 1.235);
        assert_eq!(super::rounded(50_000.0), 50_000.0);
    }
}
