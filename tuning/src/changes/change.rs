//! One change, as the journal has it: noting what is there, writing, putting back.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::changes::change_error::ChangeError;
use crate::changes::owned_files::OwnedFile;
use crate::finding::SettingWrite;
use crate::host_root::HostRoot;
use crate::setting::{Setting, same};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Change {
    Setting {
        #[serde(flatten)]
        setting: Setting,
        from: String,
        to: String,
        /// What the kernel may have set anew with it, as it was before.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        resets: Vec<Saved>,
    },
    /// A file of ours; `from` is `None` where there was none.
    File { file: OwnedFile, from: Option<String>, to: String },
}

/// A setting and the value that it had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    #[serde(flatten)]
    setting: Setting,
    value: String,
}

impl Change {
    /// What a write would change, with the values of this moment; `None` where it is so already.
    pub(crate) fn of_write(
        host: &HostRoot,
        write: &SettingWrite,
    ) -> Result<Option<Self>, ChangeError> {
        let setting = write.setting.clone();
        let from = read(host, &setting)?;
        if same(&from, &write.to) {
            return Ok(None);
        }
        let saved = |setting: &Setting| {
            let value = setting.read(host).ok()?;
            Some(Saved { setting: setting.clone(), value })
        };
        let resets = write.resets.iter().filter_map(saved).collect();
        Ok(Some(Self::Setting { setting, from, to: write.to.clone(), resets }))
    }

    /// What a file of ours would change; `None` where it says so already.
    pub(crate) fn of_file(
        host: &HostRoot,
        file: OwnedFile,
        to: String,
    ) -> Result<Option<Self>, ChangeError> {
        let from = content(host, file)?;
        if from.as_deref() == Some(to.as_str()) {
            return Ok(None);
        }
        if from.as_deref().is_some_and(|text| !OwnedFile::is_ours(text)) {
            return Err(ChangeError::NotOurs { path: host.place(file.path()) });
        }
        let path = host.place(file.path());
        if let Some(folder) = path.parent().filter(|folder| !folder.is_dir()) {
            return Err(ChangeError::NoFolder { folder: folder.to_path_buf() });
        }
        Ok(Some(Self::File { file, from, to }))
    }

    /// Files of ours that no journal names, because somebody removed it: each as if it were new.
    pub(crate) fn forgotten<'live>(
        host: &HostRoot,
        live: impl Iterator<Item = &'live Self> + Clone,
    ) -> Vec<Self> {
        let present = OwnedFile::present(host).into_iter();
        let is_forgotten = |file: OwnedFile| {
            let mut live = live.clone();
            !live.any(|change| matches!(change, Self::File { file: known, .. } if *known == file))
        };
        let forgotten = present.filter(|(file, _)| is_forgotten(*file));
        forgotten.map(|(file, to)| Self::File { file, from: None, to }).collect()
    }

    pub fn path(&self) -> &str {
        match self {
            Self::Setting { setting, .. } => setting.path(),
            Self::File { file, .. } => file.path(),
        }
    }

    /// Whether a journal may say so: it is a file that somebody could have edited.
    pub(crate) fn is_allowed(&self) -> bool {
        match self {
            Self::Setting { setting, resets, .. } => {
                setting.is_allowed() && resets.iter().all(|saved| saved.setting.is_allowed())
            }
            Self::File { .. } => true,
        }
    }

    /// Writes it, and looks whether it is so.
    pub(crate) fn make(&self, host: &HostRoot) -> Result<(), ChangeError> {
        match self {
            Self::Setting { setting, to, .. } => write(host, setting, to),
            Self::File { file, to, .. } => replace(&host.place(file.path()), to),
        }
    }

    /// What is there now; `None` where the file is gone.
    pub(crate) fn present(&self, host: &HostRoot) -> Result<Option<String>, ChangeError> {
        match self {
            Self::Setting { setting, .. } => match setting.read(host) {
                Ok(value) => Ok(Some(value)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(source) => {
                    Err(ChangeError::Unreadable { path: host.place(setting.path()), source })
                }
            },
            Self::File { file, .. } => content(host, *file),
        }
    }

    /// Whether what is there is what was before the change.
    pub(crate) fn is_undone(&self, present: Option<&str>) -> bool {
        match self {
            Self::Setting { from, .. } => present.is_some_and(|present| same(present, from)),
            Self::File { from, .. } => present == from.as_deref(),
        }
    }

    /// Whether what is there is what the change made.
    pub(crate) fn is_made(&self, present: Option<&str>) -> bool {
        match self {
            Self::Setting { to, .. } => present.is_some_and(|present| same(present, to)),
            Self::File { to, .. } => present == Some(to.as_str()),
        }
    }

    /// Puts back what was there, and looks whether it is.
    pub(crate) fn undo(&self, host: &HostRoot) -> Result<(), ChangeError> {
        match self {
            Self::Setting { setting, from, .. } => {
                write(host, setting, from)?;
                self.undo_resets(host)
            }
            Self::File { file, from: Some(from), .. } => replace(&host.place(file.path()), from),
            Self::File { file, from: None, .. } => remove(&host.place(file.path())),
        }
    }

    /// Numbers that changed along with the setting; those of a scheduler that is gone are gone.
    pub(crate) fn undo_resets(&self, host: &HostRoot) -> Result<(), ChangeError> {
        let Self::Setting { resets, .. } = self else { return Ok(()) };
        for Saved { setting, value } in resets {
            let present = setting.read(host).ok();
            if present.is_some_and(|present| !same(&present, value)) {
                write(host, setting, value)?;
            }
        }
        Ok(())
    }

    /// Leaves a file of ours to whoever changed it: without our first line it is nobody's to remove.
    pub(crate) fn hand_over(&self, host: &HostRoot) -> Result<(), ChangeError> {
        let Self::File { file, .. } = self else { return Ok(()) };
        match content(host, *file)?.as_deref().and_then(OwnedFile::handed_over) {
            Some(theirs) => replace(&host.place(file.path()), &theirs),
            None => Ok(()),
        }
    }

    /// What a replacement that was cut short left beside the file.
    pub(crate) fn clean_up(&self, host: &HostRoot) {
        if let Self::File { file, .. } = self {
            // Mostly it is not there.
            let _ = fs::remove_file(beside(&host.place(file.path())));
        }
    }
}

fn read(host: &HostRoot, setting: &Setting) -> Result<String, ChangeError> {
    let unreadable = |source| ChangeError::Unreadable { path: host.place(setting.path()), source };
    setting.read(host).map_err(unreadable)
}

fn write(host: &HostRoot, setting: &Setting, value: &str) -> Result<(), ChangeError> {
    let path = || host.place(setting.path());
    setting.write(host, value).map_err(|source| ChangeError::Refused {
        path: path(),
        value: value.to_owned(),
        source,
    })?;
    let actual = read(host, setting)?;
    match same(&actual, value) {
        true => Ok(()),
        false => Err(ChangeError::NotTaken { path: path(), value: value.to_owned(), actual }),
    }
}

fn content(host: &HostRoot, file: OwnedFile) -> Result<Option<String>, ChangeError> {
    let path = host.place(file.path());
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ChangeError::Unreadable { path, source }),
    }
}

fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.new"))
}

/// The old content or the new, whenever the power goes.
fn replace(path: &Path, content: &str) -> Result<(), ChangeError> {
    let beside = beside(path);
    let write = || {
        let mut file = File::create(&beside)?;
        file.write_all(content.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        sync_folder(path)
    };
    write().map_err(|source| {
        let _ = fs::remove_file(&beside);
        ChangeError::Refused { path: path.to_path_buf(), value: "a new content".to_owned(), source }
    })
}

fn remove(path: &Path) -> Result<(), ChangeError> {
    let remove = || fs::remove_file(path).and_then(|()| sync_folder(path));
    remove().map_err(|source| ChangeError::Refused {
        path: path.to_path_buf(),
        value: "being removed".to_owned(),
        source,
    })
}

fn sync_folder(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}
