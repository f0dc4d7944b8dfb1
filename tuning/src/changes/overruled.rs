//! Files of sysctls that are read after ours at a start of the machine, and so win over them.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::catalogue::sysctl_name;
use crate::changes::owned_files::OwnedFile;
use crate::host_root::HostRoot;
use crate::setting::same;

/// A setting that we keep and that somebody else's file sets to another value later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Overruled {
    /// `net.core.somaxconn`.
    pub name: String,
    pub value: String,
    pub by: String,
}

/// Of two files with one name that of the earlier folder counts; else they are read in the order of their names.
const FOLDERS: [&str; 4] =
    ["/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d"];

/// Of these settings, which our file of sysctls keeps.
pub(crate) fn overruled(host: &HostRoot, settings: &[(String, String)]) -> Vec<Overruled> {
    let later = later_files(host);
    let found = settings.iter().enumerate().filter_map(|(at, (path, ours))| {
        // Of two values of one setting the later is the one that we keep.
        if settings[at + 1..].iter().any(|(other, _)| other == path) {
            return None;
        }
        let name = sysctl_name(path)?;
        let last = later.iter().rev().find_map(|(by, text)| {
            let value = value_of(text, &name)?;
            Some(Overruled { name: name.clone(), value: value.to_owned(), by: by.clone() })
        });
        last.filter(|last| !same(&last.value, ours))
    });
    found.collect()
}

/// Path and text of each file that is read after ours, in the order in which they are read.
fn later_files(host: &HostRoot) -> Vec<(String, String)> {
    let ours = OwnedFile::Sysctl.path().rsplit('/').next().unwrap_or_default();
    let mut by_name: BTreeMap<String, String> = BTreeMap::new();
    for folder in FOLDERS {
        let names = host.names(folder).into_iter();
        for name in names.filter(|name| name.ends_with(".conf") && name.as_str() > ours) {
            let path = format!("{folder}/{name}");
            by_name.entry(name).or_insert(path);
        }
    }
    let files = by_name.into_values();
    files.filter_map(|path| host.text(&path).map(|text| (path, text))).collect()
}

/// The last value that a file gives a setting. A `-` before a name only says that failing is no error.
fn value_of<'text>(text: &'text str, name: &str) -> Option<&'text str> {
    text.lines().rev().find_map(|line| {
        let line = line.trim();
        if line.starts_with(['#', ';']) {
            return None;
        }
        let (key, value) = line.trim_start_matches('-').split_once('=')?;
        (key.trim().replace('/', ".") == name).then(|| value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::{Overruled, overruled};
    use crate::recorded_tree::RecordedTree;

    /// It was written, and had no effect at the next start of the machine.
    #[test]
    fn a_file_that_is_read_later_and_says_something_else_is_told() {
        let settings = [
            ("/proc/sys/net/core/somaxconn".to_owned(), "4096".to_owned()),
            ("/proc/sys/vm/swappiness".to_owned(), "1".to_owned()),
            ("/sys/kernel/mm/transparent_hugepage/enabled".to_owned(), "madvise".to_owned()),
        ];
        let look = |tree: &RecordedTree| overruled(&tree.root(), &settings);
        let earlier = RecordedTree::unpack("")
            .with("/etc/sysctl.d/10-ours.conf", "net.core.somaxconn = 128\n")
            .with("/etc/sysctl.d/61-corelane-tune.conf", "net.core.somaxconn = 4096\n")
            .with("/usr/lib/sysctl.d/99-same.conf", "vm.swappiness=1\n# vm.swappiness = 60\n")
            .with("/etc/sysctl.d/99-notes.txt", "vm.swappiness = 60\n");
        assert!(look(&earlier).is_empty(), "{:?}", look(&earlier));
        let later = earlier
            .with("/etc/sysctl.d/99-sysctl.conf", "-net/core/somaxconn = 1\nkernel.x = 2\n")
            .with("/usr/lib/sysctl.d/99-sysctl.conf", "vm.swappiness = 60\n");
        let expected = Overruled {
            name: "net.core.somaxconn".to_owned(),
            value: "1".to_owned(),
            by: "/etc/sysctl.d/99-sysctl.conf".to_owned(),
        };
        assert_eq!(look(&later), [expected], "and what is masked by its name is not read");
    }
}
