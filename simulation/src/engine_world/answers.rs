//! What the engines answer, against what is allowed.

use broker::engine::PartitionId;
use broker::engine::request::{AppendError, Appended, EngineEvent, LifecycleError, Token};

use super::{EngineWorld, Expected, NANOS_PER_MS, Parcel};
use crate::log::LogState;
use crate::violation::{Checked, Checker};

impl EngineWorld {
    pub(super) fn on_event(&mut self, shard: usize, event: EngineEvent) -> Checked {
        match event {
            EngineEvent::Appended { token, result } => self.on_appended(token, result),
            EngineEvent::ReadDone { token, result } => {
                let expected = self.answered(token)?;
                self.on_read(expected, result)
            }
            EngineEvent::Done { token, result } => self.on_done(token, result),
            EngineEvent::Released { token, partition } => {
                let Expected::Release { log, to } = self.answered(token)? else {
                    return Err(Checker::AnswersMakeSense.violated("released what nobody asked"));
                };
                let due = self.now + self.random.below(20 * NANOS_PER_MS);
                self.note(|world| format!("{token:?} released {}", world.logs[log.0].name));
                self.parcels.push(Parcel { due, log, to, partition });
                Ok(())
            }
            EngineEvent::HighWatermarkMoved(_) | EngineEvent::DamageFound(_) => Ok(()),
            EngineEvent::DirectoryFailed { dir, error } => {
                self.note(|_| format!("shard {shard}: {dir:?} failed: {error:?}"));
                self.has_failed = true;
                self.failed_dirs.insert(dir);
                Checker::AnswersMakeSense.check(self.excuses.failed, || {
                    format!("{dir:?} failed on shard {shard} without a reason: {error:?}")
                })
            }
        }
    }

    /// The request that an answer belongs to; it is answered once.
    fn answered(&mut self, token: Token) -> Checked<Expected> {
        self.trace.number(token.0);
        match self.expected.remove(&token) {
            Some((_, expected)) => Ok(expected),
            None => Err(Checker::AnswersMakeSense.violated(format!("{token:?} is answered twice"))),
        }
    }

    fn on_appended(&mut self, token: Token, result: Result<Appended, AppendError>) -> Checked {
        let Expected::Append { log: key, number, call, producer, epoch, invalid } =
            self.answered(token)?
        else {
            return Err(Checker::AnswersMakeSense.violated("an append that nobody sent"));
        };
        self.note(|_| format!("{token:?} {number:?}: {result:?}"));
        if let Some(producer) = producer {
            self.on_produced(producer, number, result.as_ref().err())?;
        }
        match result {
            Ok(appended) => {
                let log = &mut self.logs[key.0];
                let name = &log.name;
                Checker::AnswersMakeSense
                    .check(!invalid, || format!("{name}: a damaged batch was taken"))?;
                let stamps = log.stamps();
                Checker::AnswersMakeSense
                    .check(appended.log_append_ms.is_some() == stamps, || {
                        format!("{name}: {number:?} has log append time {appended:?}")
                    })?;
                self.trace.number(appended.base.0 as u64);
                if producer.is_none() {
                    log.epoch_acknowledged(epoch);
                }
                log.acknowledged(number, appended.base)
            }
            Err(error) => {
                self.check_refusal(key, &error, invalid)?;
                // What failed with its disk, or was given up with its partition, may still be there.
                let state = self.logs[key.0].state;
                if error != AppendError::Unavailable && state != LogState::Deleting {
                    self.logs[key.0].refused(number, call);
                }
                Ok(())
            }
        }
    }

    fn check_refusal(&self, key: super::LogKey, error: &AppendError, invalid: bool) -> Checked {
        let log = &self.logs[key.0];
        let excuses = self.excuses;
        let is_excused = match error {
            AppendError::NotOwner => {
                excuses.stopping || !matches!(log.state, LogState::Live { .. })
            }
            AppendError::Unavailable => excuses.failed || excuses.damaged,
            AppendError::Invalid(_) => invalid,
            AppendError::NoSpace => excuses.no_space,
            AppendError::ProducersUnknown => {
                return Checker::ProducersKnown
                    .check(excuses.damaged, || format!("{}: producers unknown", log.name));
            }
            // Judged with the producer.
            AppendError::InvalidProducerEpoch { .. } | AppendError::OutOfOrderSequence { .. } => {
                true
            }
            AppendError::Overloaded | AppendError::BeyondMemory { .. } => false,
        };
        Checker::AnswersMakeSense.check(is_excused, || {
            format!("{}: an append was refused with {error:?} in {:?}", log.name, log.state)
        })
    }

    fn on_done(&mut self, token: Token, result: Result<(), LifecycleError>) -> Checked {
        let expected = self.answered(token)?;
        self.note(|_| format!("{token:?} done: {result:?}, {expected:?}"));
        if let Err(error) = &result {
            self.check_lifecycle_error(&expected, error)?;
        }
        let is_done = result.is_ok();
        match expected {
            Expected::Create { log, shard } => {
                if is_done {
                    self.log(log).state = LogState::Live { shard };
                } else if result == Err(LifecycleError::NoSpace) {
                    // Refused for good: it leaves nothing behind.
                    self.log(log).state = LogState::Deleted;
                }
            }
            Expected::Delete(log) if is_done => self.log(log).state = LogState::Deleted,
            Expected::DeleteRecords { log, offset } if is_done => {
                self.log(log).log_start_acknowledged(offset);
            }
            Expected::Adopt { log, shard } if is_done => {
                // Whoever waits here looks first.
                let id = self.log(log).id;
                self.watermarks.remove(&id);
                self.log(log).state = LogState::Live { shard };
            }
            Expected::ShutDown => self.shut_down += 1,
            _ => {}
        }
        Ok(())
    }

    fn check_lifecycle_error(&self, expected: &Expected, error: &LifecycleError) -> Checked {
        let excuses = self.excuses;
        let is_excused = match error {
            LifecycleError::NoSpace => excuses.no_space,
            LifecycleError::Unavailable => excuses.failed || excuses.damaged,
            LifecycleError::NotOwner => match expected {
                Expected::DeleteRecords { log, .. } => {
                    excuses.stopping
                        || excuses.failed
                        || !matches!(self.logs[log.0].state, LogState::Live { .. })
                }
                _ => excuses.failed || excuses.stopping,
            },
            LifecycleError::OutOfRange | LifecycleError::TooManyPartitions => false,
        };
        Checker::AnswersMakeSense
            .check(is_excused, || format!("{expected:?} was answered with {error:?}"))
    }

    /// Whoever waits for records is told of every watermark that moved.
    pub(super) fn check_told(&self, moved: &[PartitionId], told: &[PartitionId]) -> Checked {
        for id in moved.iter().filter(|id| !told.contains(id)) {
            let key = self.key_of(*id);
            let is_live =
                key.is_some_and(|key| matches!(self.logs[key.0].state, LogState::Live { .. }));
            Checker::MovesAreTold
                .check(!is_live, || format!("the high watermark of {id:?} moved in silence"))?;
        }
        Ok(())
    }
}
