//! Which disk was measured, under which kernel: on another one the result says nothing.

use serde::Serialize;

use crate::byte_count::ByteCount;
use crate::check::{Check, Severity, Status};
use crate::directory::DirectoryFacts;
use crate::kernel::KernelFacts;

/// What a result holds for. Stands in `[disk.calibrated]` of the node's configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CalibrationOrigin {
    /// Names, models and sizes of the disks below the directory.
    pub device: String,
    pub file_system: String,
    pub kernel: String,
}

impl CalibrationOrigin {
    pub fn of(directory: &DirectoryFacts, kernel: &KernelFacts) -> Self {
        let disks = directory.disks.iter().map(|disk| {
            let mut text = disk.name.clone();
            if let Some(model) = &disk.model {
                text.push_str(&format!(" {model}"));
            }
            if let Some(ByteCount(bytes)) = disk.size {
                text.push_str(&format!(" {}", ByteCount(bytes)));
            }
            text
        });
        Self {
            device: disks.collect::<Vec<String>>().join(", "),
            file_system: directory.effective_kind().name().to_owned(),
            kernel: kernel.release.clone(),
        }
    }

    /// Whether what was measured holds for what is here.
    pub fn check(&self, now: &Self) -> Check {
        let parts = [
            ("device", &self.device, &now.device),
            ("file system", &self.file_system, &now.file_system),
            ("kernel", &self.kernel, &now.kernel),
        ];
        let changed: Vec<String> = parts
            .iter()
            .filter(|(_, then, now)| then != now)
            .map(|(what, then, now)| format!("{what} was {then}, is {now}"))
            .collect();
        let is_fresh = changed.is_empty();
        Check {
            id: "disk.calibration".to_owned(),
            title: "what `tune calibrate` measured",
            current: match is_fresh {
                true => "measured on this disk, under this kernel".to_owned(),
                false => changed.join("; "),
            },
            wanted: "the same disk, file system and kernel".to_owned(),
            why: "block sizes and depths of one disk may be wrong for another",
            mend: (!is_fresh).then(|| "corelane tune calibrate".to_owned()),
            severity: Severity::Warning,
            status: if is_fresh { Status::Passed } else { Status::Failed },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::CalibrationOrigin;
    use crate::check::Status;

    #[test]
    fn another_disk_or_kernel_is_told_with_what_mends_it() {
        let then = CalibrationOrigin {
            device: "vda 100 GiB".to_owned(),
            file_system: "ext4".to_owned(),
            kernel: "6.12.1".to_owned(),
        };
        assert_eq!(then.check(&then).status, Status::Passed);
        let now = CalibrationOrigin {
            device: "nvme0n1 1 TiB".to_owned(),
            kernel: "6.18.0".to_owned(),
            ..then.clone()
        };
        let check = then.check(&now);
        assert_eq!(check.status, Status::Failed);
        assert_eq!(
            check.current,
            "device was vda 100 GiB, is nvme0n1 1 TiB; kernel was 6.12.1, is 6.18.0"
        );
        assert_eq!(check.mend.as_deref(), Some("corelane tune calibrate"));
    }
}
