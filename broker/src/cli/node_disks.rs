//! Which disks a command looks at: those of a node's data directories, and what its configuration says of them.

use std::path::PathBuf;

use clap::Args;
use tuning::{CalibrationOrigin, DirectoryFacts, HostFacts};

use super::failure::Failure;
use super::tune::calibrated_origin;

#[derive(Args, Debug)]
pub(crate) struct NodeDisksArgs {
    /// The data directories, whose disks are looked at.
    #[arg(
        long = "data-dir",
        value_name = "DIR",
        env = "CORELANE_DATA_DIR",
        value_delimiter = ',',
        default_value = "./corelane-data"
    )]
    pub(crate) data_dirs: Vec<PathBuf>,

    /// The node's configuration: whether what `tune calibrate` wrote there is of this disk.
    #[arg(long, value_name = "FILE", env = "CORELANE_CONFIG")]
    config: Option<PathBuf>,
}

impl NodeDisksArgs {
    /// What was calibrated and what is here, where the configuration has such a result. The first directory counts:
    /// there is one `[disk]` for all.
    pub(crate) fn calibration(
        &self,
        machine: &HostFacts,
        directories: &[DirectoryFacts],
    ) -> Result<Option<(CalibrationOrigin, CalibrationOrigin)>, Failure> {
        let (Some(config), Some(directory)) = (&self.config, directories.first()) else {
            return Ok(None);
        };
        let then = calibrated_origin(config)?;
        Ok(then.map(|then| (then, CalibrationOrigin::of(directory, &machine.kernel))))
    }
}
