//! One shape after the other, in several rounds: what disturbs one round is seen in the others, and the median of each
//! shape is not the disturbed one.

use std::time::Duration;

use crate::disk_probes::{Bandwidth, DiskProbeError, Shape};
use crate::limits::ROUNDS_AGREE_PERCENT;

/// A median needs an odd number; with three, one may be disturbed.
const ROUNDS: u32 = 3;

pub(super) struct Sweep {
    /// Of each shape, in their order.
    pub(super) medians: Vec<Bandwidth>,
    /// False where of some shape no two rounds agree.
    pub(super) is_steady: bool,
}

impl Sweep {
    /// `time` for each shape, in all rounds together.
    pub(super) fn measure(
        shapes: &[Shape],
        time: Duration,
        probe: &dyn Fn(Shape, Duration) -> Result<Bandwidth, DiskProbeError>,
    ) -> Result<Self, DiskProbeError> {
        let mut rounds: Vec<Vec<Bandwidth>> = Vec::new();
        for _ in 0..ROUNDS {
            let round = shapes.iter().map(|shape| probe(*shape, time / ROUNDS));
            rounds.push(round.collect::<Result<_, _>>()?);
        }
        Ok(Self::of(&rounds))
    }

    fn of(rounds: &[Vec<Bandwidth>]) -> Self {
        let shapes = rounds.first().map_or(0, Vec::len);
        let mut sweep = Self { medians: Vec::new(), is_steady: true };
        for at in 0..shapes {
            let mut of_shape: Vec<Bandwidth> = rounds.iter().map(|round| round[at]).collect();
            of_shape.sort_by(|a, b| a.bytes_per_second.total_cmp(&b.bytes_per_second));
            let agree = |pair: &[Bandwidth]| {
                let (slower, faster) = (pair[0].bytes_per_second, pair[1].bytes_per_second);
                faster * 100.0 <= slower * ROUNDS_AGREE_PERCENT
            };
            sweep.is_steady &= of_shape.windows(2).any(agree);
            sweep.medians.push(of_shape[of_shape.len() / 2]);
        }
        sweep
    }
}

#[cfg(test)]
mod tests {
    use super::Sweep;
    use crate::disk_probes::{Bandwidth, Direction, FileState, Shape};

    fn round(speeds: [f64; 2]) -> Vec<Bandwidth> {
        let measured = |(at, bytes_per_second): (usize, f64)| Bandwidth {
            direction: Direction::Write,
            state: FileState::Preallocated,
            shape: Shape { block_bytes: 4096, depth: at + 1 },
            bytes_per_second,
            requests: 1,
        };
        speeds.into_iter().enumerate().map(measured).collect()
    }

    fn speeds(rounds: [[f64; 2]; 3]) -> (Vec<f64>, bool) {
        let sweep = Sweep::of(&rounds.map(round));
        (sweep.medians.iter().map(|one| one.bytes_per_second).collect(), sweep.is_steady)
    }

    /// A single pass took whatever it met for the disk.
    #[test]
    fn one_disturbed_round_does_not_count_and_two_are_told() {
        let quiet = [[100.0, 200.0], [105.0, 210.0], [95.0, 190.0]];
        assert_eq!(speeds(quiet), (vec![100.0, 200.0], true));
        let once = [[100.0, 200.0], [10.0, 210.0], [95.0, 20.0]];
        assert_eq!(speeds(once), (vec![95.0, 200.0], true));
        let always = [[100.0, 200.0], [105.0, 100.0], [95.0, 20.0]];
        assert_eq!(speeds(always), (vec![100.0, 100.0], false));
    }
}
