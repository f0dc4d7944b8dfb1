//! Numbers as people read them: three digits that count.

/// With k, M and G.
pub(crate) fn count(number: f64) -> String {
    scaled(number, &["", " k", " M", " G"])
}

/// Decimal units, as disks and networks are sold.
pub(crate) fn bytes(number: f64) -> String {
    scaled(number, &[" B", " kB", " MB", " GB"])
}

/// Without the unit.
pub(crate) fn milliseconds(nanoseconds: u64) -> String {
    let milliseconds = nanoseconds as f64 / 1e6;
    match milliseconds {
        small if small < 1.0 => format!("{small:.3}"),
        middle if middle < 100.0 => format!("{middle:.2}"),
        large => format!("{large:.0}"),
    }
}

/// Nanoseconds, with their unit.
pub(crate) fn duration(nanoseconds: f64) -> String {
    scaled(nanoseconds, &[" ns", " µs", " ms", " s"])
}

fn scaled(number: f64, units: &[&str]) -> String {
    let mut rest = number;
    let mut unit = units[0];
    for larger in &units[1..] {
        if rest < 999.5 {
            break;
        }
        rest /= 1000.0;
        unit = larger;
    }
    let digits = if unit == units[0] || rest >= 99.95 { 0 } else { 2 };
    format!("{rest:.digits$}{unit}")
}

#[cfg(test)]
mod tests {
    use super::{bytes, count, duration, milliseconds};

    #[test]
    fn numbers_have_their_unit() {
        assert_eq!(count(12.0), "12");
        assert_eq!(count(999.6), "1.00 k");
        assert_eq!(count(123_456.0), "123 k");
        assert_eq!(bytes(1_870_000_000.0), "1.87 GB");
        assert_eq!(bytes(0.0), "0 B");
        assert_eq!(duration(500.0), "500 ns");
        assert_eq!(duration(2_000_000.0), "2.00 ms");
        assert_eq!(milliseconds(102_300), "0.102");
        assert_eq!(milliseconds(1_234_567), "1.23");
        assert_eq!(milliseconds(1_234_567_890), "1235");
    }
}
