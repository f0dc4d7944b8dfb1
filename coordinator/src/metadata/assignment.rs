//! Which brokers replicate a partition: checked where a client says so, spread evenly where none
//! does.

use alloc::vec::Vec;
use core::fmt;

use protocol::{BrokerId, PartitionIndex};

use super::image::Image;
use crate::limits::REPLICAS_MAX;

/// Why an assignment of partitions to brokers is refused; declared in the order in which it is
/// checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AssignmentError {
    DuplicatePartition {
        partition: PartitionIndex,
    },
    NoReplicas,
    TooManyReplicas {
        replicas: usize,
    },
    UnknownBroker {
        broker: BrokerId,
    },
    DuplicateBroker {
        broker: BrokerId,
    },
    /// Partitions of one topic have equally many replicas.
    ReplicationFactorDiffers {
        replicas: usize,
        expected: usize,
    },
    /// Partitions are numbered from 0 without gaps.
    NotConsecutive,
    /// For new partitions of a topic: one assignment for each.
    CountDiffers {
        added: usize,
        assignments: usize,
    },
}

impl fmt::Display for AssignmentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DuplicatePartition { partition } => {
                write!(f, "Found multiple manual partition assignments for partition {partition}")
            }
            Self::NoReplicas => {
                f.write_str("The manual partition assignment includes an empty replica list.")
            }
            Self::TooManyReplicas { replicas } => write!(
                f,
                "The manual partition assignment includes a partition with {replicas} replica(s); \
                 at most {REPLICAS_MAX} are possible."
            ),
            Self::UnknownBroker { broker } => write!(
                f,
                "The manual partition assignment includes broker {broker}, but no such broker is \
                 registered."
            ),
            Self::DuplicateBroker { broker } => write!(
                f,
                "The manual partition assignment includes the broker {broker} more than once."
            ),
            Self::ReplicationFactorDiffers { replicas, expected } => write!(
                f,
                "The manual partition assignment includes a partition with {replicas} replica(s), \
                 but this is not consistent with previous partitions, which have {expected} \
                 replica(s)."
            ),
            Self::NotConsecutive => {
                f.write_str("partitions should be a consecutive 0-based integer sequence")
            }
            Self::CountDiffers { added, assignments } => write!(
                f,
                "Attempted to add {added} additional partition(s), but only {assignments} \
                 assignment(s) were specified."
            ),
        }
    }
}

impl core::error::Error for AssignmentError {}

/// Checks the brokers that a client names for one partition.
pub(crate) fn check_brokers(
    image: &Image,
    brokers: &[BrokerId],
    replication_factor: Option<usize>,
) -> Result<(), AssignmentError> {
    if brokers.is_empty() {
        return Err(AssignmentError::NoReplicas);
    }
    if brokers.len() > REPLICAS_MAX {
        return Err(AssignmentError::TooManyReplicas { replicas: brokers.len() });
    }
    for (at, broker) in brokers.iter().enumerate() {
        if image.broker(*broker).is_none() {
            return Err(AssignmentError::UnknownBroker { broker: *broker });
        }
        if brokers[..at].contains(broker) {
            return Err(AssignmentError::DuplicateBroker { broker: *broker });
        }
    }
    match replication_factor {
        Some(expected) if expected != brokers.len() => {
            let replicas = brokers.len();
            Err(AssignmentError::ReplicationFactorDiffers { replicas, expected })
        }
        Some(_) | None => Ok(()),
    }
}

/// Brokers for the partitions from `first` on: leaders go round the brokers, followers are the next
/// ones round.
pub(crate) fn spread(
    image: &Image,
    ordinal: u64,
    first: usize,
    count: usize,
    replication_factor: usize,
) -> Vec<Vec<BrokerId>> {
    let brokers: Vec<BrokerId> = image.brokers().map(|broker| broker.id).collect();
    assert!(replication_factor <= brokers.len(), "the caller checked the replication factor");
    let start = usize::try_from(ordinal % brokers.len() as u64).expect("less than the brokers");
    let of_partition = |partition: usize| {
        let round = (start + partition..).take(replication_factor);
        round.map(|at| brokers[at % brokers.len()]).collect()
    };
    (first..first + count).map(of_partition).collect()
}
