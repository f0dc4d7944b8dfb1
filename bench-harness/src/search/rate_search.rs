//! Which rate is run next in a search for the highest that holds.
//!
//! ```text
//!   bracket   doubles while the rate holds, halves while it does not
//!   bisect    the geometric middle between the highest that held and the lowest that did not
//!   confirm   the highest that held, once more: what held by luck is given up, and the search goes on below it
//! ```
//!
//! Invariant: every rate that held is below every rate that did not. A rate that holds above one that did not is
//! never asked about, so that the number of runs has a bound whatever the broker does.

use serde::Serialize;

use super::rounded;
use super::step::Trial;

/// A disturbed run says nothing and is repeated so often.
pub const REPEATS_MAX: u32 = 2;
/// Halvings of a first rate that did not hold.
const HALVINGS_MAX: u32 = 10;

/// What is searched for, within which bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SloPlan {
    /// Records a second; the first rate that is run.
    pub from: f64,
    /// Higher ones are not run.
    pub to: Option<f64>,
    /// The search ends when the bracket is as narrow as this share.
    pub precision: f64,
    /// Of all runs, repeated ones included.
    pub runs_max: u32,
}

/// Why a rate is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    Ramp,
    Bracket,
    Bisect,
    Confirm,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Next {
    Run { rate: f64, purpose: Purpose },
    Done(Outcome),
}

/// How a search ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// The highest rate that held, and the lowest above it that did not.
    Found { rate: f64, missed: Option<f64>, is_confirmed: bool },
    /// Not even this one held.
    NothingHeld { lowest: f64 },
    /// The machine disturbed every run of this rate.
    Disturbed { rate: f64 },
}

/// A search under way.
#[derive(Clone, Debug)]
pub struct RateSearch {
    plan: SloPlan,
    /// Upwards.
    held: Vec<f64>,
    missed: Option<f64>,
    runs: u32,
    /// Disturbed runs of the rate that is next.
    repeats: u32,
    outcome: Option<Outcome>,
}

impl RateSearch {
    #[must_use]
    pub const fn new(plan: SloPlan) -> Self {
        Self { plan, held: Vec::new(), missed: None, runs: 0, repeats: 0, outcome: None }
    }

    #[must_use]
    pub fn next(&self) -> Next {
        if let Some(outcome) = self.outcome {
            return Next::Done(outcome);
        }
        let best = self.held.last().copied();
        let left = self.plan.runs_max.saturating_sub(self.runs);
        if left == 0 {
            return Next::Done(self.out_of_runs());
        }
        let run = |rate: f64, purpose| Next::Run { rate: rounded(rate), purpose };
        match (best, self.missed) {
            (None, None) => run(self.plan.from, Purpose::Bracket),
            (Some(held), None) => match self.plan.to {
                _ if left == 1 => run(held, Purpose::Confirm),
                Some(to) if held >= rounded(to) => run(held, Purpose::Confirm),
                Some(to) => run((held * 2.0).min(to), Purpose::Bracket),
                None => run(held * 2.0, Purpose::Bracket),
            },
            (None, Some(missed)) => {
                // Rates are rounded: half a halving of slack.
                if missed < self.plan.from * 2f64.powf(0.5 - f64::from(HALVINGS_MAX)) {
                    return Next::Done(Outcome::NothingHeld { lowest: missed });
                }
                run(missed / 2.0, Purpose::Bracket)
            }
            (Some(held), Some(missed)) => {
                let middle = rounded((held * missed).sqrt());
                let is_narrow = missed <= held * (1.0 + self.plan.precision);
                if left == 1 || is_narrow || middle <= held || middle >= missed {
                    return run(held, Purpose::Confirm);
                }
                run(middle, Purpose::Bisect)
            }
        }
    }

    /// What came of the run that was next.
    ///
    /// # Panics
    /// When none was.
    pub fn tell(&mut self, trial: Trial) {
        let Next::Run { rate, purpose } = self.next() else { panic!("no run was asked for") };
        self.runs += 1;
        match trial {
            Trial::Disturbed => {
                self.repeats += 1;
                if self.repeats > REPEATS_MAX {
                    self.outcome = Some(Outcome::Disturbed { rate });
                }
                return;
            }
            Trial::Holds if purpose == Purpose::Confirm => {
                let missed = self.missed;
                self.outcome = Some(Outcome::Found { rate, missed, is_confirmed: true });
            }
            Trial::Holds => self.held.push(rate),
            Trial::Misses => {
                self.held.retain(|held| *held < rate);
                self.missed = Some(self.missed.map_or(rate, |missed| missed.min(rate)));
            }
        }
        self.repeats = 0;
        assert!(self.held.is_sorted(), "a search goes up only above what held");
        assert!(self.held.last().zip(self.missed).is_none_or(|(held, missed)| *held < missed));
    }

    #[must_use]
    pub const fn has_held(&self) -> bool {
        !self.held.is_empty()
    }

    fn out_of_runs(&self) -> Outcome {
        match (self.held.last(), self.missed) {
            (Some(held), missed) => Outcome::Found { rate: *held, missed, is_confirmed: false },
            (None, Some(lowest)) => Outcome::NothingHeld { lowest },
            (None, None) => Outcome::Disturbed { rate: self.plan.from },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Next, Outcome, Purpose, RateSearch, SloPlan, Trial};

    const PLAN: SloPlan = SloPlan { from: 1_000.0, to: None, precision: 0.05, runs_max: 30 };

    /// Runs a search against a broker that is a function; gives the outcome and what was run.
    fn search(plan: SloPlan, mut broker: impl FnMut(f64) -> Trial) -> (Outcome, Vec<f64>) {
        let mut search = RateSearch::new(plan);
        let mut rates = Vec::new();
        loop {
            match search.next() {
                Next::Done(outcome) => return (outcome, rates),
                Next::Run { rate, .. } => {
                    rates.push(rate);
                    search.tell(broker(rate));
                }
            }
        }
    }

    fn knee_at(knee: f64) -> impl FnMut(f64) -> Trial {
        move |rate| if rate <= knee { Trial::Holds } else { Trial::Misses }
    }

    #[test]
    fn a_known_knee_is_found_within_the_precision_and_confirmed() {
        for knee in [3.0, 150.0, 999.0, 1_000.0, 1_001.0, 47_123.0, 3_000_000.0] {
            let (outcome, rates) = search(PLAN, knee_at(knee));
            let Outcome::Found { rate, missed, is_confirmed } = outcome else {
                panic!("{outcome:?}")
            };
            assert!(is_confirmed && rate <= knee, "{knee}: {outcome:?}");
            assert!(
                missed.unwrap() > knee && missed.unwrap() <= rate * 1.0501,
                "{knee}: {outcome:?}"
            );
            assert!(rates.len() < 20, "{knee}: {rates:?}");
            assert_eq!(rates.last(), Some(&rate), "the last run confirms");
        }
    }

    #[test]
    fn a_search_ends_at_its_upper_bound_and_where_nothing_holds() {
        let (outcome, rates) = search(SloPlan { to: Some(5_000.0), ..PLAN }, |_| Trial::Holds);
        assert_eq!(outcome, Outcome::Found { rate: 5_000.0, missed: None, is_confirmed: true });
        assert_eq!(rates, [1_000.0, 2_000.0, 4_000.0, 5_000.0, 5_000.0]);
        let (outcome, rates) = search(PLAN, |_| Trial::Misses);
        assert!(matches!(outcome, Outcome::NothingHeld { lowest } if lowest < 1.0));
        assert_eq!(rates.len(), 11);
    }

    #[test]
    fn a_disturbed_run_is_repeated_and_after_three_the_search_gives_up() {
        let mut count = 0;
        let (outcome, rates) = search(PLAN, |rate| {
            count += 1;
            if count == 2 { Trial::Disturbed } else { knee_at(2_500.0)(rate) }
        });
        assert!(matches!(outcome, Outcome::Found { is_confirmed: true, .. }));
        assert_eq!(rates[1], rates[2], "the same rate again");
        let (outcome, rates) = search(PLAN, |_| Trial::Disturbed);
        assert_eq!(outcome, Outcome::Disturbed { rate: 1_000.0 });
        assert_eq!(rates.len(), 3);
    }

    /// The highest rate holds once by luck, and not when it is to be confirmed.
    #[test]
    fn what_held_by_luck_is_not_the_result() {
        let mut lucky = true;
        let (outcome, _) = search(PLAN, |rate| {
            let is_lucky = rate == 4_000.0 && std::mem::take(&mut lucky);
            if rate <= 3_000.0 || is_lucky { Trial::Holds } else { Trial::Misses }
        });
        let Outcome::Found { rate, is_confirmed, .. } = outcome else { panic!("{outcome:?}") };
        assert!(is_confirmed && rate <= 3_000.0 && rate > 2_800.0, "{outcome:?}");
    }

    #[test]
    fn the_number_of_runs_has_its_bound_and_the_last_one_confirms() {
        for runs_max in 2..12 {
            let (outcome, rates) = search(SloPlan { runs_max, ..PLAN }, knee_at(700_000.0));
            assert_eq!(rates.len(), runs_max as usize);
            assert!(matches!(outcome, Outcome::Found { is_confirmed: true, .. }), "{outcome:?}");
        }
        let mut search = RateSearch::new(SloPlan { runs_max: 1, ..PLAN });
        assert_eq!(search.next(), Next::Run { rate: 1_000.0, purpose: Purpose::Bracket });
        search.tell(Trial::Holds);
        let once = Outcome::Found { rate: 1_000.0, missed: None, is_confirmed: false };
        assert_eq!(search.next(), Next::Done(once));
    }

    /// A broker that holds and misses at random must not make it run for ever.
    #[test]
    fn a_broker_without_a_knee_ends_the_search_too() {
        for seed in 0..200 {
            let mut random = crate::random::Random::for_part(seed, 1);
            let (_, rates) = search(PLAN, |_| match random.below(3) {
                0 => Trial::Holds,
                1 => Trial::Misses,
                _ => Trial::Disturbed,
            });
            assert!(rates.len() <= PLAN.runs_max as usize);
        }
    }
}
