//! The machine that runs the tests, as far as it lets them: two settings that nobody notices for a moment.

use std::fs::OpenOptions;

use super::{SOMAXCONN, SWAPPINESS, state_folder};
use crate::changes::{
    AppliedState, ChangeState, Drifted, Plan, PlannedCheck, RolledBackState, apply, rollback,
    status,
};
use crate::check::Severity;
use crate::finding::SettingWrite;
use crate::host_root::HostRoot;
use crate::profile::Profile;
use crate::setting::{Form, Setting};

fn plan_of(setting: &Setting, from: &str, to: &str) -> Plan {
    let (from, to) = (from.to_owned(), to.to_owned());
    let write = SettingWrite { setting: setting.clone(), from, to, resets: Vec::new() };
    let check = PlannedCheck {
        id: "live".to_owned(),
        title: "a setting",
        why: "to see that it comes back",
        severity: Severity::Info,
        risk: None,
        writes: vec![write],
    };
    Plan {
        profile: Profile::Prod,
        checks: vec![check],
        skipped: Vec::new(),
        persist: false,
        asked: Vec::new(),
        conflict: None,
    }
}

#[test]
fn the_running_machine_is_changed_and_changed_back() {
    let host = HostRoot::live();
    for path in [SOMAXCONN, SWAPPINESS] {
        if let Err(error) = OpenOptions::new().write(true).open(path) {
            eprintln!("not tried: {path}: {error}");
            continue;
        }
        let setting = Setting::new(path, Form::Plain).expect("a setting");
        let before = setting.read(&host).expect("readable");
        let number: i64 = before.parse().expect("a number");
        let other = if number > 1 { number - 1 } else { number + 1 };
        let to = other.to_string();
        let state = state_folder();
        let applied = apply(&host, state.path(), &plan_of(&setting, &before, &to));
        let between = setting.read(&host);
        let statuses = status(&host, state.path());
        // Not of all runs: that would also remove files of a tuning that this machine has.
        let back = rollback(&host, state.path(), Some(0), Drifted::Report);
        // Nothing is asserted before the machine is as it was.
        let after = setting.read(&host).expect("readable");
        assert_eq!(after, before, "{path} is not as it was");
        assert_eq!(between.expect("readable"), to, "{path}");
        let state = &applied.expect("a journal").checks[0].state;
        assert!(matches!(state, AppliedState::Applied { .. }), "{state:?}");
        assert_eq!(statuses.expect("a journal")[0].state, ChangeState::InForce);
        assert_eq!(back.expect("a journal").changes[0].state, RolledBackState::Restored);
    }
}
