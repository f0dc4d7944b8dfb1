//! A file replaced in one step: whoever reads it meanwhile finds the old one or the new one, and the new one is whose the
//! old one was.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

/// The old content or the new, whenever the power goes. Where the owner cannot be kept nothing is replaced: a node that
/// may not read its configuration any more does not start.
pub(super) fn replace(path: &Path, content: &str) -> io::Result<()> {
    // Where the name is a link, the file behind it is meant.
    let target = fs::canonicalize(path).or_else(|_| std::path::absolute(path))?;
    let mut name = target.clone().into_os_string();
    name.push(".new");
    let newer = PathBuf::from(name);
    let result = write(&newer, content, fs::metadata(&target).ok().as_ref())
        .and_then(|()| fs::rename(&newer, &target));
    match result {
        // Without this the power could bring the old one back.
        Ok(()) => target.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all()),
        Err(error) => {
            let _ = fs::remove_file(&newer);
            Err(error)
        }
    }
}

fn write(newer: &Path, content: &str, older: Option<&Metadata>) -> io::Result<()> {
    // Nobody reads it before it is as the older one was.
    let mode = if older.is_some() { 0o600 } else { 0o666 };
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(newer)?;
    file.write_all(content.as_bytes())?;
    if let Some(older) = older {
        let made = file.metadata()?;
        if (made.uid(), made.gid()) != (older.uid(), older.gid()) {
            fchown(&file, Some(older.uid()), Some(older.gid())).map_err(|error| {
                io::Error::new(error.kind(), format!("its owner cannot be kept ({error})"))
            })?;
        }
        // Behind the change of the owner, which takes bits away.
        file.set_permissions(fs::Permissions::from_mode(older.mode() & 0o7777))?;
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};

    use super::super::super::tests::directory;
    use super::replace;

    /// It became the file of whoever measured, and a node of another user could not read it.
    #[test]
    fn owner_group_and_mode_stay() {
        let folder = directory();
        let file = folder.path().join("corelane.toml");
        let link = folder.path().join("link");
        fs::write(&file, "old").unwrap();
        symlink("corelane.toml", &link).unwrap();
        const NOBODY: u32 = 65_534;
        if chown(&file, Some(NOBODY), Some(NOBODY)).is_err() {
            eprintln!("not tried with another owner: only root gives files away");
        }
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        let before = fs::metadata(&file).unwrap();
        replace(&link, "new").unwrap();
        let after = fs::metadata(&file).unwrap();
        assert_eq!((after.uid(), after.gid()), (before.uid(), before.gid()));
        assert_eq!(after.mode(), before.mode());
        assert_ne!(after.ino(), before.ino(), "in one step");
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left beside it");
    }

    #[test]
    fn a_file_that_is_not_there_yet_is_made() {
        let folder = directory();
        let file = folder.path().join("corelane.toml");
        replace(&file, "new").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert!(replace(&folder.path().join("missing/corelane.toml"), "new").is_err());
    }
}
