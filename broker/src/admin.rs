//! The admin address: health, metrics and placement of partitions over HTTP/1.1.
//!
//! Served by the node's main thread, one request at a time, each bounded in bytes and time: nothing here
//! costs a shard more than a snapshot of its counters.
//!
//! | path | answer |
//! |---|---|
//! | `GET /livez` | 200 while the process runs |
//! | `GET /readyz` | 200 while clients are served and every log directory works |
//! | `GET /metrics` | Prometheus text |
//! | `GET /v1/partitions[?topic=T]` | where each partition lives and why |
//! | `POST /v1/partitions/T/P/move?shard=N` | moves a partition to another shard |
//!
//! * `http`: requests and answers; `metrics`: the text, `groups`: of topics and groups; `stages`: where time goes;
//!   `partitions`: the JSON

pub(crate) mod groups;
pub(crate) mod http;
pub(crate) mod metrics;
pub(crate) mod partitions;
mod stages;

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use runtime::socket::listen_on;

use crate::limits::{ADMIN_REQUEST_MS_MAX, LISTEN_BACKLOG};

/// The admin address, listened on.
#[derive(Debug)]
pub(crate) struct Admin {
    listener: TcpListener,
    address: SocketAddr,
}

impl Admin {
    pub(crate) fn bind(address: SocketAddr) -> Result<Self, (SocketAddr, io::Error)> {
        let bound = listen_on(address, LISTEN_BACKLOG).map(TcpListener::from);
        let bound = bound.and_then(|listener| {
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            Ok(Self { listener, address })
        });
        bound.map_err(|error| (address, error))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// A connection, if one waits; its reads and writes are bounded in time.
    pub(crate) fn accept(&self) -> Option<TcpStream> {
        let (stream, _) = self.listener.accept().ok()?;
        let bound = Some(Duration::from_millis(ADMIN_REQUEST_MS_MAX));
        let is_set = stream
            .set_nonblocking(false)
            .and_then(|()| stream.set_read_timeout(bound))
            .and_then(|()| stream.set_write_timeout(bound));
        is_set.ok().map(|()| stream)
    }
}

impl AsFd for Admin {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}
