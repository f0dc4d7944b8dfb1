//! Starting and running a shard.

use std::os::fd::{AsFd, FromRawFd, IntoRawFd};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use glommio::io::BufferedFile;

use crate::clock::Monotonic;
use crate::mailbox::Bell;
use crate::memory::Arena;
use crate::ring::{Completion, Ring};
use crate::shard::abort::AbortOnPanic;
use crate::shard::config::{ShardConfig, StartError};
use crate::shard::executor;
use crate::shard::shard_loop::{ShardLoop, ShardSetup, Turn};

/// A shard that has nothing to do for now sleeps on its bell by itself for so long, before it leaves that to
/// the executor: of what wakes it under load nearly all comes sooner, and the executor takes ten system
/// calls for what this does with two. Nothing else runs on the executor that would wait meanwhile.
const BRIEF_PARK: Duration = Duration::from_millis(10);

/// Under load, background slices get one part in so many of the time.
const BACKGROUND_SHARE: u64 = 10;

/// A running shard.
#[derive(Debug)]
pub struct ShardHandle {
    thread: JoinHandle<()>,
}

impl ShardHandle {
    /// Waits until the shard's loop has said [`Turn::Stop`].
    pub fn join(self) {
        // A panic of the shard has ended the process already.
        let _ = self.thread.join();
    }
}

/// A shard whose thread makes what it needs: several may do so at once.
#[derive(Debug)]
pub struct StartingShard {
    thread: JoinHandle<()>,
    started: mpsc::Receiver<Result<(), StartError>>,
}

impl StartingShard {
    /// Returns once the loop runs, or with why it cannot.
    pub fn wait(self) -> Result<ShardHandle, StartError> {
        self.await_step()?;
        Ok(ShardHandle { thread: self.thread })
    }

    /// Executor and ring, then the loop.
    fn await_step(&self) -> Result<(), StartError> {
        self.started.recv().expect("a shard says how its start went, or ends the process")
    }
}

/// Starts a shard: its thread, executor, arena and ring, then the loop that `make` makes on it.
/// `bell` is the one of the shard's mailbox. Returns once executor and ring are there: what an executor locks until it is
/// made is bounded for one at a time, and nothing of it is left for a ring. Shards make all else at the same time.
pub fn start<L, F>(
    config: ShardConfig,
    bell: Arc<Bell>,
    make: F,
) -> Result<StartingShard, StartError>
where
    L: ShardLoop + 'static,
    F: FnOnce(ShardSetup<'_>) -> L + Send + 'static,
{
    let (tell, started) = mpsc::sync_channel(2);
    let thread = thread::Builder::new()
        .name(config.name.clone())
        .spawn(move || {
            let _abort = AbortOnPanic;
            match executor::make(&config) {
                Ok(executor) => executor.run(run(config, bell, make, tell)),
                Err(error) => drop(tell.send(Err(error))),
            }
        })
        .map_err(|error| StartError::Thread(error.into()))?;
    let starting = StartingShard { thread, started };
    starting.await_step()?;
    Ok(starting)
}

async fn run<L, F>(
    config: ShardConfig,
    bell: Arc<Bell>,
    make: F,
    started: mpsc::SyncSender<Result<(), StartError>>,
) where
    L: ShardLoop + 'static,
    F: FnOnce(ShardSetup<'_>) -> L + Send + 'static,
{
    let (arena, mut ring) = match make_ring(&config, &bell) {
        Ok(made) => made,
        Err(error) => return drop(started.send(Err(error))),
    };
    let _ = started.send(Ok(()));
    let setup = ShardSetup { arena: &arena, ring: &mut ring, bell: &bell };
    let mut logic = AbortOnPanic::guard(|| make(setup));
    drop(started.send(Ok(())));
    run_turns(&mut logic, &mut ring, &bell).await;
}

fn make_ring(config: &ShardConfig, bell: &Arc<Bell>) -> Result<(Arena, Ring), StartError> {
    let arena =
        Arena::new(config.memory_bytes).map_err(|error| StartError::Memory(error.into()))?;
    let ring = Ring::new(&config.ring, &[&arena], Arc::clone(bell)).map_err(StartError::Ring)?;
    Ok((arena, ring))
}

/// Turns while there is something to do, background slices in between, then a sleep until the bell
/// rings. The one task of its executor: it awaits nothing but the bell.
async fn run_turns<L: ShardLoop>(logic: &mut L, ring: &mut Ring, bell: &Bell) {
    let fd = bell.as_fd().try_clone_to_owned().expect("one more descriptor at start");
    // SAFETY: a descriptor of our own, given away; glommio closes it.
    let eventfd = unsafe { BufferedFile::from_raw_fd(fd.into_raw_fd()) };
    let mut completions: Vec<Completion> = Vec::new();
    let mut slices = Slices { next: Monotonic(0) };
    loop {
        ring.pump(&mut completions);
        let turn = AbortOnPanic::guard(|| logic.turn(ring, &mut completions));
        assert!(completions.is_empty(), "a turn takes all completions");
        match turn {
            Turn::Stop => break,
            Turn::Busy => slices.run_one_if_due(logic, ring),
            // What the turn has submitted goes in and may complete at once: pump first.
            Turn::Idle if ring.has_work() => slices.run_one_if_due(logic, ring),
            Turn::Idle if logic.has_background() => slices.run_one(logic, ring),
            Turn::Idle => {
                if ring.prepare_park(|| logic.is_idle()) && !bell.wait(Some(BRIEF_PARK)) {
                    // The one way in which glommio waits for a descriptor that is not its own; the
                    // read also takes what was rung. A failed read wakes like any other.
                    let _ = eventfd.read_at(0, size_of::<u64>()).await;
                }
                ring.end_park();
            }
        }
    }
    let _ = eventfd.close().await;
}

/// When the background gets its time: all that the foreground leaves, and a tenth under load.
struct Slices {
    /// Not before this, while the foreground is busy.
    next: Monotonic,
}

impl Slices {
    fn run_one_if_due<L: ShardLoop>(&mut self, logic: &mut L, ring: &mut Ring) {
        if logic.has_background() && Monotonic::read() >= self.next {
            self.run_one(logic, ring);
        }
    }

    fn run_one<L: ShardLoop>(&mut self, logic: &mut L, ring: &mut Ring) {
        let start = Monotonic::read();
        AbortOnPanic::guard(|| logic.background(ring));
        let end = Monotonic::read();
        let pause = (end.0 - start.0).saturating_mul(BACKGROUND_SHARE - 1);
        self.next = end + Duration::from_nanos(pause);
    }
}
