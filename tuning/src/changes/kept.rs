//! Which settings outlive a start of the machine: those that files of ours keep. All others end with it.

use crate::changes::change::Change;
use crate::changes::journal::Journaled;
use crate::changes::owned_files::OwnedFile;
use crate::host_root::HostRoot;

/// What files of ours should say: the settings that they keep already and those of the checks that were `asked` for. None
/// that is not as we left it, and none that ended with an earlier start of the machine: those are not ours any more.
pub(crate) fn to_keep(
    host: &HostRoot,
    live: &[Journaled],
    asked: &[String],
    boot: Option<&str>,
) -> Vec<(String, String)> {
    let settings = live.iter().filter_map(|entry| {
        let Change::Setting { setting, to, .. } = &entry.change else { return None };
        let is_asked = asked.contains(&entry.check);
        let is_wanted = (is_asked || is_kept(host, live, &entry.change))
            && !has_ended(host, live, entry, boot)
            && is_in_force(host, &entry.change);
        is_wanted.then(|| (setting.path().to_owned(), to.clone()))
    });
    settings.collect()
}

/// Whether a start of the machine ended it: then the setting is the kernel's or somebody else's again, whatever it is,
/// and there is nothing to put back.
pub(crate) fn has_ended(
    host: &HostRoot,
    live: &[Journaled],
    entry: &Journaled,
    boot: Option<&str>,
) -> bool {
    let Change::Setting { setting, .. } = &entry.change else { return false };
    if !entry.is_of_earlier_start(boot) {
        return false;
    }
    // Where our file is gone, by a rollback that was cut short in this start of the machine, the setting still has our
    // value.
    let file = OwnedFile::of_setting(setting.path());
    let may_be_ours = host.exists(file.path()) || is_in_force(host, &entry.change);
    !(is_kept(host, live, &entry.change) && may_be_ours)
}

/// Whether the newest of our files, as the journal has it, says this.
fn is_kept(host: &HostRoot, live: &[Journaled], change: &Change) -> bool {
    let Change::Setting { setting, to, .. } = change else { return false };
    let wanted = OwnedFile::of_setting(setting.path());
    let newest = live.iter().rev().find_map(|entry| match &entry.change {
        Change::File { file, to: text, .. } if *file == wanted => Some(text),
        Change::File { .. } | Change::Setting { .. } => None,
    });
    newest.is_some_and(|text| wanted.says(host, text, setting.path(), to))
}

fn is_in_force(host: &HostRoot, change: &Change) -> bool {
    change.present(host).is_ok_and(|present| change.is_made(present.as_deref()))
}
