//! How a life of the node ends, and the next one begins.

use std::collections::BTreeSet;

use broker::engine::disk::DirId;
use broker::engine::recovery::NodeRecovery;
use broker::shard::mail::Mail;
use broker::shard::metadata_log::METADATA;

use super::groups::{GROUPS, GroupKey, Protocol, Slot};
use super::member_requests::STEADY_PARTITIONS;
use super::node::{DEDICATED_SHARDS, Node, NodeStart, StartError};
use super::topics::TopicState;
use super::{NANOS_PER_MS, NodeWorld, Turn};
use crate::disk::compacted_dir;
use crate::engine_world::{CutPhase, mark_disk};
use crate::violation::{Checked, Checker, Violation};

/// Cuts in a row that a start meets at most.
const START_CUTS_MAX: u32 = 3;
/// Groups come to rest in so much virtual time.
const SETTLE_MS_MAX: u64 = 60_000;
/// A start, and an orderly stop, take no longer.
const START_MS_MAX: u64 = 60_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// The power goes after so many more operations of the disks.
    Cut {
        operations: u64,
    },
    /// The same, counted from when a log is next compacted.
    CutCompaction {
        operations: u64,
    },
    Kill,
    Stop,
}

enum Failure {
    Stopped,
    Found(Violation),
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Stopped => Self::Stopped,
            StartError::Failed(what) => Self::Found(Checker::RecoveryWorks.violated(what)),
        }
    }
}

impl From<Violation> for Failure {
    fn from(violation: Violation) -> Self {
        Self::Found(violation)
    }
}

impl NodeWorld {
    pub(super) fn live_all(&mut self) -> Checked {
        self.start()?;
        for _ in 0..self.traits.lives {
            let ending = self.draw_ending();
            let turn = self.live(ending)?;
            self.end(ending, turn)?;
            self.start()?;
            if self.random_groups_settle() {
                self.settle_groups()?;
            }
        }
        self.settle_groups()?;
        self.settle_unharmed()?;
        self.walk_all();
        self.settle_unharmed()?;
        self.stop()?;
        self.start()?;
        self.walk_all();
        self.settle_unharmed()
    }

    fn random_groups_settle(&mut self) -> bool {
        self.has_groups() && self.random.one_in(3)
    }

    /// Nothing befalls members any more: each group comes to rest, with every partition owned once.
    fn settle_groups(&mut self) -> Checked {
        if !self.has_groups() {
            return Ok(());
        }
        self.create_steady_topic();
        self.members_act = true;
        self.members_meet_misfortune = false;
        let begun = self.now;
        while !self.groups_are_settled() {
            let turn = self.turn(self.now + NANOS_PER_MS)?;
            Checker::Progress
                .check(turn == Turn::GoOn, || "the power goes by itself".to_owned())?;
            Checker::Progress.check(self.now < begun + SETTLE_MS_MAX * NANOS_PER_MS, || {
                format!("groups do not come to rest: {:?}", self.members)
            })?;
        }
        Ok(())
    }

    fn groups_are_settled(&self) -> bool {
        let Some(steady) = self.steady() else { return false };
        let steady: BTreeSet<Slot> = (0..STEADY_PARTITIONS).map(|at| (steady, at)).collect();
        let mut subscribed = steady.clone();
        let mut topics = self.topics.iter();
        let other = topics.find(|topic| topic.name == "t0" && topic.state == TopicState::Live);
        if let Some(other) = other {
            let Some(id) = other.id() else { return false };
            subscribed.extend((0..other.partitions.len() as i32).map(|at| (id, at)));
        }
        (0..GROUPS.len()).map(GroupKey).all(|group| match group.protocol() {
            Protocol::Classic => self.is_settled(group, &steady),
            Protocol::Consumer => self.is_settled(group, &subscribed),
            Protocol::Alone => true,
        })
    }

    fn settle_unharmed(&mut self) -> Checked {
        self.members_act = false;
        let turn = self.settle()?;
        let what = "the power goes where none was cut";
        Checker::Progress.check(turn == Turn::GoOn, || what.to_owned())
    }

    fn draw_ending(&mut self) -> Ending {
        match self.random.below(10) {
            0..=1 => Ending::Kill,
            2 => Ending::Stop,
            3..=6 if self.traits.compacts => {
                Ending::CutCompaction { operations: 1 + self.random.below(30) }
            }
            _ => Ending::Cut {
                operations: 1 + self.random.below(1 << self.random.clone().below(12)),
            },
        }
    }

    /// Clients and operators do what they do until the life ends.
    fn live(&mut self, ending: Ending) -> Checked<Turn> {
        if self.has_groups() {
            self.create_steady_topic();
            self.members_act = true;
            self.members_meet_misfortune = true;
        }
        if let Ending::Cut { operations } = ending {
            let dir = self.random.below(self.dirs.len() as u64) as usize;
            self.dirs[dir].stop_after(operations);
        }
        self.note(|_| format!("a life begins, to end with {ending:?}"));
        if self.random.coin() {
            self.walk_all();
        }
        let steps = self.options.steps / 2 + self.random.below(self.options.steps);
        self.next_action = self.now;
        let mut hunted = match ending {
            Ending::CutCompaction { operations } => Some(operations),
            _ => None,
        };
        for _ in 0..steps {
            self.act();
            self.resend_due();
            while self.now < self.next_action {
                if self.turn(self.next_action)? == Turn::Stopped {
                    return Ok(Turn::Stopped);
                }
                let disks = self.node.shards.iter().map(|shard| &shard.disk);
                if let (Some(operations), Some(dir)) = (hunted, compacted_dir(disks)) {
                    self.dirs[usize::from(dir.0)].stop_after(operations);
                    hunted = None;
                }
            }
        }
        Ok(Turn::GoOn)
    }

    fn end(&mut self, ending: Ending, turn: Turn) -> Checked {
        match (ending, turn) {
            (Ending::Cut { .. } | Ending::CutCompaction { .. }, _) | (_, Turn::Stopped) => {
                self.cut();
                Ok(())
            }
            (Ending::Kill, Turn::GoOn) => {
                self.note(|_| "the process is killed".to_owned());
                self.tally.kills += 1;
                self.leave_and_kill();
                Ok(())
            }
            (Ending::Stop, Turn::GoOn) => self.stop(),
        }
    }

    fn cut(&mut self) {
        self.note(|_| "the power goes".to_owned());
        let mut found = Vec::new();
        for shard in &self.node.shards {
            mark_disk(&shard.disk, &mut |phase| found.push(phase));
        }
        if !self.moves.is_empty() {
            found.push(CutPhase::Move);
        }
        if found.is_empty() {
            found.push(CutPhase::Quiet);
        }
        for phase in CutPhase::ALL {
            if found.contains(&phase) {
                self.tally.phases.add(phase);
            }
        }
        self.tally.cuts += 1;
        self.lose_power();
    }

    fn lose_power(&mut self) {
        self.leave_node();
        for dir in &self.dirs {
            dir.power_cut(&mut self.random.fork());
        }
    }

    fn leave_and_kill(&mut self) {
        for shard in self.leave_node().shards {
            shard.disk.kill();
        }
        for dir in &self.dirs {
            dir.clear_faults();
        }
    }

    /// The node and everything in its memory is gone; nobody is answered any more.
    fn leave_node(&mut self) -> Node {
        self.clients.clear();
        self.leave_members();
        self.moves.clear();
        (self.ready, self.is_stopping) = (0, false);
        self.drained.clear();
        self.stopped.clear();
        for partition in &mut self.partitions {
            let was_moved = std::mem::replace(&mut partition.is_moving, false)
                || std::mem::take(&mut partition.moved_at) > 0;
            if let Some(producer) = &mut partition.producer {
                // An answer that nobody heard may have said that somebody else has the partition.
                producer.was_refused |=
                    was_moved && producer.unacknowledged.iter().any(|pending| pending.in_flight);
                producer.is_asking = false;
                producer.resends = true;
                producer.unacknowledged.iter_mut().for_each(|pending| pending.in_flight = false);
            }
        }
        std::mem::take(&mut self.node)
    }

    /// SIGTERM, as the node's main thread goes about it: afterwards nothing is left to recover.
    fn stop(&mut self) -> Checked {
        self.members_act = false;
        self.note(|_| "an orderly stop".to_owned());
        self.is_stopping = true;
        let data = self.node.data_shards();
        (0..data).for_each(|shard| self.post_from_main(shard, Mail::Drain));
        let mut is_over = self.wait_until(|world| world.drained.len() == data)?;
        if is_over {
            (0..data).for_each(|shard| self.post_from_main(shard, Mail::ShutDown));
            is_over = self.wait_until(|world| world.stopped.len() == data)?;
        }
        // The coordinator, then the controller.
        for (last, stopped) in [(data + 1, data + 1), (data, data + 2)] {
            if is_over {
                self.post_from_main(last, Mail::ShutDown);
                is_over = self.wait_until(|world| world.stopped.len() == stopped)?;
            }
        }
        if !is_over {
            self.cut();
            return Ok(());
        }
        self.tally.stops += 1;
        self.leave_and_kill();
        self.stopped_in_order = true;
        Ok(())
    }

    /// False if the power goes meanwhile.
    fn wait_until(&mut self, is_there: impl Fn(&Self) -> bool) -> Checked<bool> {
        let begun = self.now;
        while !is_there(self) {
            if self.turn(self.now + 100 * NANOS_PER_MS)? == Turn::Stopped {
                return Ok(false);
            }
            Checker::Progress.check(self.now < begun + START_MS_MAX * NANOS_PER_MS, || {
                let (ready, drained, stopped) = (self.ready, &self.drained, &self.stopped);
                format!("{ready} shards are ready, {drained:?} drained, {stopped:?} stopped")
            })?;
        }
        Ok(true)
    }

    /// Starts the node, again and again where the power goes meanwhile, and checks what it serves.
    fn start(&mut self) -> Checked {
        let mut cuts = 0;
        loop {
            if cuts < START_CUTS_MAX && self.random.one_in(3) {
                let dir = self.random.below(self.dirs.len() as u64) as usize;
                let scale = 1 << self.random.below(9);
                self.dirs[dir].stop_after(self.random.below(scale));
            }
            match self.try_start() {
                Ok(()) => break,
                Err(Failure::Stopped) => {
                    self.note(|_| "the power goes during the start".to_owned());
                    cuts += 1;
                    self.tally.cuts += 1;
                    self.tally.phases.add(CutPhase::Recovery);
                    self.stopped_in_order = false;
                    self.lose_power();
                }
                Err(Failure::Found(violation)) => return Err(violation),
            }
        }
        for dir in &self.dirs {
            dir.clear_faults();
        }
        self.stopped_in_order = false;
        self.check_started()
    }

    fn try_start(&mut self) -> Result<(), Failure> {
        let data_shards = 1 + self.random.below(self.traits.shards_max) as u16;
        let start = NodeStart {
            dirs: &self.dirs,
            arenas: &self.arenas,
            now: self.clock(),
            data_shards,
            journal_file_bytes: self.traits.journal_file_bytes,
            plant: self.options.plant,
            groups: self.has_groups(),
        };
        let (incarnation, found) = start.recover()?;
        self.check_recovered(&found)?;
        let mut node = start.open(incarnation, found, &mut self.random)?;
        // The controller hands out connections: shards of this node are numbered as they start.
        std::mem::swap(&mut self.node, &mut node);
        self.note(|_| format!("starts with {data_shards} data shards"));
        let shards = usize::from(data_shards) + DEDICATED_SHARDS;
        if !self.wait_until(|world| world.ready == shards)? {
            return Err(Failure::Stopped);
        }
        let leftovers = self.node.leftovers.take().expect("they are taken once");
        for (at, dir) in (0..).map(DirId).zip(&self.dirs) {
            leftovers.remove_from(at, &**dir);
        }
        if self.has_stopped() { Err(Failure::Stopped) } else { Ok(()) }
    }

    /// A power cut alone makes no partition suspect and no producer unknown.
    fn check_recovered(&self, found: &NodeRecovery) -> Checked {
        for partition in found.partitions.values() {
            let name = partition.directory.path.display();
            Checker::NothingSuspect.check(partition.suspicion.is_none(), || {
                format!("{name}: {:?}", partition.suspicion)
            })?;
            Checker::ProducersKnown.check(partition.producers_known, || {
                format!("{name}: its producers are not known")
            })?;
            let is_complete = partition.active.as_ref().is_none_or(|active| active.is_complete);
            Checker::FilesAreWhole.check(!self.stopped_in_order || is_complete, || {
                format!("{name}: an orderly stop left something to recover")
            })?;
        }
        let has_metadata = found.partitions.contains_key(&METADATA);
        let is_first = self.topics.is_empty();
        Checker::PartitionsAreThose
            .check(has_metadata || is_first, || "the metadata log is gone".to_owned())
    }

    /// Topics, log starts and high watermarks, before any client does anything new.
    fn check_started(&mut self) -> Checked {
        self.writers = 1 + self.random.below(3) as usize;
        self.readers = 1 + self.random.below(2) as usize;
        for _ in 0..self.writers + self.readers {
            self.connect();
        }
        let begun = self.now;
        self.topics_usable = false;
        while !self.topics_usable {
            let client = self.reader();
            self.ask_all_topics(client);
            let until = self.now + 20 * NANOS_PER_MS;
            while self.now < until || self.clients.iter().any(|client| !client.asked.is_empty()) {
                self.turn(until.max(self.now + NANOS_PER_MS))?;
            }
            Checker::Progress.check(self.now < begun + START_MS_MAX * NANOS_PER_MS, || {
                "topics do not become usable".to_owned()
            })?;
        }
        for log in self.live_partitions() {
            let client = self.reader();
            self.ask_offset(client, log, None);
        }
        while self.clients.iter().any(|client| !client.asked.is_empty()) {
            self.turn(self.now + NANOS_PER_MS)?;
            Checker::Progress.check(self.now < begun + START_MS_MAX * NANOS_PER_MS, || {
                "offsets are not answered after a start".to_owned()
            })?;
        }
        Ok(())
    }
}
