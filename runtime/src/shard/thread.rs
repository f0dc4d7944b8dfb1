//! Starting and running a shard.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::os::fd::{AsFd, FromRawFd, IntoRawFd};
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::task::{Poll, Waker};
use std::thread::{self, JoinHandle};

use glommio::io::BufferedFile;
use glommio::{Latency, LocalExecutor, LocalExecutorBuilder, Shares, executor, spawn_local_into};

use crate::limits::{EXECUTOR_IO_MEMORY_BYTES, EXECUTOR_RING_ENTRIES};
use crate::mailbox::Bell;
use crate::memory::Arena;

use crate::ring::{Completion, Ring};
use crate::shard::abort::AbortOnPanic;
use crate::shard::config::{Placement, ShardConfig, StartError};
use crate::shard::shard_loop::{Background, ShardLoop, ShardSetup, Turn};

/// Shares of the executor's time under load: background slices get a tenth.
const FOREGROUND_SHARES: usize = 1000;
const BACKGROUND_SHARES: usize = 100;

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

/// Starts a shard: its thread, executor, arena and ring, then the loop that `make` makes on it.
/// `bell` is the one of the shard's mailbox. Returns once the loop runs, or with why it cannot.
pub fn start<L, F>(config: ShardConfig, bell: Arc<Bell>, make: F) -> Result<ShardHandle, StartError>
where
    L: ShardLoop + 'static,
    F: FnOnce(ShardSetup<'_>) -> L + Send + 'static,
{
    let (started, start) = mpsc::sync_channel(1);
    let thread = thread::Builder::new()
        .name(config.name.clone())
        .spawn(move || {
            let _abort = AbortOnPanic;
            match make_executor(&config) {
                Ok(executor) => executor.run(run(config, bell, make, started)),
                Err(error) => drop(started.send(Err(error))),
            }
        })
        .map_err(|error| StartError::Thread(error.into()))?;
    start.recv().expect("a shard says how its start went, or ends the process")?;
    Ok(ShardHandle { thread })
}

fn make_executor(config: &ShardConfig) -> Result<LocalExecutor, StartError> {
    let placement = match config.placement {
        Placement::Fixed(cpu) => glommio::Placement::Fixed(cpu),
        Placement::Unbound => glommio::Placement::Unbound,
    };
    LocalExecutorBuilder::new(placement)
        .name(&config.name)
        // Its file buffers; none of our files is glommio's (its IOPOLL probe and its sysfs look-up
        // fail on common devices), so the least it takes.
        .io_memory(EXECUTOR_IO_MEMORY_BYTES)
        .ring_depth(EXECUTOR_RING_ENTRIES)
        .preempt_timer(config.preempt)
        .make()
        .map_err(|error| StartError::Executor(error.to_string()))
}

/// What the foreground and the background task of a shard share. Borrowed within a slice only,
/// never across an await.
struct Shard<L> {
    logic: L,
    ring: Ring,
}

/// The background task's sleep.
#[derive(Default)]
struct Wakeup {
    waker: RefCell<Option<Waker>>,
    stop: Cell<bool>,
}

impl Wakeup {
    fn wake(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
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
    let logic = make(ShardSetup { arena: &arena, ring: &mut ring, bell: &bell });
    let shard = Rc::new(RefCell::new(Shard { logic, ring }));
    let wakeup = Rc::new(Wakeup::default());
    drop(started.send(Ok(())));

    let queue =
        |shares, latency, name| executor().create_task_queue(Shares::Static(shares), latency, name);
    let foreground = queue(FOREGROUND_SHARES, Latency::Matters(config.preempt), "foreground");
    let background = queue(BACKGROUND_SHARES, Latency::NotImportant, "background");
    let slices = spawn_local_into(
        run_background(Rc::clone(&shard), Rc::clone(&wakeup), Arc::clone(&bell)),
        background,
    )
    .expect("the queue was just made");
    let turns = spawn_local_into(run_turns(shard, Rc::clone(&wakeup), bell), foreground)
        .expect("the queue was just made");
    turns.await;
    wakeup.stop.set(true);
    wakeup.wake();
    // The last to hold the shard: its loop and its ring end here.
    slices.await;
}

fn make_ring(config: &ShardConfig, bell: &Arc<Bell>) -> Result<(Arena, Ring), StartError> {
    let arena =
        Arena::new(config.memory_bytes).map_err(|error| StartError::Memory(error.into()))?;
    let ring = Ring::new(&config.ring, &[&arena], Arc::clone(bell)).map_err(StartError::Ring)?;
    Ok((arena, ring))
}

/// The foreground: turns while there is something to do, then a sleep until the bell rings.
async fn run_turns<L: ShardLoop>(
    shard: Rc<RefCell<Shard<L>>>,
    wakeup: Rc<Wakeup>,
    bell: Arc<Bell>,
) {
    let fd = bell.as_fd().try_clone_to_owned().expect("one more descriptor at start");
    // SAFETY: a descriptor of our own, given away; glommio closes it.
    let eventfd = unsafe { BufferedFile::from_raw_fd(fd.into_raw_fd()) };
    let mut completions: Vec<Completion> = Vec::new();
    loop {
        let sleep = {
            let Shard { logic, ring } = &mut *shard.borrow_mut();
            ring.pump(&mut completions);
            let turn = AbortOnPanic::guard(|| logic.turn(ring, &mut completions));
            assert!(completions.is_empty(), "a turn takes all completions");
            if logic.has_background() {
                wakeup.wake();
            }
            match turn {
                Turn::Stop => break,
                Turn::Busy => false,
                // What the turn has submitted goes in and may complete at once: pump first.
                Turn::Idle if ring.has_work() => false,
                Turn::Idle => {
                    let sleep = ring.prepare_park(|| logic.is_idle());
                    if !sleep {
                        ring.end_park();
                    }
                    sleep
                }
            }
        };
        if sleep {
            // The one way in which glommio waits for a descriptor that is not its own; the read
            // also takes what was rung. A failed read wakes like any other.
            let _ = eventfd.read_at(0, size_of::<u64>()).await;
            shard.borrow_mut().ring.end_park();
        } else {
            executor().yield_if_needed().await;
        }
    }
    let _ = eventfd.close().await;
}

/// The background: slices while there are any, one at a time.
async fn run_background<L: ShardLoop>(
    shard: Rc<RefCell<Shard<L>>>,
    wakeup: Rc<Wakeup>,
    bell: Arc<Bell>,
) {
    loop {
        poll_fn(|context| {
            if wakeup.stop.get() || shard.borrow().logic.has_background() {
                return Poll::Ready(());
            }
            *wakeup.waker.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
        while !wakeup.stop.get() {
            let more = {
                let Shard { logic, ring } = &mut *shard.borrow_mut();
                let more = AbortOnPanic::guard(|| logic.background(ring));
                if ring.has_work() || !logic.is_idle() {
                    // What the slice has submitted is pumped by the foreground.
                    bell.ring_if_parked();
                }
                more
            };
            // Between slices, whoever else is ready runs first.
            executor().yield_task_queue_now().await;
            if more == Background::Done {
                break;
            }
        }
        if wakeup.stop.get() {
            return;
        }
    }
}
