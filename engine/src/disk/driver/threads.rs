//! The helper threads of a shard's disks: one for what others wait for, one for the prewriting of files.
//!
//! A journal file takes a tenth of a second to prewrite, and after a start there are several: a topic that is created
//! meanwhile has no place behind them. Each thread runs its tasks in the order of their submission. The two orders are
//! independent: a file that is prewritten is named to nobody before its job is done.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use runtime::mailbox::Bell;
use runtime::shard::BlockingHelper;
use rustix::fd::OwnedFd;

use super::files::FileKey;
use crate::disk::file_system::FileSystemError;
use crate::disk::job::execute;
use crate::disk::operation::{DiskEvent, DiskOutput, Job, OpId};
use crate::disk::real::RealFileSystem;
use crate::limits::HELPER_QUEUE_SLOTS;

#[derive(Debug)]
pub(super) enum HelperTask {
    Open { file: FileKey, dir: Arc<RealFileSystem>, path: PathBuf },
    Job { op: OpId, dir: Arc<RealFileSystem>, job: Job },
}

#[derive(Debug)]
pub(super) enum HelperResult {
    Opened { file: FileKey, result: Result<OwnedFd, FileSystemError> },
    Done { event: DiskEvent },
}

#[derive(Debug)]
pub(super) struct Helpers {
    prompt: Queue,
    prewriting: Queue,
}

/// A thread, and what it has no slot for yet.
#[derive(Debug)]
struct Queue {
    helper: BlockingHelper<HelperResult>,
    waiting: VecDeque<HelperTask>,
}

impl Helpers {
    pub(super) fn start(name: &str, shard_bell: &Arc<Bell>) -> io::Result<Self> {
        Ok(Self {
            prompt: Queue::start(&format!("{name}-disk"), shard_bell)?,
            prewriting: Queue::start(&format!("{name}-pre"), shard_bell)?,
        })
    }

    pub(super) fn submit(&mut self, task: HelperTask) {
        let queue = if task.prewrites() { &mut self.prewriting } else { &mut self.prompt };
        queue.waiting.push_back(task);
        queue.feed();
    }

    /// Takes what is done, and goes on with what waits.
    pub(super) fn drain(&mut self, results: &mut Vec<HelperResult>) {
        for queue in [&mut self.prompt, &mut self.prewriting] {
            queue.helper.drain(|result| results.push(result));
            queue.feed();
        }
    }

    /// Whether none has anything to say.
    pub(super) fn are_idle(&self) -> bool {
        self.prompt.helper.is_idle() && self.prewriting.helper.is_idle()
    }

    /// Tasks whose results were not taken yet.
    pub(super) fn outstanding(&self) -> usize {
        self.prompt.outstanding() + self.prewriting.outstanding()
    }
}

impl Queue {
    fn start(name: &str, shard_bell: &Arc<Bell>) -> io::Result<Self> {
        let helper = BlockingHelper::start(name, HELPER_QUEUE_SLOTS, Arc::clone(shard_bell))?;
        Ok(Self { helper, waiting: VecDeque::new() })
    }

    fn feed(&mut self) {
        while self.helper.free_slots() > 0 {
            let Some(task) = self.waiting.pop_front() else { return };
            self.helper.submit(move || task.run());
        }
    }

    fn outstanding(&self) -> usize {
        HELPER_QUEUE_SLOTS - self.helper.free_slots() + self.waiting.len()
    }
}

impl HelperTask {
    fn prewrites(&self) -> bool {
        matches!(self, Self::Job { job, .. } if job.prewrites())
    }

    /// On a helper thread.
    fn run(self) -> HelperResult {
        match self {
            Self::Open { file, dir, path } => {
                HelperResult::Opened { file, result: dir.open_data(&path) }
            }
            Self::Job { op, dir, job } => {
                let result = execute(&*dir, &job).map(DiskOutput::Done);
                HelperResult::Done { event: DiskEvent { op, result } }
            }
        }
    }
}
