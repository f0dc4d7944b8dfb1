//! As much HTTP/1.1 as the admin address needs: one request a connection, bounded.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use crate::limits::{ADMIN_REQUEST_BYTES_MAX, ADMIN_REQUEST_MS_MAX};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Post,
}

/// A request: its method, path and query, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: Method,
    /// HEAD: as GET, and the answer goes without its body.
    pub(crate) without_body: bool,
    pub(crate) path: Vec<String>,
    pub(crate) query: Vec<(String, String)>,
}

impl Request {
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|entry| entry.0 == name).map(|entry| entry.1.as_str())
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn text(status: u16, body: impl Into<String>) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", body: body.into() }
    }

    pub(crate) fn metrics(body: String) -> Self {
        Self { status: 200, content_type: "text/plain; version=0.0.4; charset=utf-8", body }
    }

    pub(crate) fn json(status: u16, value: &serde_json::Value) -> Self {
        Self { status, content_type: "application/json", body: value.to_string() }
    }

    pub(crate) fn refusal(status: u16, why: &str) -> Self {
        Self::json(status, &serde_json::json!({ "error": why }))
    }

    /// Says the length of a body that is left out, too.
    pub(crate) fn write(&self, stream: &mut impl Write, without_body: bool) -> io::Result<()> {
        let Self { status, content_type, body } = self;
        let reason = match status {
            200 => "OK",
            400 => "Bad Request",
            404 => "Not Found",
            405 => "Method Not Allowed",
            409 => "Conflict",
            _ => "Service Unavailable",
        };
        write!(
            stream,
            "HTTP/1.1 {status} {reason}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n",
            body.len()
        )?;
        if !without_body {
            stream.write_all(body.as_bytes())?;
        }
        stream.flush()
    }
}

/// Reads a request's head. `None`: it is none, or too long, or too slow.
pub(crate) fn read(stream: &mut impl Read) -> Option<Request> {
    let end = Instant::now() + Duration::from_millis(ADMIN_REQUEST_MS_MAX);
    let mut head = Vec::with_capacity(512);
    let mut piece = [0; 512];
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        let read = stream.read(&mut piece).ok().filter(|read| *read > 0)?;
        head.extend_from_slice(&piece[..read]);
        if head.len() > ADMIN_REQUEST_BYTES_MAX || Instant::now() >= end {
            return None;
        }
    }
    parse(&head)
}

fn parse(head: &[u8]) -> Option<Request> {
    let head = std::str::from_utf8(head).ok()?;
    let mut words = head.lines().next()?.split(' ');
    let word = words.next()?;
    let method = match word {
        "GET" | "HEAD" => Method::Get,
        "POST" => Method::Post,
        _ => return None,
    };
    let target = words.next()?;
    words.next().filter(|version| version.starts_with("HTTP/1."))?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let path: Option<Vec<String>> =
        path.split('/').filter(|part| !part.is_empty()).map(decoded).collect();
    let query: Option<Vec<(String, String)>> = query
        .split('&')
        .filter(|entry| !entry.is_empty())
        .map(|entry| {
            let (name, value) = entry.split_once('=').unwrap_or((entry, ""));
            Some((decoded(name)?, decoded(value)?))
        })
        .collect();
    Some(Request { method, without_body: word == "HEAD", path: path?, query: query? })
}

/// Percent-encoding undone.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first == b'%' {
            let (digits, after) = rest.split_at_checked(2)?;
            let digits = std::str::from_utf8(digits).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = after;
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::{Answer, Method, Request, parse, read};

    #[test]
    fn requests_are_decoded() {
        let head =
            b"POST /v1/partitions/a%2Fb/3/move?shard=1&dir=%2Fmnt HTTP/1.1\r\nHost: x\r\n\r\n";
        let request = parse(head).unwrap();
        assert_eq!(request.method, Method::Post);
        assert_eq!(request.path, ["v1", "partitions", "a/b", "3", "move"]);
        assert_eq!((request.value("shard"), request.value("dir")), (Some("1"), Some("/mnt")));
        assert_eq!(request.value("none"), None);
    }

    #[test]
    fn what_is_no_request_is_none() {
        for head in [
            &b"GET\r\n\r\n"[..],
            b"PUT / HTTP/1.1\r\n\r\n",
            b"GET / SMTP\r\n\r\n",
            b"GET /%zz HTTP/1.1\r\n\r\n",
            b"GET /%f HTTP/1.1\r\n\r\n",
            b"\x16\x03\x01\r\n\r\n",
        ] {
            assert_eq!(parse(head), None);
        }
        let endless = vec![b'a'; 100_000];
        assert_eq!(read(&mut &endless[..]), None);
        assert_eq!(read(&mut &b"GET / HT"[..]), None);
        let whole = read(&mut &b"GET / HTTP/1.0\r\n\r\n"[..]);
        let root =
            Request { method: Method::Get, without_body: false, path: vec![], query: vec![] };
        assert_eq!(whole, Some(root.clone()));
        let head = read(&mut &b"HEAD / HTTP/1.0\r\n\r\n"[..]);
        assert_eq!(head, Some(Request { without_body: true, ..root }));
    }

    #[test]
    fn answers_say_their_length() {
        let mut written = Vec::new();
        Answer::refusal(404, "there is none").write(&mut written, false).unwrap();
        let text = String::from_utf8(written).unwrap();
        assert!(text.starts_with("HTTP/1.1 404 Not Found\r\n"));
        assert!(text.contains("Content-Length: 25\r\n"));
        assert!(text.ends_with("\r\n\r\n{\"error\":\"there is none\"}"));
        let mut head = Vec::new();
        Answer::refusal(404, "there is none").write(&mut head, true).unwrap();
        assert_eq!(String::from_utf8(head).unwrap(), text[..text.find('{').unwrap()]);
    }
}
