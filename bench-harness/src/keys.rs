//! Which key each record has.

use crate::random::Random;
use crate::workload::KeyChoice;

/// Chooses keys, one after another.
#[derive(Clone, Debug)]
pub struct Keys {
    choice: KeyChoice,
    next: u64,
    random: Random,
    /// Zipf: the sum of all weights up to each key.
    cumulative: Vec<f64>,
}

impl Keys {
    #[must_use]
    pub fn new(choice: KeyChoice, seed: u64) -> Self {
        let cumulative = match choice {
            KeyChoice::Zipf { count } => (1..=count)
                .scan(0.0, |sum, rank| {
                    *sum += 1.0 / f64::from(rank);
                    Some(*sum)
                })
                .collect(),
            _ => Vec::new(),
        };
        Self { choice, next: 0, random: Random::for_part(seed, 0x6b65_7973), cumulative }
    }

    /// The next record's key as text of eight digits, or none.
    pub fn next_key(&mut self) -> Option<[u8; 8]> {
        let number = match self.choice {
            KeyChoice::None => return None,
            KeyChoice::RoundRobin { count } => {
                let number = self.next % u64::from(count);
                self.next += 1;
                number
            }
            KeyChoice::Uniform { count } => self.random.below(u64::from(count)),
            KeyChoice::Zipf { .. } => {
                let whole = self.cumulative.last().copied().unwrap_or(0.0);
                let point = self.random.next_unit() * whole;
                self.cumulative.partition_point(|sum| *sum <= point) as u64
            }
        };
        Some(digits(number))
    }
}

fn digits(mut number: u64) -> [u8; 8] {
    let mut text = [b'0'; 8];
    for digit in text.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{KeyChoice, Keys};

    fn counts(choice: KeyChoice) -> BTreeMap<[u8; 8], u32> {
        let mut keys = Keys::new(choice, 1);
        let mut counts = BTreeMap::new();
        for _ in 0..100_000 {
            *counts.entry(keys.next_key().unwrap()).or_default() += 1;
        }
        counts
    }

    #[test]
    fn keys_are_as_many_and_as_frequent_as_chosen() {
        assert_eq!(Keys::new(KeyChoice::None, 1).next_key(), None);
        let even = counts(KeyChoice::RoundRobin { count: 100 });
        assert!(even.len() == 100 && even.values().all(|count| *count == 1_000));
        let uniform = counts(KeyChoice::Uniform { count: 100 });
        assert!(uniform.len() == 100 && uniform.values().all(|count| (800..1_200).contains(count)));
        let zipf = counts(KeyChoice::Zipf { count: 100 });
        let (first, second) = (zipf[b"00000000"], zipf[b"00000001"]);
        assert!((f64::from(first) / f64::from(second) - 2.0).abs() < 0.1);
    }
}
