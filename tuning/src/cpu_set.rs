//! Ids and sets of CPUs, in the kernel's list format (`0-3,8,10-11`).

use std::collections::BTreeSet;
use std::fmt;

use serde::{Serialize, Serializer};

/// A logical CPU, by the kernel's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct CpuId(pub u32);

impl fmt::Display for CpuId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)
    }
}

/// The kernel is built for 8,192 CPUs at the most; a list that names a higher one is malformed.
const CPU_ID_MAX: u32 = 8191;

/// CPUs in rising order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuSet(BTreeSet<CpuId>);

impl CpuSet {
    /// `None` if the text is no list. An empty text is an empty set.
    pub fn parse(list: &str) -> Option<Self> {
        let mut cpus = BTreeSet::new();
        for range in list.trim().split(',').filter(|range| !range.is_empty()) {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let first: u32 = first.trim().parse().ok()?;
            let last: u32 = last.trim().parse().ok()?;
            if first > last || last > CPU_ID_MAX {
                return None;
            }
            cpus.extend((first..=last).map(CpuId));
        }
        Some(Self(cpus))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn contains(&self, cpu: CpuId) -> bool {
        self.0.contains(&cpu)
    }

    pub fn first(&self) -> Option<CpuId> {
        self.0.first().copied()
    }

    pub fn iter(&self) -> impl Iterator<Item = CpuId> + '_ {
        self.0.iter().copied()
    }

    pub(crate) fn intersection(&self, other: &Self) -> Self {
        Self(self.0.intersection(&other.0).copied().collect())
    }
}

impl FromIterator<CpuId> for CpuSet {
    fn from_iter<I: IntoIterator<Item = CpuId>>(cpus: I) -> Self {
        Self(cpus.into_iter().collect())
    }
}

impl fmt::Display for CpuSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        let mut cpus = self.iter().peekable();
        while let Some(first) = cpus.next() {
            let mut last = first;
            while let Some(next) = cpus.next_if(|next| next.0 == last.0 + 1) {
                last = next;
            }
            match last == first {
                true => write!(formatter, "{separator}{first}")?,
                false => write!(formatter, "{separator}{first}-{last}")?,
            }
            separator = ",";
        }
        Ok(())
    }
}

impl Serialize for CpuSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::CpuSet;

    #[test]
    fn a_list_reads_and_prints_alike() {
        for (list, count) in [("", 0), ("0", 1), ("0-1", 2), ("0-3,8,10-11", 7), ("8191", 1)] {
            let set = CpuSet::parse(list).expect("a list");
            assert_eq!((set.len(), set.to_string()), (count, list.to_owned()));
        }
        assert_eq!(CpuSet::parse("2,0,1\n").expect("a list").to_string(), "0-2");
    }

    #[test]
    fn malformed_lists_are_refused() {
        for list in ["a", "1-", "-1", "3-1", "0-4294967295", "8192", "1;2"] {
            assert_eq!(CpuSet::parse(list), None, "{list:?}");
        }
    }
}
