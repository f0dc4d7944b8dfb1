//! Frames over one TCP connection to a broker.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use bytes::Bytes;
use protocol::frame::{SIZE_BYTES, decode_response, frame_bytes};
use protocol::messages::ApiRequest;
use protocol::messages::api_versions::ApiVersionsRequest;
use protocol::{ApiKey, CorrelationId, ErrorCode, RequestHeader, Str, encode_request};

use crate::cli::failure::Failure;
use crate::cli::limits::RESPONSE_BYTES_MAX;

/// Whoever listens accepts at once, or nobody listens.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A broker may take its time for what it was given time for.
const GRACE: Duration = Duration::from_secs(5);

pub(super) struct Connection {
    address: String,
    stream: TcpStream,
    /// What the broker speaks: lowest and highest version of each API.
    versions: BTreeMap<i16, (i16, i16)>,
    next_correlation: i32,
}

impl Connection {
    pub(super) fn open(address: &str, timeout: Duration) -> Result<Self, Failure> {
        let stream = dial(address)?;
        let configured = stream
            .set_nodelay(true)
            .and_then(|()| stream.set_read_timeout(Some(timeout + GRACE)))
            .and_then(|()| stream.set_write_timeout(Some(timeout + GRACE)));
        configured.map_err(|error| Failure::failed(format!("{address}: {error}")))?;
        let mut connection = Self {
            address: address.to_owned(),
            stream,
            versions: BTreeMap::new(),
            next_correlation: 0,
        };
        connection.negotiate()?;
        Ok(connection)
    }

    /// Asks what the broker speaks; an old one refuses our version and answers in version 0.
    fn negotiate(&mut self) -> Result<(), Failure> {
        let request = || ApiVersionsRequest {
            client_software_name: Str::from("corelane"),
            client_software_version: Str::from(env!("CARGO_PKG_VERSION")),
        };
        let highest = *ApiKey::ApiVersions.described().end();
        let frame = self.exchange(request(), highest)?;
        // Error code and correlation id stand at the same place in every version.
        let refused = frame.get(4..6) == Some(&ErrorCode::UnsupportedVersion.code().to_be_bytes());
        let version = if refused { 0 } else { highest };
        let frame = if refused { self.exchange(request(), 0)? } else { frame };
        let response = self.decode::<ApiVersionsRequest>(version, &frame)?;
        self.versions = response
            .api_keys
            .iter()
            .map(|api| (api.api_key, (api.min_version, api.max_version)))
            .collect();
        Ok(())
    }

    /// The highest version that both sides know.
    pub(super) fn version(&self, api: ApiKey) -> Result<i16, Failure> {
        let spoken = api.described();
        let common = self.versions.get(&api.code()).and_then(|(min, max)| {
            let version = *spoken.end().min(max);
            (version >= *spoken.start().max(min)).then_some(version)
        });
        common.ok_or_else(|| {
            Failure::failed(format!("the broker at {} does not offer {api}", self.address))
        })
    }

    pub(super) fn call<R: ApiRequest>(&mut self, request: R) -> Result<R::Response, Failure> {
        let version = self.version(R::API)?;
        let frame = self.exchange(request, version)?;
        self.decode::<R>(version, &frame)
    }

    pub(super) fn tell<R: ApiRequest>(&mut self, request: R) -> Result<(), Failure> {
        let version = self.version(R::API)?;
        self.send(request, version)
    }

    fn exchange<R: ApiRequest>(&mut self, request: R, version: i16) -> Result<Bytes, Failure> {
        self.send(request, version)?;
        self.receive().map_err(|error| self.broken(&error, R::API))
    }

    fn send<R: ApiRequest>(&mut self, request: R, version: i16) -> Result<(), Failure> {
        self.next_correlation = self.next_correlation.wrapping_add(1);
        let header = RequestHeader {
            api_key: R::API,
            api_version: version,
            correlation_id: CorrelationId(self.next_correlation),
            client_id: Some(Str::from("corelane")),
        };
        let parts = encode_request(&header, &request.into())
            .map_err(|error| Failure::failed(format!("the request cannot be sent: {error}")))?;
        for part in parts {
            self.stream.write_all(&part).map_err(|error| self.broken(&error, R::API))?;
        }
        Ok(())
    }

    /// One frame without its size. Memory grows with what arrives, not with what is announced.
    fn receive(&mut self) -> io::Result<Bytes> {
        let mut size = [0; SIZE_BYTES];
        self.stream.read_exact(&mut size)?;
        let bytes = frame_bytes(size, RESPONSE_BYTES_MAX).map_err(io::Error::other)?;
        let mut frame = Vec::new();
        let limit = u64::try_from(bytes).unwrap_or(u64::MAX);
        (&mut self.stream).take(limit).read_to_end(&mut frame)?;
        if frame.len() < bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Bytes::from(frame))
    }

    fn decode<R: ApiRequest>(&self, version: i16, frame: &Bytes) -> Result<R::Response, Failure> {
        match decode_response::<R::Response>(version, frame) {
            Ok((correlation, response)) if correlation.0 == self.next_correlation => Ok(response),
            Ok(_) => Err(Failure::failed(format!("{} answered another request", self.address))),
            Err(error) => Err(Failure::failed(format!(
                "{} sent no {} response ({error}); is it a Kafka listener?",
                self.address,
                R::API
            ))),
        }
    }

    fn broken(&self, error: &io::Error, api: ApiKey) -> Failure {
        let address = &self.address;
        Failure::failed(match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => format!(
                "{address} did not answer {api} in time; give it more with --timeout, or look at the node's log"
            ),
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe => format!(
                "{address} closed the connection; is it a Kafka listener without TLS, and is the node running?"
            ),
            _ => format!("the connection to {address} failed: {error}"),
        })
    }
}

/// Tries every address that the name stands for.
fn dial(address: &str) -> Result<TcpStream, Failure> {
    let resolved = address.to_socket_addrs().map_err(|error| match error.kind() {
        io::ErrorKind::InvalidInput => {
            Failure::usage(format!("{address} is no HOST:PORT; try 127.0.0.1:9092"))
        }
        _ => Failure::failed(format!("{address} cannot be resolved: {error}")),
    })?;
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for candidate in resolved {
        match TcpStream::connect_timeout(&candidate, CONNECT_TIMEOUT) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(Failure::failed(match last.kind() {
        io::ErrorKind::ConnectionRefused => format!(
            "nothing listens on {address}; start a node with `corelane`, or name another with --bootstrap-server"
        ),
        _ => format!("{address} cannot be reached ({last}); name another with --bootstrap-server"),
    }))
}
