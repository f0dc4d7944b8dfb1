//! Blocks: who runs when, and what counts.
//!
//! ```text
//!   block 0   A B      block 1   B A      block 2   A B   …
//!             └ a run that failed or is invalid: the block again, at most twice
//! ```
//!
//! A block is repeated as a whole, since its runs are compared with each other. Where the repeats of a block did not
//! help, later blocks of the case are not repeated: it is the machine or the broker, not chance.

use crate::failure::{Exit, Failure};
use crate::results::comparison::CaseRun;

/// A block, its repeats included.
const ATTEMPTS_MAX: u32 = 3;

/// What is to run next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) seat: usize,
    /// From 0.
    pub(super) block: u32,
    /// From 1.
    pub(super) attempt: u32,
}

/// Runs all blocks. `measure` fails only where nothing can go on.
pub(super) fn run(
    seats: usize,
    blocks: u32,
    measure: &mut dyn FnMut(Turn) -> Result<CaseRun, Failure>,
) -> Result<Vec<CaseRun>, Failure> {
    let mut all = Vec::new();
    let mut attempts_max = ATTEMPTS_MAX;
    for block in 0..blocks {
        let attempts = attempts_max;
        for attempt in 1..=attempts {
            let turns = order(seats, block).map(|seat| Turn { seat, block, attempt });
            let mut runs: Vec<CaseRun> = turns.map(&mut *measure).collect::<Result<_, _>>()?;
            let is_good = runs.iter().all(|run| run.counts);
            let is_last = is_good || attempt == attempts;
            if !is_last {
                for run in runs.iter_mut().filter(|run| run.counts) {
                    run.counts = false;
                    run.reason = Some("another run of its block did not count".to_owned());
                }
            }
            all.append(&mut runs);
            if is_good {
                break;
            }
            if is_last {
                attempts_max = 1;
            }
        }
    }
    Ok(all)
}

/// Forwards in even blocks, backwards in odd ones.
fn order(seats: usize, block: u32) -> impl Iterator<Item = usize> {
    (0..seats).map(move |at| if block.is_multiple_of(2) { at } else { seats - 1 - at })
}

/// The exit code of all runs together: what was lost matters most.
pub(super) fn worst(exits: impl Iterator<Item = Exit>) -> Exit {
    let rank = |exit: &Exit| match exit {
        Exit::Done => 0,
        Exit::ObjectiveMissed => 1,
        Exit::InvalidEnvironment => 2,
        Exit::Failed => 3,
        Exit::NotVerified => 4,
        Exit::Interrupted => 5,
    };
    exits.max_by_key(rank).unwrap_or(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::{Turn, run};
    use crate::results::comparison::CaseRun;

    /// Turns as `seat` letters with block and attempt, a star where the run counts.
    fn play(seats: usize, blocks: u32, is_good: impl Fn(Turn) -> bool) -> Vec<String> {
        let runs = run(seats, blocks, &mut |turn| {
            let counts = is_good(turn);
            Ok(CaseRun {
                subject: ["A", "B", "C"][turn.seat].to_owned(),
                block: turn.block,
                attempt: turn.attempt,
                counts,
                reason: (!counts).then(|| "disturbed".to_owned()),
                remark: None,
                offered_records_per_second: None,
                start_up: None,
                report: None,
                folder: None,
            })
        });
        let text = |run: &CaseRun| {
            let star = if run.counts { "*" } else { "" };
            format!("{}{}.{}{star}", run.subject, run.block, run.attempt)
        };
        runs.unwrap().iter().map(text).collect()
    }

    #[test]
    fn every_second_block_goes_backwards() {
        assert_eq!(play(2, 2, |_| true), ["A0.1*", "B0.1*", "B1.1*", "A1.1*"]);
        assert_eq!(play(3, 2, |_| true).concat(), "A0.1*B0.1*C0.1*C1.1*B1.1*A1.1*");
    }

    #[test]
    fn a_disturbed_block_is_repeated_as_a_whole() {
        let runs = play(2, 2, |turn| turn != Turn { seat: 1, block: 0, attempt: 1 });
        assert_eq!(runs, ["A0.1", "B0.1", "A0.2*", "B0.2*", "B1.1*", "A1.1*"]);
    }

    #[test]
    fn repeats_end_and_are_not_tried_again_where_they_did_not_help() {
        let runs = play(2, 3, |turn| turn.seat == 0);
        let expected =
            ["A0.1", "B0.1", "A0.2", "B0.2", "A0.3*", "B0.3", "B1.1", "A1.1*", "A2.1*", "B2.1"];
        assert_eq!(runs, expected, "what is good of the last attempt counts for other pairs");
    }
}
