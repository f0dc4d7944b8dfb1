//! The shell of this crate: sockets of one shard on the shard's ring, events and effects of the seam.
//!
//! ```text
//!   core ──NetEffect──▶ Driver::perform ──▶ Ring
//!   core ◀──NetEvent── Driver::on_completion ◀── Completion
//!                      Driver::adopt ◀── AcceptedSocket ◀── (another shard's) Acceptor
//! ```
//!
//! Nothing here waits and nothing here decides: what to receive, send or close is the core's business.
//! What the driver answers for is the seam's contract (see `seam`), and that an operation of the ring is
//! only submitted with a free slot.
//!
//! * `socket_table`: the sockets by slot; generations make late completions recognisable.
//! * `sockets`: `Driver`.
//! * `pieces`: a large send, cut so that its progress can be seen.
//! * `acceptor`: listeners, accepting, backing off when the process has no descriptor left.
//! * `socket_options`: what every socket is set to.
//! * `token`: names of our operations among all operations of the ring.

mod acceptor;
mod pieces;
mod socket_options;
mod socket_table;
mod sockets;
mod token;

pub use acceptor::{AcceptMetrics, AcceptedSocket, Acceptor, ListenError};
pub use sockets::{AdoptError, Driver, DriverConfig, DriverMetrics};
pub use token::{LISTENER_TAG, SOCKET_TAG};
