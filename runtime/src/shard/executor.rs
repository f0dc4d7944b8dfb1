//! The executor of a shard, made so that it locks as little memory as it can.

use std::fs;
use std::io;
use std::os::fd::RawFd;
use std::ptr;
use std::time::Duration;

use glommio::{GlommioError, LocalExecutor, LocalExecutorBuilder};

use crate::limits::{EXECUTOR_IO_MEMORY_BYTES, EXECUTOR_RING_ENTRIES};
use crate::locked_memory;
use crate::shard::config::{Placement, ShardConfig, StartError};

/// glommio's preemption timer must never fire. If it fires between the executor's poll and its look
/// at the run queue (a thread that lost its CPU for as long as the timer runs), glommio 0.9 takes
/// "preempted before anything ran" for "nothing to run" and sleeps with a task ready: the shard
/// hangs until something else happens on glommio's own rings. With one task there is nobody to
/// preempt for, and the loop itself gives background slices their time.
const EXECUTOR_PREEMPT: Duration = Duration::from_secs(365 * 24 * 3600);

/// `IORING_UNREGISTER_BUFFERS` of the kernel's `io_uring.h`.
const UNREGISTER_BUFFERS: libc::c_uint = 1;

/// What executors ask of the kernel when they sleep for the first time: asked by the only thread of a process it costs
/// nothing, later some 12 ms, for which that shard stands still.
///
/// Called before the process has other threads. Where the kernel refuses, glommio does without.
pub fn prepare_process() {
    // SAFETY: no memory is passed.
    unsafe {
        libc::syscall(libc::SYS_membarrier, libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
    }
}

/// On the thread that will run it.
pub(super) fn make(config: &ShardConfig) -> Result<LocalExecutor, StartError> {
    let made = locked_memory::wait_for(|| match build(config) {
        Err(GlommioError::IoError(error)) => Err(error),
        made => Ok(made),
    });
    let executor = match made {
        Ok(made) => made.map_err(|error| StartError::Executor(error.to_string()))?,
        Err(error) => return Err(StartError::ExecutorIo(error.into())),
    };
    // Where that fails, more memory stays locked.
    let _ = unregister_buffers();
    Ok(executor)
}

fn build(config: &ShardConfig) -> Result<LocalExecutor, GlommioError<()>> {
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
        .preempt_timer(EXECUTOR_PREEMPT)
        .make()
}

/// glommio registers its file buffers with its three rings: 192 KiB of locked memory a shard, five times what
/// the shard needs, for files of a kind that we never open. It works without (where the kernel refuses the
/// registration, it goes on), and has no setting for it.
///
/// Called before this thread has a ring of ours; rings of ours on other threads refuse (single issuer).
fn unregister_buffers() -> io::Result<()> {
    for entry in fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        let Some(fd) = entry.file_name().to_str().and_then(|name| name.parse::<RawFd>().ok())
        else {
            continue;
        };
        if fs::read_link(entry.path()).is_ok_and(|to| to.as_os_str() == "anon_inode:[io_uring]") {
            // SAFETY: no memory is passed. Whatever the descriptor is by now, the kernel refuses the call
            // for all but a ring with registered buffers, and glommio uses those in no operation of ours.
            unsafe {
                libc::syscall(
                    libc::SYS_io_uring_register,
                    fd,
                    UNREGISTER_BUFFERS,
                    ptr::null::<libc::c_void>(),
                    0,
                );
            }
        }
    }
    Ok(())
}
