//! Frames over one TCP connection to a broker: versions negotiated, requests answered in order.
//!
//! A connection splits into a half that writes and a half that reads, so that many requests are in flight.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use bytes::Bytes;
use protocol::frame::{SIZE_BYTES, decode_response, frame_bytes};
use protocol::messages::ApiRequest;
use protocol::messages::api_versions::ApiVersionsRequest;
use protocol::{ApiKey, CorrelationId, ErrorCode, RequestHeader, Str, encode_request};

use crate::failure::Failure;
use crate::limits::RESPONSE_BYTES_MAX;

/// Whoever listens accepts at once, or nobody listens.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const CLIENT_ID: &str = "corelane-bench";

/// A connection whose broker's versions are known.
pub struct Connection {
    address: String,
    stream: TcpStream,
    versions: BTreeMap<i16, (i16, i16)>,
    next_correlation: i32,
}

impl Connection {
    /// `timeout` bounds how long an answer may take.
    pub fn open(address: &str, timeout: Duration) -> Result<Self, Failure> {
        let stream = dial(address)?;
        stream
            .set_nodelay(true)
            .and_then(|()| stream.set_read_timeout(Some(timeout)))
            .and_then(|()| stream.set_write_timeout(Some(timeout)))
            .map_err(|error| Failure::new(format!("{address}: {error}")))?;
        let mut connection = Self {
            address: address.to_owned(),
            stream,
            versions: BTreeMap::new(),
            next_correlation: 0,
        };
        connection.negotiate()?;
        Ok(connection)
    }

    /// The highest version that both sides know, `highest` at the most.
    pub fn version(&self, api: ApiKey, highest: i16) -> Result<i16, Failure> {
        let spoken = api.described();
        let common = self.versions.get(&api.code()).and_then(|(min, max)| {
            let version = *spoken.end().min(max).min(&highest);
            (version >= *spoken.start().max(min)).then_some(version)
        });
        common.ok_or_else(|| {
            Failure::new(format!("the broker at {} does not offer {api}", self.address))
        })
    }

    /// One question, one answer.
    pub fn call<R: ApiRequest>(&mut self, request: R) -> Result<R::Response, Failure> {
        let version = self.version(R::API, i16::MAX)?;
        self.exchange(request, version)
    }

    /// Two halves of one stream: what writes, and what reads the answers in order.
    pub fn split(self) -> Result<(TcpStream, FrameReader), Failure> {
        let reading = self
            .stream
            .try_clone()
            .map_err(|error| Failure::new(format!("{}: {error}", self.address)))?;
        Ok((self.stream, FrameReader { stream: reading, buffer: Vec::new() }))
    }

    /// Asks what the broker speaks; an old one refuses our version and answers in version 0.
    fn negotiate(&mut self) -> Result<(), Failure> {
        let request = || ApiVersionsRequest {
            client_software_name: Str::from(CLIENT_ID),
            client_software_version: Str::from(env!("CARGO_PKG_VERSION")),
        };
        let highest = *ApiKey::ApiVersions.described().end();
        self.send(request(), highest)?;
        let frame = self.receive()?;
        // Error code and correlation id stand at the same place in every version.
        let unsupported = ErrorCode::UnsupportedVersion.code().to_be_bytes();
        let response = if frame.get(4..6) == Some(&unsupported) {
            self.exchange(request(), 0)?
        } else {
            self.decode::<ApiVersionsRequest>(highest, &frame)?
        };
        let ranges = response.api_keys.iter();
        self.versions =
            ranges.map(|api| (api.api_key, (api.min_version, api.max_version))).collect();
        Ok(())
    }

    fn exchange<R: ApiRequest>(
        &mut self,
        request: R,
        version: i16,
    ) -> Result<R::Response, Failure> {
        self.send(request, version)?;
        let frame = self.receive()?;
        self.decode::<R>(version, &frame)
    }

    fn send<R: ApiRequest>(&mut self, request: R, version: i16) -> Result<(), Failure> {
        self.next_correlation = self.next_correlation.wrapping_add(1);
        let frame = encode(request, version, self.next_correlation)?;
        self.stream.write_all(&frame).map_err(|error| broken(&self.address, &error))
    }

    fn receive(&mut self) -> Result<Bytes, Failure> {
        let mut buffer = Vec::new();
        read_frame(&mut self.stream, &mut buffer).map_err(|error| broken(&self.address, &error))?;
        Ok(Bytes::from(buffer))
    }

    fn decode<R: ApiRequest>(&self, version: i16, frame: &Bytes) -> Result<R::Response, Failure> {
        match decode_response::<R::Response>(version, frame) {
            Ok((correlation, response)) if correlation.0 == self.next_correlation => Ok(response),
            Ok(_) => Err(Failure::new(format!("{} answered another request", self.address))),
            Err(error) => Err(Failure::new(format!(
                "{} sent no {} response ({error}); is it a Kafka listener without TLS?",
                self.address,
                R::API
            ))),
        }
    }
}

/// The half of a connection that reads.
pub struct FrameReader {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl FrameReader {
    /// The next frame without its size. Its memory is used again where nothing refers to it any more.
    pub fn next_frame(&mut self) -> io::Result<Bytes> {
        self.buffer.clear();
        read_frame(&mut self.stream, &mut self.buffer)?;
        Ok(Bytes::from(std::mem::take(&mut self.buffer)))
    }

    /// Gives the memory of a frame back.
    pub fn recycle(&mut self, frame: Bytes) {
        if let Ok(bytes) = frame.try_into_mut() {
            self.buffer = Vec::from(bytes);
        }
    }
}

/// A whole frame with its size.
pub fn encode<R: ApiRequest>(
    request: R,
    version: i16,
    correlation: i32,
) -> Result<Vec<u8>, Failure> {
    let header = RequestHeader {
        api_key: R::API,
        api_version: version,
        correlation_id: CorrelationId(correlation),
        client_id: Some(Str::from(CLIENT_ID)),
    };
    let parts = encode_request(&header, &request.into())
        .map_err(|error| Failure::new(format!("the request cannot be sent: {error}")))?;
    Ok(parts.concat())
}

/// What a broken connection means for the run.
#[must_use]
pub fn broken(address: &str, error: &io::Error) -> Failure {
    Failure::new(match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            format!("{address} did not answer in time; look at the broker's log")
        }
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::BrokenPipe => format!(
            "{address} closed the connection; is it a Kafka listener without TLS, and does the broker run?"
        ),
        _ => format!("the connection to {address} failed: {error}"),
    })
}

fn read_frame(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<()> {
    let mut size = [0; SIZE_BYTES];
    stream.read_exact(&mut size)?;
    let bytes = frame_bytes(size, RESPONSE_BYTES_MAX).map_err(io::Error::other)?;
    buffer.reserve(bytes);
    stream.take(bytes as u64).read_to_end(buffer)?;
    if buffer.len() < bytes {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

/// Tries every address that the name stands for.
fn dial(address: &str) -> Result<TcpStream, Failure> {
    let resolved = address.to_socket_addrs().map_err(|error| {
        Failure::new(format!("{address} is no HOST:PORT that can be resolved ({error})"))
    })?;
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for candidate in resolved {
        match TcpStream::connect_timeout(&candidate, CONNECT_TIMEOUT) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(Failure::new(match last.kind() {
        io::ErrorKind::ConnectionRefused => format!(
            "nothing listens on {address}; start a broker, or name another with --bootstrap-server"
        ),
        _ => format!("{address} cannot be reached ({last}); name another with --bootstrap-server"),
    }))
}
