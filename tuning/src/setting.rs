//! One setting of the kernel: a file below `/proc/sys` or `/sys`, and how it shows what it holds.
//!
//! Only settings that cannot cost data are settings here: [`Setting::new`] refuses all others, for
//! what `tune` would write and for what a journal says that it wrote.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::host_root::HostRoot;

/// A file that holds one setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    path: String,
    form: Form,
}

/// How the file shows its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// The value: `4096`, or several numbers with white space between.
    Plain,
    /// All values there are, the one in force in brackets: `none [mq-deadline] kyber`.
    Choice,
}

/// Where settings are. Mounts, and devices as such, are elsewhere.
const PLACES: [&str; 2] = ["/proc/sys/", "/sys/"];

/// Files whose change can cost acknowledged records: a disk whose cache is said to be "write through"
/// is no longer told to flush it.
const NEVER_WRITTEN: [&str; 2] = ["write_cache", "fua"];

impl Setting {
    /// `None` for what is never written.
    pub fn new(path: impl Into<String>, form: Form) -> Option<Self> {
        let path = path.into();
        let is_below = PLACES.iter().any(|place| path.starts_with(place));
        let name = path.rsplit('/').next().unwrap_or_default();
        let leads_elsewhere = path.split('/').any(|part| part == "..");
        (is_below && !leads_elsewhere && !NEVER_WRITTEN.contains(&name))
            .then_some(Self { path, form })
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn form(&self) -> Form {
        self.form
    }

    /// Whether a journal may name it.
    pub(crate) fn is_allowed(&self) -> bool {
        Self::new(self.path.clone(), self.form).is_some()
    }

    /// What is in force.
    pub(crate) fn read(&self, host: &HostRoot) -> io::Result<String> {
        let text = host.reading(&self.path)?;
        match self.form {
            Form::Plain => Ok(text),
            Form::Choice => Ok(chosen(&text).to_owned()),
        }
    }

    /// Writes it as the kernel takes it. In a recorded tree the file then shows what the kernel's would.
    pub(crate) fn write(&self, host: &HostRoot, value: &str) -> io::Result<()> {
        let place = host.place(&self.path);
        if host.is_live() {
            // One write call: the kernel takes each as a value of its own.
            return OpenOptions::new().write(true).open(place)?.write_all(value.as_bytes());
        }
        let before = fs::read_to_string(&place)?;
        let after = match self.form {
            Form::Choice => with_chosen(&before, value)?,
            Form::Plain => {
                let ending = &before[before.trim_end().len()..];
                format!("{value}{ending}")
            }
        };
        // A file that is cut first would be empty if this was the end.
        let mut file = OpenOptions::new().write(true).open(place)?;
        file.write_all(after.as_bytes())?;
        file.set_len(after.len() as u64)
    }
}

/// Whether two values mean the same to the kernel, which sets blanks as it likes.
pub(crate) fn same(one: &str, other: &str) -> bool {
    one.split_whitespace().eq(other.split_whitespace())
}

/// The word in brackets; a lone word where there is no choice.
fn chosen(text: &str) -> &str {
    let inside = text.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    inside.map_or(text, |(word, _)| word)
}

/// The brackets moved to `value`, which must be among the words.
fn with_chosen(text: &str, value: &str) -> io::Result<String> {
    let plain = text.replace(['[', ']'], "");
    let is_choice = text.contains('[');
    let mut at = 0;
    for word in plain.split_inclusive(char::is_whitespace) {
        if word.trim() == value {
            let end = at + value.len();
            return Ok(match is_choice {
                true => format!("{}[{value}]{}", &plain[..at], &plain[end..]),
                false => plain,
            });
        }
        at += word.len();
    }
    Err(Errno::INVAL.into())
}

#[cfg(test)]
mod tests {
    use super::{Form, Setting, same, with_chosen};
    use crate::recorded_tree::RecordedTree;

    #[test]
    fn what_can_cost_data_is_no_setting() {
        for path in [
            "/sys/block/vda/queue/write_cache",
            "/sys/block/vda/queue/fua",
            "/etc/fstab",
            "/proc/self/mem",
            "/proc/sys/../sysrq-trigger",
            "/sys/../etc/passwd",
            "relative",
        ] {
            assert_eq!(Setting::new(path, Form::Plain), None, "{path}");
        }
        assert!(Setting::new("/sys/block/vda/queue/nomerges", Form::Plain).is_some());
    }

    #[test]
    fn a_choice_moves_its_brackets_and_back() {
        let before = "none [mq-deadline] kyber \n";
        let after = with_chosen(before, "none").expect("a choice");
        assert_eq!(after, "[none] mq-deadline kyber \n");
        assert_eq!(with_chosen(&after, "mq-deadline").expect("a choice"), before);
        assert!(with_chosen(before, "bfq").is_err());
        assert!(with_chosen("always defer defer+madvise [madvise] never\n", "defer").is_ok());
    }

    #[test]
    fn a_recorded_setting_is_read_written_and_put_back_as_it_was() {
        for (form, text, wanted, shown) in [
            (Form::Plain, "4096\t131072\t6291456", "1\t2\t3", "1\t2\t3"),
            (Form::Choice, "none [mq-deadline]", "none", "none"),
            (Form::Choice, "none", "none", "none"),
        ] {
            let path = "/sys/block/vda/queue/scheduler";
            let tree = RecordedTree::unpack("").with(path, &format!("{text}\n"));
            let setting = Setting::new(path, form).expect("a setting");
            let before = setting.read(&tree.root()).expect("readable");
            setting.write(&tree.root(), wanted).expect("writable");
            assert_eq!(setting.read(&tree.root()).expect("readable"), shown);
            setting.write(&tree.root(), &before).expect("writable");
            assert_eq!(tree.text(path), format!("{text}\n"));
        }
    }

    #[test]
    fn blanks_do_not_make_a_value_another() {
        assert!(same("4096 87380\t6291456", "4096\t87380\t6291456"));
        assert!(!same("1 2", "12"));
    }
}
