//! An interval log of HdrHistogram (V2, compressed): one histogram a second and latency, tagged with the latency's
//! name, in nanoseconds. HdrHistogram's own tools read it.

use std::io::Write;
use std::time::{Duration, SystemTime};

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use crate::histograms::{Histograms, Latency};

/// Written as the run goes: histograms of many seconds would not fit into memory.
#[derive(Default)]
pub struct IntervalLog {
    lines: Vec<u8>,
}

impl IntervalLog {
    /// Adds a second of the run's clock.
    pub fn add(&mut self, second: u64, histograms: &Histograms) {
        let mut serializer = V2DeflateSerializer::new();
        let mut lines = Vec::new();
        let written = IntervalLogWriterBuilder::new().begin_log_with(&mut lines, &mut serializer);
        let mut writer = written.expect("memory takes what is written");
        // Every log begins with its comment lines: those of the whole log are written by `finish`.
        for latency in Latency::ALL {
            let histogram = histograms.get(latency);
            if !histogram.is_empty() {
                let written = writer.write_histogram(
                    histogram,
                    Duration::from_secs(second),
                    Duration::from_secs(1),
                    Tag::new(latency.name()),
                );
                written.expect("memory takes what is written, and bounds are constant");
            }
        }
        drop(writer);
        let text = lines.split_inclusive(|byte| *byte == b'\n');
        let data = text.filter(|line| !line.starts_with(b"#") && !line.starts_with(b"\"Start"));
        data.for_each(|line| self.lines.extend_from_slice(line));
    }

    /// The whole file. `start` is when the run's clock began.
    #[must_use]
    pub fn finish(&self, start: SystemTime) -> Vec<u8> {
        let mut file = Vec::new();
        let mut serializer = V2DeflateSerializer::new();
        let mut builder = IntervalLogWriterBuilder::new();
        builder
            .add_comment("corelane-bench: latencies in nanoseconds, one line a second and latency")
            .with_start_time(start)
            .with_base_time(start);
        drop(builder.begin_log_with(&mut file, &mut serializer));
        file.write_all(&self.lines).expect("memory takes what is written");
        file
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use hdrhistogram::Histogram;
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    use super::IntervalLog;
    use crate::histograms::{Histograms, Latency};

    #[test]
    fn the_log_reads_back_as_it_was_recorded() {
        let mut log = IntervalLog::default();
        for second in 0..3 {
            let mut histograms = Histograms::default();
            histograms.record(Latency::Response, 1_000_000 * (second + 1), 10);
            histograms.record(Latency::Service, 500, 4);
            log.add(second, &histograms);
        }
        let file = log.finish(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000));
        let entries: Vec<_> = IntervalLogIterator::new(&file).map(Result::unwrap).collect();
        let intervals: Vec<_> = entries
            .iter()
            .filter_map(|entry| match entry {
                LogEntry::Interval(interval) => Some(interval),
                _ => None,
            })
            .collect();
        assert_eq!(intervals.len(), 6);
        let last = intervals[5];
        assert_eq!(last.tag().unwrap().as_str(), "response");
        assert_eq!(last.start_timestamp(), Duration::from_secs(2));
        let decoded = base64_decoded(last.encoded_histogram());
        let histogram: Histogram<u64> =
            Deserializer::new().deserialize(&mut decoded.as_slice()).unwrap();
        assert_eq!(histogram.len(), 10);
        assert!(histogram.equivalent(histogram.max(), 3_000_000));
    }

    fn base64_decoded(text: &str) -> Vec<u8> {
        const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let (mut bits, mut count, mut bytes) = (0u32, 0, Vec::new());
        for byte in text.bytes().filter(|byte| *byte != b'=') {
            let digit = DIGITS.iter().position(|digit| *digit == byte).unwrap();
            bits = (bits << 6) | u32::try_from(digit).unwrap();
            count += 6;
            if count >= 8 {
                count -= 8;
                bytes.push((bits >> count) as u8);
                bits &= (1 << count) - 1;
            }
        }
        bytes
    }
}
