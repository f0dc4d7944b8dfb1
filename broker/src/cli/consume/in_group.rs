//! Reading as a member of a group: what the group gives is read, what was printed is committed, and at the end the
//! partitions go to the others at once.
//!
//! Invariant: an offset is committed only when all records before it were printed and written out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use super::member::{CommitOutcome, Heard, Member};
use super::position::From;
use super::reader::{Reader, tell_unread};
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::topic::offsets::{EARLIEST, LATEST, offsets_of};

const COMMIT_INTERVAL: Duration = Duration::from_secs(5);
/// Before a coordinator that cannot be reached is asked again, and between looks where nothing is read.
const AGAIN: Duration = Duration::from_millis(100);
/// The exit code of a process that SIGINT ended.
const INTERRUPTED: i32 = 130;

pub(super) struct InGroup {
    reader: Reader,
    member: Member,
    from: From,
    /// What the coordinator has, of the partitions that are owned.
    committed: BTreeMap<i32, i64>,
    commit_due: Instant,
    /// Until when failures of the coordinator are borne.
    deadline: Instant,
    /// Since when this member has had nothing to read.
    idle_since: Instant,
    ends: Arc<AtomicBool>,
}

impl InGroup {
    pub(super) fn new(reader: Reader, member: Member, from: From) -> Result<Self, Failure> {
        let now = Instant::now();
        Ok(Self {
            deadline: reader.client.deadline(),
            reader,
            member,
            from,
            committed: BTreeMap::new(),
            commit_due: now + COMMIT_INTERVAL,
            idle_since: now,
            ends: ending_signals()?,
        })
    }

    pub(super) fn run(mut self, output: &mut Output) -> Result<(), Failure> {
        let read = self.read(output);
        // What was not written out is not committed.
        let committed = match &read {
            Ok(()) => self.commit_at_the_end(output),
            Err(_) => Ok(()),
        };
        let left = self.member.leave(&mut self.reader.client);
        read.and(committed).and(left)
    }

    fn read(&mut self, output: &mut Output) -> Result<(), Failure> {
        loop {
            if self.member.due() <= Instant::now() {
                self.heartbeat(output)?;
            }
            if self.ends.load(Ordering::Relaxed) || self.reader.has_enough() || self.is_at_end() {
                return Ok(());
            }
            if self.commit_due <= Instant::now() {
                // What does not come through now does with the next one.
                self.commit(output)?;
            }
            if !self.reader.read_on(output)? {
                std::thread::sleep(AGAIN);
            }
        }
    }

    /// Without --follow: all that is this member's is read; or there is nothing for it, for two heartbeats.
    fn is_at_end(&self) -> bool {
        let follows = self.reader.wanted.ends.is_none();
        if follows || !self.member.is_in_group() || self.member.has_news {
            return false;
        }
        if !self.member.owned.is_empty() {
            return self.reader.open_partitions().is_empty();
        }
        let is_idle = self.idle_since.elapsed() >= self.member.interval() * 2;
        if is_idle {
            eprintln!(
                "the other members of group {} read all partitions; --follow waits for one",
                self.member.group
            );
        }
        is_idle
    }

    fn heartbeat(&mut self, output: &mut Output) -> Result<(), Failure> {
        let failure = match self.member.heartbeat(&mut self.reader.client)? {
            Heard::Nothing => None,
            Heard::Assigned(assigned) => self.reconcile(assigned, output)?.err(),
            Heard::Fenced => {
                self.give_up_all();
                None
            }
            // Whoever was never heard is told at once.
            Heard::NoAnswer(failure) if !self.member.is_in_group() => return Err(failure),
            Heard::NoAnswer(failure) => Some(failure),
        };
        match failure {
            None => self.deadline = self.reader.client.deadline(),
            Some(failure) if Instant::now() >= self.deadline => return Err(failure),
            Some(_) => self.member.repeat_after(AGAIN),
        }
        Ok(())
    }

    /// Gives back what is another's from now on, and takes what is new. What could not be done now is tried again
    /// with the next heartbeat: until then nothing was given back.
    fn reconcile(
        &mut self,
        assigned: BTreeSet<i32>,
        output: &mut Output,
    ) -> Result<Result<(), Failure>, Failure> {
        let revoked: Vec<i32> = self.member.owned.difference(&assigned).copied().collect();
        let added: Vec<i32> = assigned.difference(&self.member.owned).copied().collect();
        if !revoked.is_empty() {
            match self.commit(output)? {
                CommitOutcome::Committed => {}
                CommitOutcome::NoAnswer(failure) => return Ok(Err(failure)),
                CommitOutcome::Later => {
                    self.member.repeat_after(Duration::ZERO);
                    return Ok(Ok(()));
                }
                CommitOutcome::Fenced => return Ok(Ok(())),
            }
        }
        if let Err(failure) = self.begin(&added) {
            return Ok(Err(failure));
        }
        revoked.into_iter().for_each(|index| self.forget(index));
        self.member.owned = assigned;
        self.member.has_news = true;
        self.idle_since = Instant::now();
        self.tell_owned();
        Ok(Ok(()))
    }

    /// Where the group committed; where it has not, as `--from` says. Records that are gone are left out.
    fn begin(&mut self, added: &[i32]) -> Result<(), Failure> {
        if added.is_empty() {
            return Ok(());
        }
        let reader = &mut self.reader;
        reader.deadline = reader.client.deadline();
        let group = &self.member.group;
        let committed = reader.client.committed(group, None)?;
        let committed =
            committed.map_err(|refusal| refusal.failure(&format!("group {group}"), None))?;
        let name = reader.topic.name.clone();
        let committed: BTreeMap<i32, i64> = committed
            .into_iter()
            .filter(|one| one.topic == name && added.contains(&one.partition))
            .map(|one| (one.partition, one.offset))
            .collect();
        reader.topic = reader.client.topic(&name, added)?;
        let (offline, online): (Vec<i32>, Vec<i32>) =
            added.iter().copied().partition(|index| reader.topic.is_offline(*index));
        offline.iter().for_each(|index| tell_unread(&reader.topic, *index));
        let starts = offsets_of(&mut reader.client, &reader.topic, &online, EARLIEST)?;
        let ends = offsets_of(&mut reader.client, &reader.topic, &online, LATEST)?;
        let new: Vec<i32> =
            online.iter().copied().filter(|index| !committed.contains_key(index)).collect();
        let new = self.from.positions(&mut reader.client, &reader.topic, &new)?;
        for index in online {
            let at = |found: &BTreeMap<i32, Option<i64>>| found.get(&index).copied().flatten();
            let (start, end) = (at(&starts).unwrap_or(0), at(&ends).unwrap_or(0));
            let wanted = committed.get(&index).or(new.get(&index)).copied().unwrap_or(start);
            let position = wanted.clamp(start, end.max(start));
            if position != wanted {
                eprintln!(
                    "partition {index} of {name} has no offset {wanted} any more: reading from {position}"
                );
            }
            reader.wanted.positions.insert(index, position);
            if let Some(until) = &mut reader.wanted.ends {
                until.insert(index, end);
            }
        }
        self.committed.extend(committed);
        if reader.wanted.ends.is_some() && reader.open_partitions().is_empty() {
            eprintln!("nothing is there to read; --follow waits for more");
        }
        Ok(())
    }

    /// On standard error, what is read stays what is read; and to those who watch.
    fn tell_owned(&self) {
        if self.reader.wanted.ends.is_some() {
            return;
        }
        let owned: Vec<String> = self.member.owned.iter().map(i32::to_string).collect();
        let (group, topic) = (&self.member.group, &self.reader.topic.name);
        match owned.as_slice() {
            [] => eprintln!("group {group}: no partition of {topic} is this member's now"),
            _ => eprintln!("group {group}: reading {topic}:{}", owned.join(",")),
        }
    }

    /// All that was printed, once it is written out.
    fn commit(&mut self, output: &mut Output) -> Result<CommitOutcome, Failure> {
        output.flush()?;
        self.commit_due = Instant::now() + COMMIT_INTERVAL;
        let committed = &self.committed;
        let has_moved = |(index, position): &(&i32, &i64)| committed.get(index) != Some(position);
        let positions = self.reader.wanted.positions.iter().filter(has_moved);
        let positions: BTreeMap<i32, i64> =
            positions.map(|(index, position)| (*index, *position)).collect();
        if positions.is_empty() || !self.member.is_in_group() {
            return Ok(CommitOutcome::Committed);
        }
        let outcome = self.member.commit(&mut self.reader.client, &positions)?;
        match &outcome {
            CommitOutcome::Committed => self.committed.extend(positions),
            CommitOutcome::Later | CommitOutcome::NoAnswer(_) => {
                self.commit_due = Instant::now() + AGAIN;
            }
            CommitOutcome::Fenced => {
                self.member.join_anew();
                self.give_up_all();
            }
        }
        Ok(outcome)
    }

    /// The last commit: nobody tries it again.
    fn commit_at_the_end(&mut self, output: &mut Output) -> Result<(), Failure> {
        let deadline = self.reader.client.deadline();
        loop {
            match self.commit(output)? {
                CommitOutcome::Committed | CommitOutcome::Fenced => return Ok(()),
                CommitOutcome::NoAnswer(failure) => return Err(failure),
                CommitOutcome::Later if Instant::now() >= deadline => return Ok(()),
                CommitOutcome::Later => {
                    self.member.repeat_after(Duration::ZERO);
                    self.heartbeat(output)?;
                }
            }
        }
    }

    /// The partitions are others' already.
    fn give_up_all(&mut self) {
        eprintln!(
            "group {} was not heard from in time, or forgot this member: joining it again",
            self.member.group
        );
        let all: Vec<i32> = self.reader.wanted.positions.keys().copied().collect();
        all.into_iter().for_each(|index| self.forget(index));
    }

    fn forget(&mut self, index: i32) {
        self.reader.wanted.positions.remove(&index);
        self.committed.remove(&index);
        if let Some(ends) = &mut self.reader.wanted.ends {
            ends.remove(&index);
        }
    }
}

/// Set by the first SIGINT or SIGTERM. A second SIGINT ends the process at once.
fn ending_signals() -> Result<Arc<AtomicBool>, Failure> {
    let ends = Arc::new(AtomicBool::new(false));
    // In this order: the first SIGINT finds the flag unset, and sets it then.
    let set = flag::register_conditional_shutdown(SIGINT, INTERRUPTED, Arc::clone(&ends))
        .and_then(|_| flag::register(SIGINT, Arc::clone(&ends)))
        .and_then(|_| flag::register(SIGTERM, Arc::clone(&ends)));
    set.map_err(|error| Failure::failed(format!("signals cannot be awaited: {error}")))?;
    Ok(ends)
}
