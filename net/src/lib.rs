//! Bytes to requests and responses back, in order.
//!
//! `Connections` is the core: the state of all connections of one shard, without a socket, a clock or
//! a thread. The driver moves bytes between it and the kernel. Size-delimited frames are all that this
//! crate knows of Kafka: what is in them is the broker's business.
//!
//! May touch: sockets, through `runtime` (in `driver` alone). Must not: logs, partitions, request contents.
//!
//! Invariants: responses leave in request order; memory for a request is reserved before its body is
//! received; record bytes are never copied on their way out; nothing that a peer sends panics or
//! allocates without a limit.
//!
//! | module | what is there |
//! |---|---|
//! | `seam` | events and effects between core and driver, frames for the broker |
//! | `connections` | the core: the table of a shard's connections; `receive`, `respond`, `expire` are its phases |
//! | `connection` | one connection's state and its deadlines |
//! | `frame_size` | the 4 bytes before a frame, judged |
//! | `request_memory` | budgets and queues for the memory of requests |
//! | `request_order` | responses back into request order |
//! | `outbound` | one send in flight, zero copy while the kernel keeps its word |
//! | `log_memory` | where records are sent from, to tell copies from them |
//! | `deadlines` | who has to be looked at when |
//! | `transform` | the place of TLS |
//! | `placement` | which shard an accepted connection goes to |
//! | `driver` | sockets and listeners on the shard's ring |
//! | `close_reason`, `metrics`, `limits`, `ids` | what their names say |

mod close_reason;
mod connection;
mod connections;
mod deadlines;
pub mod driver;
mod frame_size;
mod ids;
pub mod limits;
mod log_memory;
mod metrics;
mod outbound;
mod placement;
mod request_memory;
mod request_order;
mod seam;
mod transform;

pub use close_reason::CloseReason;
pub use connections::Connections;
pub use ids::{ConnectionId, ListenerId, Principal, Sequence};
pub use limits::Limits;
pub use metrics::Metrics;
pub use placement::Placement;
pub use seam::{ClosedConnection, Frame, LeftConnection, NetEffect, NetEvent, NetOutput, SendMode};
