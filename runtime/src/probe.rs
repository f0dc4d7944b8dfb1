//! What a machine must allow before a node starts, and what no file tells of it. Each refusal is one sentence that names the
//! cause and the command that mends it.
//!
//! * `host`: the kernel, io_uring, locked memory: [`check_host`].
//! * `ring`: the three system calls of io_uring.
//! * `direct_io`: what a directory can do: [`check_directory`].
//! * `card`: what only a network card tells: [`CardFacts`].

mod card;
mod direct_io;
mod host;
mod ring;

pub use card::{CardFacts, Channels, Coalescing, Rings};
pub use direct_io::{DirectIo, Directory, FileSystemType, check_directory};
pub use host::{Host, Refusal, check_host, registration_notice};
pub use ring::RingCall;
