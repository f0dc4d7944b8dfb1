//! A broker that keeps nothing: it receives, checks CRCs, assigns offsets and forgets. What a client reaches against
//! it is the ceiling of client, loopback and CRC together, so no broker can look faster with the same client.
//!
//! * `frames`: requests from a socket, without a copy and with few system calls
//! * `topics`: which there are, and their next offsets
//! * `answers`: a request to its response
//!
//! A thread with a blocking socket for each connection. Batches with a bad CRC are refused as Kafka refuses them; a
//! fetch finds nothing; there are no groups. Its cluster id says what it is: a run against it compares
//! acknowledgements only, and says so.

mod answers;
mod frames;
mod topics;

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::failure::Failure;
use crate::limits::NULL_BROKER_CONNECTIONS_MAX;

use answers::{Answer, Answers};
use frames::Frames;
use topics::Topics;

/// How a null broker is told from brokers that keep what they acknowledge.
pub const NULL_CLUSTER_ID: &str = "corelane-null-broker";

/// How long its own connection may take that ends the waiting for others.
const WAKE_TIMEOUT: Duration = Duration::from_secs(1);

/// Listens until it is dropped.
pub struct NullBroker {
    address: SocketAddr,
    is_ending: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl NullBroker {
    /// `listen` is `HOST:PORT`; port 0 is any that is free.
    pub fn start(listen: &str) -> Result<Self, Failure> {
        let failed = |error: io::Error| {
            Failure::new(format!(
                "the null broker cannot listen on {listen} ({error}); give --listen another HOST:PORT"
            ))
        };
        let listener = TcpListener::bind(listen).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let is_ending = Arc::new(AtomicBool::new(false));
        let topics = Topics::start().map_err(failed)?;
        let ending = Arc::clone(&is_ending);
        let thread = std::thread::Builder::new().name("null-broker".to_owned());
        let accepting =
            thread.spawn(move || accept(&listener, &topics, &ending)).map_err(failed)?;
        Ok(Self { address, is_ending, accepting: Some(accepting) })
    }

    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the process ends.
    pub fn serve(mut self) {
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

impl Drop for NullBroker {
    fn drop(&mut self) {
        let Some(accepting) = self.accepting.take() else { return };
        self.is_ending.store(true, Ordering::Release);
        // Who waits for a connection sees the sign only with one.
        if TcpStream::connect_timeout(&self.address, WAKE_TIMEOUT).is_ok() {
            let _ = accepting.join();
        }
    }
}

fn accept(listener: &TcpListener, topics: &Topics, is_ending: &AtomicBool) {
    let connections = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        if is_ending.load(Ordering::Acquire) {
            return;
        }
        // Of what is refused here the client says the same as of any broker that closes a connection.
        let Ok(stream) = stream else { continue };
        if connections.load(Ordering::Relaxed) >= NULL_BROKER_CONNECTIONS_MAX {
            continue;
        }
        connections.fetch_add(1, Ordering::Relaxed);
        let (topics, counted) = (topics.clone(), Arc::clone(&connections));
        let thread = std::thread::Builder::new().name("null-connection".to_owned());
        let serving = thread.spawn(move || {
            let _ = serve(stream, topics);
            counted.fetch_sub(1, Ordering::Relaxed);
        });
        if serving.is_err() {
            connections.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Until the client closes, or sends what is no request.
fn serve(stream: TcpStream, topics: Topics) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut writing = stream.try_clone()?;
    let mut answers = Answers::new(stream.local_addr()?, topics);
    let mut frames = Frames::new(stream);
    while let Some(frame) = frames.next_frame()? {
        match answers.answer(&frame.bytes())? {
            Answer::Response(parts) => match parts.as_slice() {
                [one] => writing.write_all(one)?,
                parts => writing.write_all(&parts.concat())?,
            },
            Answer::Nothing => {}
        }
        frames.give_back(frame);
    }
    Ok(())
}
