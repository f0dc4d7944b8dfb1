//! Which disk was measured, under which kernel: on another one the result says nothing.

use serde::Serialize;

use crate::block_device::BlockDevice;
use crate::directory::DirectoryFacts;
use crate::kernel::KernelFacts;

/// What a result holds for. Stands in `[disk.calibrated]` of the node's configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CalibrationOrigin {
    /// Models, identities and sizes of the disks below the directory.
    pub device: String,
    pub file_system: String,
    pub kernel: String,
}

impl CalibrationOrigin {
    pub fn of(directory: &DirectoryFacts, kernel: &KernelFacts) -> Self {
        let disks: Vec<String> = directory.disks.iter().map(described).collect();
        Self {
            device: disks.join(", "),
            file_system: directory.effective_kind().name().to_owned(),
            kernel: kernel.release.clone(),
        }
    }

    /// A sentence for each part that is another now.
    pub(super) fn differences(&self, now: &Self) -> Vec<String> {
        let parts = [
            ("device", &self.device, &now.device),
            ("file system", &self.file_system, &now.file_system),
            ("kernel", &self.kernel, &now.kernel),
        ];
        let changed = parts.iter().filter(|(_, then, now)| then != now);
        changed.map(|(what, then, now)| format!("{what} was {then}, is {now}")).collect()
    }
}

/// By what stays: names change places from one start of the machine to the next, and count only where nothing else is
/// told.
fn described(disk: &BlockDevice) -> String {
    let name = disk.identity.is_none().then(|| disk.name.clone());
    let size = disk.size.map(|size| size.to_string());
    let parts = [name, disk.model.clone(), disk.identity.clone(), size];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::CalibrationOrigin;
    use crate::directory::DirectoryFacts;
    use crate::host::HostFacts;
    use crate::recorded_tree::{NUMA_SERVER, RecordedTree, TUNABLE_NUMA_SERVER};

    fn device(tree: &RecordedTree) -> String {
        let host = tree.root();
        let directory = DirectoryFacts::recorded(&host, Path::new("/data"));
        CalibrationOrigin::of(&directory, &HostFacts::read(&host).kernel).device
    }

    /// It was the name, which changes places: a result was called stale, or one disk's was taken for another's.
    #[test]
    fn a_disk_is_known_by_its_identity_and_by_its_name_only_without() {
        let told = device(&RecordedTree::unpack(TUNABLE_NUMA_SERVER));
        let (first, second) = told.split_once(", ").expect("two disks");
        assert!(first.contains("eui.0025384331408197") && !first.contains("nvme0n1"), "{first}");
        assert!(second.starts_with("nvme1n1"), "{second}");
        let serial = RecordedTree::unpack(NUMA_SERVER).with("/sys/devices/b/nvme1n1/serial", "S1");
        assert!(device(&serial).contains("S1"), "{}", device(&serial));
        let scsi = RecordedTree::unpack(NUMA_SERVER)
            .with("/sys/devices/b/nvme1n1/device/wwid", "naa.5002538e00000000");
        assert!(device(&scsi).contains("naa.5002538e00000000"), "{}", device(&scsi));
    }
}
