//! Which disks a command looks at: those of a node's data directories, and what its configuration says of them.

use std::path::PathBuf;

use broker::config::ConfigOutline;
use clap::Args;
use tuning::{CalibrationNow, CalibrationOrigin, CalibrationRecord, DirectoryFacts, HostFacts};

use super::failure::Failure;
use super::times;

#[derive(Args, Debug)]
pub(crate) struct NodeDisksArgs {
    /// The data directories, whose disks are looked at. [default: those of the configuration, else
    /// ./corelane-data]
    #[arg(long = "data-dir", value_name = "DIR", env = "CORELANE_DATA_DIR", value_delimiter = ',')]
    data_dirs: Vec<PathBuf>,

    /// The node's configuration: its data directories, and whether what `tune calibrate` wrote there is of this disk.
    #[arg(long, value_name = "FILE", env = "CORELANE_CONFIG")]
    config: Option<PathBuf>,
}

/// What flags, environment and file say together.
pub(crate) struct NodeDisks {
    /// As a start would choose them. Invariant: not empty.
    pub(crate) data_dirs: Vec<PathBuf>,
    /// The file that was read.
    pub(crate) config: Option<PathBuf>,
    calibrated: Option<CalibrationRecord>,
}

impl NodeDisksArgs {
    pub(crate) fn read(&self) -> Result<NodeDisks, Failure> {
        let outline = ConfigOutline::of_named(self.config.as_deref());
        let outline = outline.map_err(|error| Failure::failed(error.to_string()))?;
        Ok(NodeDisks {
            data_dirs: outline.data_dirs(&self.data_dirs),
            config: self.config.clone(),
            calibrated: outline.calibrated,
        })
    }
}

impl NodeDisks {
    /// What was calibrated and what is here, where the configuration has such a result. The first directory counts:
    /// there is one `[disk]` for all.
    pub(crate) fn calibration(
        self,
        machine: &HostFacts,
        directories: &[DirectoryFacts],
    ) -> Option<(CalibrationRecord, CalibrationNow)> {
        let (then, directory) = (self.calibrated?, directories.first()?);
        let origin = CalibrationOrigin::of(directory, &machine.kernel);
        Some((then, CalibrationNow { origin, unix_seconds: times::unix_seconds() }))
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::super::tests::directory;
    use super::NodeDisksArgs;

    /// The disk of ./corelane-data was looked at, and its calibration called stale or fresh.
    #[test]
    fn the_disks_of_the_configuration_are_looked_at_unless_others_are_given() {
        let folder = directory();
        let config = folder.path().join("corelane.toml");
        std::fs::write(&config, "data-dir = [\"/mnt/a\", \"/mnt/b\"]\n").unwrap();
        let read = |given: &[&str], config: Option<&Path>| {
            let data_dirs = given.iter().map(PathBuf::from).collect();
            let args = NodeDisksArgs { data_dirs, config: config.map(Path::to_path_buf) };
            args.read().unwrap().data_dirs
        };
        let of_file = [Path::new("/mnt/a"), Path::new("/mnt/b")];
        assert_eq!(read(&[], Some(&config)), of_file);
        assert_eq!(read(&["/mnt/c"], Some(&config)), [Path::new("/mnt/c")]);
        assert_eq!(read(&[], None), [Path::new("./corelane-data")]);
        let config = Some(folder.path().join("missing.toml"));
        let missing = NodeDisksArgs { data_dirs: Vec::new(), config };
        assert!(missing.read().is_err_and(|failure| failure.to_string().contains("--config")));
    }
}
