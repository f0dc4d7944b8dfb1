//! Members that cost nearly nothing: requests over few connections, many at once, answers in order.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::Bytes;
use protocol::frame::{decode_response, encode_request};
use protocol::messages::{ApiRequest, ApiResponse};
use protocol::{CorrelationId, RequestHeader, Str};

/// A connection with requests in flight.
pub(crate) struct Line {
    stream: TcpStream,
}

impl Line {
    pub(crate) fn connect(bootstrap: &str) -> Self {
        let stream = TcpStream::connect(bootstrap).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        Self { stream }
    }

    pub(crate) fn try_clone(&self) -> Self {
        Self { stream: self.stream.try_clone().unwrap() }
    }

    /// Sends all of them before anything is read.
    pub(crate) fn send<R: ApiRequest>(
        &mut self,
        version: i16,
        requests: impl IntoIterator<Item = R>,
    ) {
        let mut bytes = Vec::new();
        for request in requests {
            let header = RequestHeader {
                api_key: R::API,
                api_version: version,
                correlation_id: CorrelationId(1),
                client_id: Some(Str::from_static("groups")),
            };
            for part in encode_request(&header, &request.into()).unwrap() {
                bytes.extend_from_slice(&part);
            }
        }
        self.stream.write_all(&bytes).unwrap();
    }

    pub(crate) fn receive<R: ApiResponse>(&mut self, version: i16) -> R {
        let mut size = [0; 4];
        self.stream.read_exact(&mut size).unwrap();
        let mut frame = vec![0; usize::try_from(i32::from_be_bytes(size)).unwrap()];
        self.stream.read_exact(&mut frame).unwrap();
        decode_response::<R>(version, &Bytes::from(frame)).unwrap().1
    }

    pub(crate) fn ask<R: ApiRequest>(&mut self, version: i16, request: R) -> R::Response {
        self.send(version, [request]);
        self.receive(version)
    }

    /// Asks until the coordinator is there.
    pub(crate) fn find_coordinator(&mut self, group: &str) {
        use protocol::messages::find_coordinator::FindCoordinatorRequest;
        loop {
            let request = FindCoordinatorRequest {
                coordinator_keys: vec![Str::from(group)],
                ..FindCoordinatorRequest::default()
            };
            if self.ask(4, request).coordinators[0].error_code == 0 {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}
