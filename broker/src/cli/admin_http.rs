//! The admin address of a node, asked over HTTP: what Kafka's protocol has no words for.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use clap::Args;
use serde::de::DeserializeOwned;

use super::failure::Failure;
use super::limits::ADMIN_RESPONSE_BYTES_MAX;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Moving a partition flushes it first.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Args, Clone, Debug)]
pub(crate) struct AdminArgs {
    /// The node's admin address. [default: 127.0.0.1:9644]
    #[arg(long, value_name = "HOST:PORT", env = "CORELANE_ADMIN")]
    admin: Option<String>,
}

const ADMIN: &str = "127.0.0.1:9644";

/// An answer: its status and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The value of a successful answer; the node's own sentence where it refused.
    pub(crate) fn value<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        if self.status != 200 {
            let said: Option<serde_json::Value> = serde_json::from_slice(&self.body).ok();
            let said = said.as_ref().and_then(|value| value.get("error")?.as_str());
            return Err(Failure::failed(match said {
                Some(said) => said.to_owned(),
                None => format!(
                    "the node answered with HTTP status {}; name its admin address with --admin",
                    self.status
                ),
            }));
        }
        serde_json::from_slice(&self.body).map_err(|error| {
            Failure::failed(format!(
                "the admin address gave an answer that this version does not understand ({error}); use the `corelane` of the node's version"
            ))
        })
    }
}

impl AdminArgs {
    pub(crate) fn address(&self) -> &str {
        self.admin.as_deref().unwrap_or(ADMIN)
    }

    /// Whether an address was given.
    pub(crate) fn is_given(&self) -> bool {
        self.admin.is_some()
    }

    pub(crate) fn get(&self, path: &str) -> Result<Answer, Failure> {
        self.ask("GET", path)
    }

    pub(crate) fn post(&self, path: &str) -> Result<Answer, Failure> {
        self.ask("POST", path)
    }

    fn ask(&self, method: &str, path: &str) -> Result<Answer, Failure> {
        let address = self.address();
        self.exchange(method, path).map_err(|error| {
            Failure::failed(match error.kind() {
                io::ErrorKind::ConnectionRefused => format!(
                    "no node answers on the admin address {address}; start one with `corelane`, or name another with --admin"
                ),
                io::ErrorKind::InvalidInput => format!("{address} is no HOST:PORT; try 127.0.0.1:9644"),
                io::ErrorKind::InvalidData => format!("{address} does not speak HTTP ({error}); name the node's admin address with --admin"),
                _ => format!("the admin address {address} does not answer ({error}); name another with --admin"),
            })
        })
    }

    fn exchange(&self, method: &str, path: &str) -> io::Result<Answer> {
        let mut stream = self.dial()?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            self.address()
        )?;
        let mut bytes = Vec::new();
        (&mut stream).take(ADMIN_RESPONSE_BYTES_MAX).read_to_end(&mut bytes)?;
        parse(&bytes).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no HTTP answer"))
    }

    fn dial(&self) -> io::Result<TcpStream> {
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for candidate in self.address().to_socket_addrs()? {
            match TcpStream::connect_timeout(&candidate, CONNECT_TIMEOUT) {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// A whole answer on a connection that was closed behind it.
fn parse(bytes: &[u8]) -> Option<Answer> {
    let head_end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..head_end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let body = &bytes[head_end + 4..];
    let body = match length {
        Some(length) => body.get(..length)?,
        None => body,
    };
    Some(Answer { status, body: body.to_vec() })
}

/// A path segment or a query value, percent-encoded.
pub(crate) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::{Answer, encoded, parse};

    #[test]
    fn answers_are_read_to_their_length() {
        let answer = parse(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}more");
        assert_eq!(answer, Some(Answer { status: 200, body: b"{}".to_vec() }));
        let answer = parse(b"HTTP/1.1 503 Service Unavailable\r\n\r\nno");
        assert_eq!(answer, Some(Answer { status: 503, body: b"no".to_vec() }));
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"), None);
        assert_eq!(parse(b"\x15\x03\x01"), None);
    }

    #[test]
    fn refusals_carry_the_nodes_sentence() {
        let answer =
            Answer { status: 404, body: br#"{"error":"there is no such topic"}"#.to_vec() };
        let failure = answer.value::<serde_json::Value>().unwrap_err();
        assert_eq!(failure.to_string(), "there is no such topic");
    }

    #[test]
    fn paths_are_encoded() {
        assert_eq!(encoded("a.b_c-9"), "a.b_c-9");
        assert_eq!(encoded("/ü?"), "%2F%C3%BC%3F");
    }
}
