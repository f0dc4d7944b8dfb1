//! Values to places on paper, and where an axis has its ticks. Pure.

/// How values lie on an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    Linear,
    /// By their logarithm: equal ratios are equally far apart. Values must be positive.
    Log,
}

/// About so many ticks make an axis readable.
const TICKS: f64 = 5.0;

/// Values from `from` to `to`, drawn from pixel `start` to pixel `end` (which may be the smaller one).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Axis {
    pub(super) scale: Scale,
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) start: f64,
    pub(super) end: f64,
}

impl Axis {
    /// Holds all values, with ends that people like; a linear one begins at 0 where that is not far away.
    pub(super) fn around(scale: Scale, values: impl Iterator<Item = f64>) -> Self {
        let usable = |value: &f64| value.is_finite() && (scale == Scale::Linear || *value > 0.0);
        let (mut from, mut to) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(usable) {
            (from, to) = (from.min(value), to.max(value));
        }
        if from > to {
            (from, to) = (1.0, 1.0);
        }
        match scale {
            Scale::Linear => {
                from = from.min(0.0);
                to = if to > from { to } else { from + 1.0 };
                let step = step(to - from);
                (from, to) = ((from / step).floor() * step, (to / step).ceil() * step);
            }
            Scale::Log => {
                from = one_two_five(from, Rounding::Down);
                to = one_two_five(to, Rounding::Up);
                if to <= from {
                    to = from * 10.0;
                }
            }
        }
        Self { scale, from, to, start: 0.0, end: 1.0 }
    }

    pub(super) fn over(self, start: f64, end: f64) -> Self {
        Self { start, end, ..self }
    }

    /// The pixel of a value; what lies outside is drawn at the edge.
    pub(super) fn at(&self, value: f64) -> f64 {
        let place = |value: f64| match self.scale {
            Scale::Linear => value,
            Scale::Log => value.max(f64::MIN_POSITIVE).log10(),
        };
        let share = (place(value) - place(self.from)) / (place(self.to) - place(self.from));
        self.start + share.clamp(0.0, 1.0) * (self.end - self.start)
    }

    pub(super) fn ticks(&self) -> Vec<f64> {
        match self.scale {
            Scale::Linear => {
                let step = step(self.to - self.from);
                // An axis of time has the ends that it has: ticks are where numbers are round.
                let first = (self.from / step - 1e-9).ceil() as i64;
                let last = (self.to / step + 1e-9).floor() as i64;
                (first..=last).map(|at| at as f64 * step).collect()
            }
            Scale::Log => {
                let decades = self.to.log10() - self.from.log10();
                let digits: &[f64] = if decades > 3.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
                let first = self.from.log10().floor() as i32;
                let last = self.to.log10().ceil() as i32;
                let all = (first..=last)
                    .flat_map(|decade| digits.iter().map(move |digit| digit * 10f64.powi(decade)));
                let slack = 1.0 + 1e-9;
                all.filter(|tick| *tick * slack >= self.from && *tick <= self.to * slack).collect()
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Rounding {
    Down,
    Up,
}

/// 1, 2 or 5 times a power of ten.
fn one_two_five(value: f64, rounding: Rounding) -> f64 {
    let decade = 10f64.powi(value.log10().floor() as i32);
    let slack = 1.0 + 1e-9;
    let steps = [1.0, 2.0, 5.0, 10.0].map(|digit| digit * decade);
    match rounding {
        Rounding::Down => steps.into_iter().rfind(|step| *step <= value * slack),
        Rounding::Up => steps.into_iter().find(|step| *step * slack >= value),
    }
    .unwrap_or(value)
}

fn step(range: f64) -> f64 {
    one_two_five(range / TICKS, Rounding::Up)
}

#[cfg(test)]
mod tests {
    use super::{Axis, Scale};

    #[test]
    fn a_linear_axis_begins_at_nothing_and_ends_at_a_round_number() {
        let axis = Axis::around(Scale::Linear, [3.0, 47.0].into_iter()).over(0.0, 100.0);
        assert_eq!((axis.from, axis.to), (0.0, 50.0));
        assert_eq!(axis.ticks(), [0.0, 10.0, 20.0, 30.0, 40.0, 50.0]);
        assert_eq!((axis.at(0.0), axis.at(25.0), axis.at(99.0)), (0.0, 50.0, 100.0));
    }

    #[test]
    fn equal_ratios_are_equally_far_apart_on_a_logarithmic_axis() {
        let axis = Axis::around(Scale::Log, [1.0, 1_000.0, 0.0].into_iter()).over(300.0, 0.0);
        assert_eq!((axis.from, axis.to), (1.0, 1_000.0));
        let place = |value| axis.at(value).round();
        assert_eq!((place(1.0), place(10.0), place(100.0)), (300.0, 200.0, 100.0));
        assert_eq!(axis.ticks(), [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0]);
    }

    #[test]
    fn ticks_are_round_numbers_within_the_axis_whatever_its_ends_are() {
        let axis = Axis { scale: Scale::Linear, from: 3.0, to: 14.0, start: 0.0, end: 1.0 };
        assert_eq!(axis.ticks(), [5.0, 10.0]);
    }

    #[test]
    fn nothing_and_a_single_value_have_an_axis_too() {
        for scale in [Scale::Linear, Scale::Log] {
            for values in [vec![], vec![7.0], vec![0.0]] {
                let axis = Axis::around(scale, values.iter().copied());
                assert!(axis.from < axis.to && axis.at(7.0).is_finite(), "{scale:?} {values:?}");
                assert!(axis.ticks().len() > 1, "{scale:?} {values:?}");
            }
        }
    }
}
