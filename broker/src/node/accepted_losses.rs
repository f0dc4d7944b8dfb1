//! Losses that were accepted while the node was stopped: each partition gets a new leader epoch, so that
//! what is appended from now on shares none with what is gone.
//!
//! The note of `corelane verify --accept-loss` goes only when the new epoch is durable in the metadata log:
//! a node that is killed in between raises the epoch once more, which harms nobody.

use std::path::PathBuf;

use coordinator::Metadata;
use coordinator::metadata::LeaderEpochBump;
use engine::disk::{DirId, FileSystem, FileSystemError};
use engine::recovery::NodeRecovery;
use engine::recovery::suspicion::ACCEPT_LOSS_FILE;
use protocol::{LeaderEpoch, Offset};

use super::NodeError;
use super::data_directories::DataDirectories;

/// A partition whose loss was accepted since the last start.
#[derive(Clone, Debug)]
pub(super) struct AcceptedLoss {
    dir: DirId,
    directory: PathBuf,
    log_end: Offset,
    pub(super) bump: LeaderEpochBump,
}

/// Those of topics that the metadata knows; of others nobody is served.
pub(super) fn find(found: &NodeRecovery, metadata: &Metadata) -> Vec<AcceptedLoss> {
    let partitions = found.accepted_losses.iter().filter_map(|id| found.partitions.get(id));
    let known = partitions.filter(|partition| {
        let topic = metadata.image().topic(partition.id.topic_id);
        topic.is_some_and(|topic| topic.partition(partition.id.partition).is_some())
    });
    let accepted = known.map(|partition| AcceptedLoss {
        dir: partition.directory.dir,
        directory: partition.directory.path.clone(),
        log_end: partition.end.offset,
        bump: LeaderEpochBump {
            topic: partition.id.topic_id,
            partition: partition.id.partition,
            above: partition.leader_epoch,
        },
    });
    accepted.collect()
}

impl AcceptedLoss {
    pub(super) fn sentence(&self, leader_epoch: LeaderEpoch) -> String {
        format!(
            "{}: its loss was accepted: the log goes on at offset {} in leader epoch {leader_epoch}",
            self.directory.display(),
            self.log_end
        )
    }
}

/// The new epochs are durable: the notes have done their work.
pub(super) fn forget(
    losses: &[AcceptedLoss],
    directories: &DataDirectories,
) -> Result<(), NodeError> {
    for loss in losses {
        let directory = directories.get(loss.dir);
        let removed = directory
            .fs
            .remove_file(&loss.directory.join(ACCEPT_LOSS_FILE))
            .and_then(|()| directory.fs.sync_dir(&loss.directory));
        match removed {
            // A deleted topic took it along.
            Ok(()) | Err(FileSystemError::NotFound) => {}
            Err(error) => return Err(NodeError::Disk { path: directory.path.clone(), error }),
        }
    }
    Ok(())
}
