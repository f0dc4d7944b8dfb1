//! What is compared: cases, who takes part in each, and at which rate.

use crate::failure::Failure;
use crate::results::comparison::{Case, CaseRun};
use crate::statistics;
use crate::workload::{Rate, Workload};

/// Digits of a rate that was derived: the third would pretend to know something.
const RATE_DIGITS: i32 = 2;

/// One workload at one load.
#[derive(Clone, Debug)]
pub struct CasePlan {
    pub id: String,
    pub title: String,
    pub workload: Workload,
    pub rate: RateChoice,
    pub seats: Vec<Seat>,
    /// Indices of seats whose ratios are told.
    pub pairs: Vec<(usize, usize)>,
}

/// A contender's place in a case. A control has the same contender in two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    pub contender: usize,
    pub id: String,
}

/// How fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateChoice {
    /// As the workload says.
    AsWritten,
    /// Half of what the slowest seat did in an earlier case: the same rate for all.
    HalfOfSlowest { case: usize },
    /// Half of what each did itself in an earlier case.
    HalfOfOwn { case: usize },
}

impl CasePlan {
    /// The same subject twice: what it differs by is noise.
    #[must_use]
    pub fn control(&self, measured_seconds: f64) -> Self {
        let first = &self.seats[0];
        let seat =
            |number| Seat { contender: first.contender, id: format!("{}#{number}", first.id) };
        let mut workload = self.workload.clone();
        workload.duration_seconds = workload.duration_seconds.min(measured_seconds);
        Self {
            id: "control".to_owned(),
            title: "A/A control: one broker against itself".to_owned(),
            workload,
            rate: RateChoice::AsWritten,
            seats: vec![seat(1), seat(2)],
            pairs: vec![(0, 1)],
        }
    }

    /// The workload of each seat; `done` are the cases before.
    pub(super) fn workloads(&self, done: &[Case]) -> Result<Vec<Workload>, Failure> {
        let with = |rate: f64| {
            let mut workload = self.workload.clone();
            workload.rate = Rate::Open { records_per_second: rounded(rate) };
            // What the file said of its own rate is not so any more.
            workload.notes.retain(|note| !note.starts_with("producerRate"));
            workload
        };
        match self.rate {
            RateChoice::AsWritten => Ok(self.seats.iter().map(|_| self.workload.clone()).collect()),
            RateChoice::HalfOfOwn { case } => self
                .saturations(done.get(case))
                .map(|all| all.iter().map(|r| with(r / 2.0)).collect()),
            RateChoice::HalfOfSlowest { case } => {
                let all = self.saturations(done.get(case))?;
                let slowest = all.iter().copied().fold(f64::INFINITY, f64::min);
                Ok(all.iter().map(|_| with(slowest / 2.0)).collect())
            }
        }
    }

    pub(super) fn rate_chosen(&self) -> Option<String> {
        match self.rate {
            RateChoice::AsWritten => None,
            RateChoice::HalfOfOwn { .. } => {
                Some("half of what each did at saturation: different rates".to_owned())
            }
            RateChoice::HalfOfSlowest { .. } => {
                Some("half of what the slowest did at saturation, the same rate for all".to_owned())
            }
        }
    }

    /// Records a second of each seat in an earlier case.
    fn saturations(&self, case: Option<&Case>) -> Result<Vec<f64>, Failure> {
        let rate_of = |seat: &Seat| {
            let runs = case.iter().flat_map(|case| &case.runs);
            let values: Vec<f64> =
                runs.filter(|run| run.subject == seat.id).filter_map(records_per_second).collect();
            statistics::mean(&values).map(|found| found.mean)
        };
        let rates: Option<Vec<f64>> = self.seats.iter().map(rate_of).collect();
        rates.ok_or_else(|| {
            Failure::new("no rate can be chosen: not every broker has a result at saturation")
        })
    }
}

fn records_per_second(run: &CaseRun) -> Option<f64> {
    run.report.as_ref()?["throughput"]["acknowledged_records_per_second"].as_f64()
}

fn rounded(rate: f64) -> f64 {
    let unit = 10f64.powi(rate.log10().floor() as i32 - (RATE_DIGITS - 1));
    ((rate / unit).floor() * unit).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::rounded;

    #[test]
    fn rates_are_rounded_down() {
        assert_eq!(rounded(123_456.0), 120_000.0);
        assert_eq!(rounded(999.0), 990.0);
        assert_eq!(rounded(1.5), 1.5);
        assert_eq!(rounded(0.01), 1.0);
    }
}
