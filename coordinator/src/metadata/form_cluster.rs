//! The first command of a cluster's life: its id.

use alloc::vec;
use core::fmt;

use protocol::Str;

use super::{Command, Decision, Metadata, MetadataRecord, WallMillis};

/// Gives the cluster its id; the caller drew it.
#[derive(Clone, Debug, PartialEq)]
pub struct FormCluster {
    pub cluster_id: Str,
}

#[derive(Clone, Debug, PartialEq)]
pub enum FormClusterError {
    AlreadyFormed { cluster_id: Str },
}

impl Command for FormCluster {
    type Reply = ();
    type Error = FormClusterError;

    fn decide(&self, metadata: &Metadata, _: WallMillis) -> Result<Decision<()>, FormClusterError> {
        if let Some(cluster_id) = metadata.image.cluster_id() {
            return Err(FormClusterError::AlreadyFormed { cluster_id: cluster_id.clone() });
        }
        let cluster_id = self.cluster_id.detached();
        Ok(Decision { records: vec![MetadataRecord::Cluster { cluster_id }], reply: () })
    }
}

impl fmt::Display for FormClusterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::AlreadyFormed { cluster_id } = self;
        write!(f, "this metadata log already belongs to the cluster {cluster_id}")
    }
}

impl core::error::Error for FormClusterError {}
