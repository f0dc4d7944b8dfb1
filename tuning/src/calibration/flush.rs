//! Whether what a disk calls durable can be believed. Nothing proves it but a power cut; what is too good is seen.

use serde::Serialize;

use crate::disk_probes::{Samples, believable};
use crate::limits::FLUSH_COST_PERCENT_MIN;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FlushTrust {
    Believable,
    /// 4 KiB are durable faster than on any device that keeps what it was told.
    TooFast,
    /// The disk says that it has a volatile cache, and flushing it costs nothing: it has power of its own, or somebody
    /// below it does not pass flushes on.
    CostsNothing,
}

impl FlushTrust {
    /// Of one write, made durable and not. Too few samples are no reason to doubt.
    pub(super) fn judge(durable: &Samples, plain: &Samples, has_volatile_cache: bool) -> Self {
        if !believable(durable) {
            return Self::TooFast;
        }
        match (durable.p50_nanoseconds, plain.p50_nanoseconds) {
            (Some(durable), Some(plain))
                if has_volatile_cache && durable * 100 < plain * FLUSH_COST_PERCENT_MIN =>
            {
                Self::CostsNothing
            }
            _ => Self::Believable,
        }
    }

    #[must_use]
    pub fn is_believable(self) -> bool {
        self == Self::Believable
    }
}

#[cfg(test)]
mod tests {
    use super::FlushTrust;
    use crate::disk_probes::Samples;

    fn median(micros: u64) -> Samples {
        Samples { count: 100, p50_nanoseconds: Some(micros * 1_000), ..Samples::default() }
    }

    #[test]
    fn a_flush_that_costs_nothing_is_doubted_where_there_is_something_to_flush() {
        for (durable, plain, has_volatile_cache, expected) in [
            (500, 50, true, FlushTrust::Believable),
            (51, 50, true, FlushTrust::CostsNothing),
            (40, 50, true, FlushTrust::CostsNothing),
            // Without a volatile cache there is nothing to wait for.
            (51, 50, false, FlushTrust::Believable),
            (3, 3, true, FlushTrust::TooFast),
            (3, 3, false, FlushTrust::TooFast),
        ] {
            let judged = FlushTrust::judge(&median(durable), &median(plain), has_volatile_cache);
            assert_eq!(judged, expected, "{durable} and {plain} microseconds");
        }
        let none = Samples::default();
        assert!(FlushTrust::judge(&none, &none, true).is_believable(), "nothing was seen");
    }
}
