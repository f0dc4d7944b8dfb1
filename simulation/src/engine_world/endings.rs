//! How a life of the node ends, and how the next one begins.

use std::collections::BTreeMap;

use broker::engine::PartitionId;
use broker::engine::config::LogConfig;
use broker::engine::recovery::RecoveredPartition;

use super::node::{Node, NodeStart, Recovered, StartError};
use super::{CutPhase, EngineWorld, Excuses, Expected, LogKey, NANOS_PER_MS, Turn};
use crate::disk::compacted_dir;
use crate::log::LogState;
use crate::violation::{Checked, Checker};

/// Cuts in a row that a recovery meets at most.
const RECOVERY_CUTS_MAX: u32 = 3;

/// How a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// The power goes after so many more operations of the disks.
    Cut { operations: u64 },
    /// The same, counted from when a log is next compacted.
    CutCompaction { operations: u64 },
    /// The process is killed; the machine goes on.
    Kill,
    /// An orderly stop.
    Stop,
}

impl EngineWorld {
    pub(super) fn live_all(&mut self) -> Checked {
        self.start()?;
        for _ in 0..self.traits.lives {
            let ending = self.draw_ending();
            let turn = self.live(ending)?;
            self.end(ending, turn)?;
            self.start()?;
        }
        self.last_check()
    }

    fn draw_ending(&mut self) -> Ending {
        match self.random.below(10) {
            0 => Ending::Kill,
            1 => Ending::Stop,
            // A round of the cleaner is some thirty operations.
            2..=6 if self.traits.compacts => {
                Ending::CutCompaction { operations: 1 + self.random.below(30) }
            }
            _ => {
                // Any moment: soon as likely as late.
                let scale = match self.traits.is_heavy {
                    true => 1 << (8 + self.random.below(4)),
                    false => 1 << self.random.below(12),
                };
                Ending::Cut { operations: 1 + self.random.below(scale) }
            }
        }
    }

    /// Clients and operators do what they do until the life ends.
    fn live(&mut self, ending: Ending) -> Checked<Turn> {
        if let Ending::Cut { operations } = ending {
            let dir = self.random.below(self.dirs.len() as u64) as usize;
            self.dirs[dir].stop_after(operations);
        }
        self.note(|_| format!("a life begins, to end with {ending:?}"));
        if self.random.coin() {
            self.walk_all()?;
        }
        let steps = self.options.steps / 2 + self.random.below(self.options.steps);
        let steps = if self.traits.is_heavy { 4 * steps } else { steps };
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
            if self.has_failed {
                break;
            }
        }
        Ok(Turn::GoOn)
    }

    fn end(&mut self, ending: Ending, turn: Turn) -> Checked {
        let ending = match ending {
            // What failed does not stop in order.
            Ending::Stop if self.has_failed => Ending::Kill,
            ending => ending,
        };
        match (ending, turn) {
            (Ending::Cut { .. } | Ending::CutCompaction { .. }, _) | (_, Turn::Stopped) => {
                self.cut();
            }
            (Ending::Kill, Turn::GoOn) => self.kill(),
            (Ending::Stop, Turn::GoOn) => self.stop()?,
        }
        self.tally.failures += u64::from(self.has_failed);
        self.has_failed = false;
        Ok(())
    }

    /// The power goes.
    fn cut(&mut self) {
        self.note(|_| "the power goes".to_owned());
        self.count_phases();
        self.tally.cuts += 1;
        self.lose_power();
    }

    fn lose_power(&mut self) {
        self.leave_node();
        for dir in &self.dirs {
            dir.power_cut(&mut self.random.fork());
        }
    }

    fn kill(&mut self) {
        self.note(|_| "the process is killed".to_owned());
        self.tally.kills += 1;
        for shard in self.leave_node().shards {
            shard.disk.kill();
        }
        for dir in &self.dirs {
            dir.clear_faults();
        }
    }

    /// SIGTERM: afterwards there is nothing to recover.
    fn stop(&mut self) -> Checked {
        self.note(|_| "an orderly stop".to_owned());
        self.give_room();
        self.excuses.stopping = true;
        self.shut_down = 0;
        // Partitions between two shards arrive first, as the shell of a node would let them.
        while self.logs.iter().any(|log| log.state == LogState::Moving) && !self.has_failed {
            if self.turn(u64::MAX - 1)? == Turn::Stopped {
                self.cut();
                return Ok(());
            }
        }
        for shard in 0..self.node.shards.len() {
            let token = self.expect(Expected::ShutDown);
            self.node.shards[shard].engine.shut_down(token);
        }
        let begun = self.now;
        while self.shut_down < self.node.shards.len() {
            if self.turn(u64::MAX - 1)? == Turn::Stopped {
                self.cut();
                return Ok(());
            }
            Checker::Progress.check(self.now < begun + 120_000 * NANOS_PER_MS, || {
                "an orderly stop does not come to its end".to_owned()
            })?;
        }
        let unanswered = self.expected.values().find(|(_, expected)| {
            matches!(expected, Expected::Append { .. } | Expected::DeleteRecords { .. })
        });
        Checker::Progress.check(unanswered.is_none() || self.has_failed, || {
            format!("stopped with an unanswered {unanswered:?}")
        })?;
        self.tally.stops += 1;
        self.stopped_in_order = !self.has_failed;
        for shard in self.leave_node().shards {
            shard.disk.kill();
        }
        for dir in &self.dirs {
            dir.clear_faults();
        }
        Ok(())
    }

    /// The node and everything in its memory is gone; nobody is answered any more.
    fn leave_node(&mut self) -> Node {
        self.expected.clear();
        self.parcels.clear();
        self.forget_walks();
        self.producers.disconnect();
        self.watermarks.clear();
        std::mem::replace(&mut self.node, Node { shards: Vec::new() })
    }

    /// Starts the node, again and again where the power goes meanwhile, and checks what it found.
    fn start(&mut self) -> Checked {
        let mut cuts = 0;
        loop {
            let is_armed = cuts < RECOVERY_CUTS_MAX && self.random.one_in(3);
            if is_armed {
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
        if self.random.coin() {
            self.give_room();
        }
        let no_space = self.is_full;
        self.excuses = Excuses { damaged: self.excuses.damaged, no_space, ..Excuses::default() };
        self.stopped_in_order = false;
        self.failed_dirs.clear();
        self.check_started()?;
        Ok(())
    }

    /// What a failed log directory had not written is lost when the shard's journal, in another one, has
    /// moved on meanwhile. That is told: the partition is suspect, and nobody speaks to it any more.
    fn take_told_losses(&mut self, recovered: &Recovered) {
        for key in (0..self.logs.len()).map(LogKey) {
            let log = &self.logs[key.0];
            let found = recovered.recovery.partitions.get(&log.id);
            let is_suspect = found.is_some_and(|found| found.suspicion.is_some());
            if is_suspect && self.failed_dirs.contains(&log.dir) {
                self.tally.told_losses += 1;
                self.producers.leave(key);
                self.log(key).state = LogState::Damaged;
            }
        }
    }

    fn try_start(&mut self) -> Result<(), Failure> {
        let shards = 1 + self.random.below(u64::from(self.traits.shards_max)) as u32;
        let now = self.clock();
        let (dirs, arenas) = (self.dirs.clone(), self.arenas.clone());
        let start = NodeStart {
            dirs: &dirs,
            arenas: &arenas,
            now,
            journal_file_bytes: self.traits.journal_file_bytes,
            plant: self.options.plant,
        };
        let recovered = start.recover().map_err(failure)?;
        if self.options.trace {
            for found in recovered.recovery.partitions.values() {
                eprintln!("    found {}: {}", found.directory.path.display(), brief(found));
            }
        }
        self.take_told_losses(&recovered);
        check_recovered(self, &recovered)?;
        let mut owners: BTreeMap<PartitionId, u32> = BTreeMap::new();
        for id in recovered.recovery.partitions.keys() {
            owners.insert(*id, self.random.below(u64::from(shards)) as u32);
        }
        let configs: BTreeMap<PartitionId, LogConfig> =
            self.logs.iter().map(|log| (log.id, self.options.plant.config(&log.config))).collect();
        let node = start
            .open(
                recovered,
                shards,
                |id| owners[&id],
                |id| configs.get(&id).cloned().unwrap_or_default(),
                &mut self.random,
            )
            .map_err(failure)?;
        self.node = node;
        self.note(|_| format!("started with {shards} shards"));
        for (id, shard) in owners {
            if let Some(key) = self.key_of(id)
                && self.logs[key.0].state.is_alive()
            {
                self.logs[key.0].state = LogState::Live { shard: shard as usize };
            }
        }
        Ok(())
    }

    /// What the node serves now, against what is known; and what the metadata still asks for.
    fn check_started(&mut self) -> Checked {
        for key in (0..self.logs.len()).map(LogKey) {
            let shard = self.random.below(self.node.shards.len() as u64) as usize;
            let log = &mut self.logs[key.0];
            let owner =
                self.node.shards.iter().position(|shard| shard.engine.offsets(log.id).is_some());
            match (log.state, owner) {
                (LogState::Live { shard }, _) => {
                    let offsets = self.node.shards[shard].engine.offsets(log.id);
                    let Some(offsets) = offsets else {
                        let what = format!("{} is not served", log.name);
                        return Err(Checker::PartitionsAreThose.violated(what));
                    };
                    log.restarted(&offsets)?;
                    if !log.is_durable() {
                        // An unclean start of a partition that may have lost something.
                        log.epoch_asked.0 += 1;
                    }
                    // The metadata knows of the epoch, whether the partition's journal does or not.
                    let (id, epoch) = (log.id, log.epoch_asked);
                    self.node.shards[shard].engine.begin_epoch(id, epoch);
                }
                (LogState::Creating | LogState::Moving, _) => self.ask_create(key, shard),
                (LogState::Deleting, Some(owner)) => self.ask_delete(key, owner),
                (LogState::Deleting, None) => log.state = LogState::Deleted,
                (LogState::Deleted | LogState::Damaged, _) => {}
            }
        }
        Ok(())
    }

    /// Nothing goes wrong any more: everything is answered, everything is there, and an orderly stop
    /// leaves nothing to recover.
    fn last_check(&mut self) -> Checked {
        for dir in &self.dirs {
            dir.clear_faults();
        }
        self.give_room();
        self.settled()?;
        self.walk_all()?;
        self.settled()?;
        if self.traits.damage {
            return self.damage_and_look();
        }
        self.stop()?;
        self.start()?;
        self.settled()?;
        self.walk_all()?;
        self.settled()
    }

    pub(super) fn settled(&mut self) -> Checked {
        match self.settle()? {
            Turn::GoOn => Ok(()),
            Turn::Stopped => Err(Checker::Progress.violated("the power goes where none was cut")),
        }
    }

    /// The damaged node is left and started again.
    pub(super) fn restart_damaged(&mut self, orderly: bool) -> Checked {
        if orderly {
            self.stop()?;
        } else if self.random.coin() {
            self.kill();
        } else {
            self.cut();
        }
        Ok(())
    }

    pub(super) fn start_damaged(&mut self) -> Checked<bool> {
        match self.try_start() {
            Ok(()) => Ok(true),
            // It says so and does not start: nothing is served wrongly.
            Err(Failure::Stopped) => Ok(false),
            Err(Failure::Found(violation)) if violation.checker == Checker::RecoveryWorks => {
                Ok(false)
            }
            Err(Failure::Found(violation)) => Err(violation),
        }
    }
}

enum Failure {
    Stopped,
    Found(crate::violation::Violation),
}

impl From<crate::violation::Violation> for Failure {
    fn from(violation: crate::violation::Violation) -> Self {
        Self::Found(violation)
    }
}

fn failure(error: StartError) -> Failure {
    match error {
        StartError::Stopped => Failure::Stopped,
        StartError::Failed(what) => Failure::Found(Checker::RecoveryWorks.violated(what)),
    }
}

/// What recovery found, before anything is opened.
fn check_recovered(world: &EngineWorld, recovered: &Recovered) -> Checked {
    let recovery = &recovered.recovery;
    for log in &world.logs {
        let found = recovery.partitions.get(&log.id);
        let is_right = match log.state {
            LogState::Creating | LogState::Deleting | LogState::Damaged => true,
            LogState::Live { .. } | LogState::Moving => found.is_some() || world.excuses.damaged,
            LogState::Deleted => found.is_none(),
        };
        Checker::PartitionsAreThose.check(is_right, || {
            format!("{} is {:?}, and found: {}", log.name, log.state, found.is_some())
        })?;
    }
    for (id, partition) in &recovery.partitions {
        let log = world.logs.iter().find(|log| log.id == *id);
        // A damaged name is told as a partition that no journal speaks of.
        if world.excuses.damaged && log.is_none() {
            continue;
        }
        let Some(log) = log else {
            let what = format!("{id:?} was never created");
            return Err(Checker::PartitionsAreThose.violated(what));
        };
        if world.excuses.damaged || matches!(log.state, LogState::Deleting | LogState::Damaged) {
            continue;
        }
        let name = &log.name;
        Checker::NothingSuspect.check(partition.suspicion.is_none(), || {
            format!("{name}: {:?}", partition.suspicion)
        })?;
        Checker::ProducersKnown
            .check(partition.producers_known, || format!("{name}: its producers are not known"))?;
        let is_complete = partition.active.as_ref().is_none_or(|active| active.is_complete);
        Checker::FilesAreWhole.check(!world.stopped_in_order || is_complete, || {
            format!("{name}: an orderly stop left something to recover: {:?}", partition.active)
        })?;
    }
    Ok(())
}

/// A recovered partition in a line.
fn brief(found: &RecoveredPartition) -> String {
    let RecoveredPartition { log_start, end, finished, suspicion, .. } = found;
    let active = found
        .active
        .as_ref()
        .map(|active| (active.base.0, active.length, active.allocated, active.is_complete));
    format!(
        "{}..{} at {}, active {active:?}, finished {finished:?}, {suspicion:?}",
        log_start.0, end.offset.0, end.position
    )
}
