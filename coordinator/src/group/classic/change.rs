//! A group while a command on it is decided: the next state grows beside the one that is, with what is
//! to be recorded and answered.

use alloc::{collections::BTreeMap, rc::Rc, vec::Vec};

use protocol::Str;

use super::{ClassicGroup, ClassicState};
use crate::{
    group::{
        Answer, DurableRecord, GroupDecision, GroupRecord, GroupSettings, Groups, LiveRecord,
        Moment, Timer, Token, batch::Batch,
    },
    limits::GROUP_RECORD_BYTES_MAX,
};

/// The group as it will be.
pub(crate) struct Change<'a> {
    pub(in crate::group) settings: &'a GroupSettings,
    pub(in crate::group) now: Moment,
    groups: &'a Groups,
    id: Str,
    before: Option<&'a Rc<ClassicGroup>>,
    /// Shared with `before` until the first change.
    pub(in crate::group) group: Rc<ClassicGroup>,
    durable: Vec<GroupRecord>,
    /// The last word for each.
    timers: BTreeMap<Timer, Option<u64>>,
    answers: Vec<(Token, Answer)>,
}

impl<'a> Change<'a> {
    /// Of a group that is there or, if it is not, begins to be.
    pub(crate) fn of(groups: &'a Groups, id: &Str, now: Moment) -> Self {
        let before = groups.groups.get(id);
        Self {
            settings: &groups.settings,
            now,
            groups,
            id: groups.name_of(id),
            before,
            group: before.cloned().unwrap_or_default(),
            durable: Vec::new(),
            timers: BTreeMap::new(),
            answers: Vec::new(),
        }
    }

    /// Of one that has just become a group of the classic protocol. What a restart has to know of it was
    /// recorded before.
    pub(in crate::group) fn of_new(
        groups: &'a Groups,
        id: &Str,
        now: Moment,
        group: ClassicGroup,
    ) -> Self {
        Self { before: None, group: Rc::new(group), ..Self::of(groups, id, now) }
    }

    pub(in crate::group) fn id(&self) -> &Str {
        &self.id
    }

    pub(super) fn group_mut(&mut self) -> &mut ClassicGroup {
        Rc::make_mut(&mut self.group)
    }

    pub(crate) fn set_timer(&mut self, timer: Timer, at_ms: Option<u64>) {
        self.timers.insert(timer, at_ms);
    }

    /// The timer ends so many milliseconds from now.
    pub(super) fn set_timer_in(&mut self, timer: Timer, in_ms: u64) {
        let at_ms = self.now.monotonic_ms.saturating_add(in_ms);
        self.set_timer(timer, Some(at_ms));
    }

    /// The member was heard of.
    pub(in crate::group) fn extend_session(&mut self, member: &str) {
        let Some(session_ms) = self.group.member(member).map(super::Member::session_ms) else {
            return;
        };
        self.set_timer_in(Timer::Session { member: Str::from(member) }, session_ms);
    }

    pub(in crate::group) fn extend_all_sessions(&mut self) {
        let ids: Vec<Str> = self.group.members().map(|(id, _)| id.clone()).collect();
        ids.iter().for_each(|id| self.extend_session(id));
    }

    pub(in crate::group) fn answer(&mut self, token: Token, answer: Answer) {
        self.answers.push((token, answer));
    }

    pub(super) fn enter(&mut self, state: ClassicState) {
        self.group_mut().state = state;
        self.group_mut().state_since = Some(self.now.wall);
    }

    pub(super) fn fits_a_record(&self) -> bool {
        let (group, value) = (self.id.clone(), self.group.stored());
        let record = DurableRecord::ClassicGroup { group, value };
        record.bytes_max() <= GROUP_RECORD_BYTES_MAX
    }

    /// Writes what a restart has to know of the group.
    pub(super) fn store(&mut self) {
        self.group_mut().is_stored = true;
        let (group, value) = (self.id.clone(), self.group.stored());
        self.write(DurableRecord::ClassicGroup { group, value });
    }

    fn write(&mut self, record: DurableRecord) {
        self.durable.push(GroupRecord::Durable(record));
    }

    pub(in crate::group) fn write_all(&mut self, batch: Batch) {
        self.durable.extend(batch.into_records());
    }

    /// What was decided: live first, so that a durable record finds the group as it says.
    pub(crate) fn decided(self) -> GroupDecision {
        let mut records = Vec::new();
        let is_same = match self.before {
            // Shared still: no need to look at every member.
            Some(before) => Rc::ptr_eq(before, &self.group) || *before == self.group,
            None => self.group.is_nothing(),
        };
        if !is_same {
            let after = (!self.group.is_nothing()).then_some(self.group);
            let group = self.id.clone();
            records.push(GroupRecord::Live(LiveRecord::ClassicGroup { group, value: after }));
        }
        records.extend(self.durable);
        for (timer, at_ms) in self.timers {
            if self.groups.timers.at(&self.id, &timer) != at_ms {
                let group = self.id.clone();
                records.push(GroupRecord::Live(LiveRecord::Timer { group, timer, at_ms }));
            }
        }
        GroupDecision { records, answers: self.answers }
    }
}
