//! The pair of times that every core is handed: monotonic for deadlines, wall for timestamps.
//!
//! Only shells read the clock; state machines take `now` as an argument.

use std::ops::Add;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of the machine's monotonic clock. Never steps back; for deadlines and durations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Monotonic(pub u64);

/// Milliseconds since 1970 of the wall clock. May step either way; for timestamps only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct WallMillis(pub i64);

/// Both times, read together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    pub monotonic: Monotonic,
    pub wall: WallMillis,
}

impl Monotonic {
    /// The latest time there is: a deadline that never comes.
    pub const MAX: Self = Self(u64::MAX);

    /// Reads the clock.
    pub fn read() -> Self {
        let time = clock_gettime(ClockId::Monotonic);
        let seconds = u64::try_from(time.tv_sec).expect("the monotonic clock starts at zero");
        let nanos = u64::try_from(time.tv_nsec).expect("nanoseconds are not negative");
        Self(seconds * 1_000_000_000 + nanos)
    }

    /// Time since `earlier`; zero where `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Monotonic {
    type Output = Self;

    /// Saturates: a sum beyond the clock's end is [`Monotonic::MAX`].
    fn add(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }
}

impl WallMillis {
    /// Reads the clock.
    pub fn read() -> Self {
        let time = clock_gettime(ClockId::Realtime);
        Self(time.tv_sec.saturating_mul(1000).saturating_add(time.tv_nsec / 1_000_000))
    }
}

impl Now {
    /// Reads both clocks.
    pub fn read() -> Self {
        Self { monotonic: Monotonic::read(), wall: WallMillis::read() }
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Monotonic, Now};

    #[test]
    fn monotonic_never_steps_back() {
        let first = Now::read();
        let second = Now::read();
        assert!(second.monotonic >= first.monotonic);
        assert!(first.wall.0 > 1_600_000_000_000, "wall time is in milliseconds since 1970");
    }

    #[test]
    fn sums_saturate_and_differences_do_not_go_below_zero() {
        assert_eq!(Monotonic::MAX + Duration::from_secs(1), Monotonic::MAX);
        assert_eq!(Monotonic(0) + Duration::MAX, Monotonic::MAX);
        assert_eq!(Monotonic(5) + Duration::from_nanos(7), Monotonic(12));
        assert_eq!(Monotonic(5).since(Monotonic(7)), Duration::ZERO);
        assert_eq!(Monotonic(7).since(Monotonic(5)), Duration::from_nanos(2));
    }
}
