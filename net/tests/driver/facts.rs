//! What the driver promises, one fact a test. Clients are threads with blocking sockets; a node runs
//! until its connections have done what the test waits for.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::mpsc;
use std::thread;

use bytes::Bytes;
use net::driver::{AcceptedSocket, DriverConfig};
use net::{CloseReason, Frame, Limits, NetEffect, NetEvent, SendMode};
use runtime::clock::Monotonic;

use crate::node::{Node, echo};

const KIB: usize = 1024;

fn framed(frame: &[u8]) -> Vec<u8> {
    [&i32::try_from(frame.len()).unwrap().to_be_bytes(), frame].concat()
}

fn read_frame(stream: &mut TcpStream) -> Vec<u8> {
    let mut size = [0; 4];
    stream.read_exact(&mut size).unwrap();
    let mut frame = vec![0; usize::try_from(i32::from_be_bytes(size)).unwrap()];
    stream.read_exact(&mut frame).unwrap();
    frame
}

/// Reads to the end, which may be a reset.
fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    match stream.read_to_end(&mut all) {
        Ok(_) => all,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            all
        }
    }
}

/// Writes all frames from one thread and reads all answers in this one.
fn converse(address: SocketAddr, frames: &[Vec<u8>]) {
    let mut stream = TcpStream::connect(address).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let bytes: Vec<u8> = frames.iter().flat_map(|frame| framed(frame)).collect();
    thread::scope(|scope| {
        scope.spawn(move || writer.write_all(&bytes).unwrap());
        for frame in frames {
            assert!(read_frame(&mut stream) == *frame, "an answer is not what was asked");
        }
    });
}

fn frames_of(seed: usize) -> Vec<Vec<u8>> {
    let lengths = [1, 9, 100, 16 * KIB, 16 * KIB + 1, 3000, 120 * KIB, 1, 700 * KIB, 20];
    let frame = |(place, length): (usize, &usize)| {
        (0..*length).map(|at| u8::try_from((at + place + seed) % 251).unwrap()).collect()
    };
    lengths.iter().enumerate().map(frame).collect()
}

#[test]
fn frames_of_all_sizes_come_back_in_order_on_many_connections() {
    let mut node = Node::echoing();
    let address = node.listen();
    let clients: Vec<_> =
        (0..8).map(|seed| thread::spawn(move || converse(address, &frames_of(seed)))).collect();
    node.run(|node| node.closed.len() == 8);
    for client in clients {
        client.join().unwrap();
    }
    assert!(node.closed.iter().all(|closed| closed.reason == CloseReason::PeerClosed));
    assert_eq!(node.connections.metrics().frames_received, 80);
    node.assert_nothing_is_held();
}

#[test]
fn an_accepted_connection_is_handed_to_another_shard_as_a_value() {
    let mut acceptor = Node::echoing();
    acceptor.hands_off = true;
    let address = acceptor.listen();
    let (sender, receiver) = mpsc::channel::<AcceptedSocket>();
    let (bell_sender, bell_receiver) = mpsc::channel();
    let shard = thread::spawn(move || {
        let mut node = Node::echoing();
        bell_sender.send(node.bell.clone()).unwrap();
        while node.closed.len() < 3 {
            node.run(|node| node.closed.len() == 3 || node.connections.len() < 3);
            for socket in receiver.try_iter() {
                node.adopt(socket);
            }
        }
        node.assert_nothing_is_held();
    });
    let bell = bell_receiver.recv().unwrap();
    let clients: Vec<_> =
        (0..3).map(|seed| thread::spawn(move || converse(address, &frames_of(seed)))).collect();
    let mut handed_off = 0;
    while handed_off < 3 {
        acceptor.run(|node| !node.handed_off.is_empty());
        for socket in acceptor.handed_off.drain(..) {
            handed_off += 1;
            sender.send(socket).unwrap();
            bell.ring();
        }
    }
    for client in clients {
        client.join().unwrap();
    }
    shard.join().unwrap();
    assert_eq!(acceptor.acceptor.metrics().accepted, 3);
}

#[test]
fn a_connection_goes_to_another_shard_and_its_unread_bytes_with_it() {
    let (mut before, mut after) = (Node::echoing(), Node::echoing());
    let address = before.listen();
    let frames = frames_of(3);
    let count = u64::try_from(frames.len()).unwrap();
    let client = thread::spawn(move || converse(address, &frames));
    before.run(|node| node.connections.metrics().frames_received >= 2);
    before.connections.let_leave(before.opened[0]);
    before.run(|node| !node.handed_off.is_empty());
    before.assert_nothing_is_held();
    after.adopt(before.handed_off.pop().unwrap());
    after.run(|node| node.closed.len() == 1);
    client.join().unwrap();
    after.assert_nothing_is_held();
    assert!(before.closed.is_empty());
    let received = [before, after].map(|node| node.connections.metrics().frames_received);
    assert_eq!(received[0] + received[1], count);
    assert!(received[1] > 0, "all was said before it left");
}

#[test]
fn a_peer_that_goes_in_the_middle_of_a_frame_leaves_nothing_behind() {
    let mut node = Node::echoing();
    let address = node.listen();
    for cut in [2, 10, 100 * KIB] {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(&framed(&vec![1; 200 * KIB])[..cut]).unwrap();
        drop(stream);
    }
    node.run(|node| node.closed.len() == 3);
    node.assert_nothing_is_held();
    assert_eq!(node.connections.metrics().closed(CloseReason::PeerClosed), 3);
}

#[test]
fn a_slot_is_used_again_under_another_name() {
    let mut node = Node::echoing();
    let address = node.listen();
    for turn in 1..=3 {
        thread::spawn(move || converse(address, &frames_of(1)));
        node.run(|node| node.closed.len() == turn);
    }
    let slots: Vec<_> = node.opened.iter().map(|id| (id.slot(), id.generation())).collect();
    assert_eq!(slots, [(0, 1), (0, 2), (0, 3)]);
}

#[test]
fn garbage_closes_its_connection_and_no_other() {
    let mut node = Node::echoing();
    let address = node.listen();
    let client = thread::spawn(move || {
        let mut steady = TcpStream::connect(address).unwrap();
        let starts: [&[u8]; 4] =
            [&[0x16, 3, 1, 2, 0, 1], b"GET / HTTP/1.1\r\n\r\n", &[0xff; 64], &[0; 4]];
        for start in starts {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(start).unwrap();
            assert_eq!(read_to_end(&mut stream), b"", "closed quietly");
            steady.write_all(&framed(b"still there")).unwrap();
            assert_eq!(read_frame(&mut steady), b"still there");
        }
    });
    node.run(|node| node.closed.len() == 5);
    client.join().unwrap();
    let metrics = node.connections.metrics();
    assert_eq!(metrics.closed(CloseReason::TlsOnPlaintext), 1);
    assert_eq!(metrics.closed(CloseReason::HttpOnPlaintext), 1);
    node.assert_nothing_is_held();
}

#[test]
fn connections_beyond_the_maximum_are_closed_at_once() {
    let config = DriverConfig { connections_max: 2, ..Node::config() };
    let mut node = Node::new(Limits::default(), config);
    let address = node.listen();
    let client = thread::spawn(move || {
        let mut streams: Vec<_> = (0..2).map(|_| TcpStream::connect(address).unwrap()).collect();
        for stream in &mut streams {
            stream.write_all(&framed(b"hello")).unwrap();
            assert_eq!(read_frame(stream), b"hello");
        }
        let mut refused = TcpStream::connect(address).unwrap();
        assert_eq!(read_to_end(&mut refused), b"");
    });
    node.run(|node| node.closed.len() == 2);
    client.join().unwrap();
    assert_eq!(node.driver.metrics().refused_full, 1);
    node.assert_nothing_is_held();
}

/// 8 MiB from one allocation, in front of them their size.
fn large(frame: &Frame) -> Option<Vec<Bytes>> {
    if frame.bytes != "large" {
        return echo(frame);
    }
    let part = Bytes::from(vec![7; 1 << 20]);
    let size = Bytes::copy_from_slice(&(8_i32 << 20).to_be_bytes());
    Some([vec![size], vec![part; 8]].concat())
}

#[test]
fn a_slow_consumer_holds_up_nobody_and_gets_everything() {
    let config = DriverConfig { sends_max: 2, ..Node::config() };
    let mut node = Node::new(Limits::default(), config);
    node.answer = large;
    let address = node.listen();
    let client = thread::spawn(move || {
        let mut slow = TcpStream::connect(address).unwrap();
        slow.write_all(&framed(b"large")).unwrap();
        converse(address, &frames_of(2));
        let frame = read_frame(&mut slow);
        assert!(frame.len() == 8 << 20 && frame.iter().all(|byte| *byte == 7));
    });
    node.run(|node| node.closed.len() == 2);
    client.join().unwrap();
    assert!(node.connections.metrics().bytes_sent > 8 << 20);
    node.assert_nothing_is_held();
}

#[test]
fn sends_beyond_the_slots_wait_their_turn() {
    let config = DriverConfig { sends_max: 1, ..Node::config() };
    let mut node = Node::new(Limits::default(), config);
    node.answer = large;
    let address = node.listen();
    let clients: Vec<_> = (0..4)
        .map(|_| {
            thread::spawn(move || {
                let mut stream = TcpStream::connect(address).unwrap();
                stream.write_all(&framed(b"large")).unwrap();
                assert_eq!(read_frame(&mut stream).len(), 8 << 20);
            })
        })
        .collect();
    node.run(|node| node.closed.len() == 4);
    for client in clients {
        client.join().unwrap();
    }
    node.assert_nothing_is_held();
}

#[test]
fn a_peer_that_goes_while_it_is_being_sent_to_gives_the_memory_back() {
    let mut node = Node::echoing();
    node.answer = |_| None;
    let address = node.listen();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(&framed(b"fetch")).unwrap();
    node.run(|node| !node.frames.is_empty());
    let part = Bytes::from(vec![1; 16 << 20]);
    let frame = node.frames.pop_front().unwrap();
    let now = Monotonic::read();
    node.respond(now, &frame, vec![part.clone()]);
    node.finish(now);
    node.run(|node| node.connections.metrics().bytes_sent > 0);
    assert!(!part.is_unique(), "the kernel has not taken all of it");
    // Unread bytes are in its buffer: this is a reset.
    drop(stream);
    node.run(|node| node.closed.len() == 1);
    assert!(part.is_unique());
    node.assert_nothing_is_held();
}

#[test]
fn a_close_that_crosses_a_receive_brings_the_block_back_once() {
    let mut node = Node::echoing();
    let address = node.listen();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(&framed(&vec![1; 200 * KIB])[..50 * KIB]).unwrap();
    node.run(|node| node.arena.allocated() > 0);
    let connection = node.opened[0];
    node.close(connection);
    node.close(connection);
    assert_eq!(read_to_end(&mut stream), b"");
    node.run(|node| node.closed.len() == 1);
    assert_eq!(node.closed[0].reason, CloseReason::Requested);
    node.assert_nothing_is_held();
}

#[test]
fn a_half_open_client_is_told_by_the_close() {
    let mut node = Node::echoing();
    let address = node.listen();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    node.run(|node| node.closed.len() == 1);
    assert_eq!(read_to_end(&mut stream), b"");
}

#[test]
fn bytes_are_copied_out_when_small_buffers_are_short() {
    let config = DriverConfig { receive_buffers_low: usize::MAX, ..Node::config() };
    let mut node = Node::new(Limits::default(), config);
    let address = node.listen();
    let client = thread::spawn(move || converse(address, &frames_of(3)));
    node.run(|node| node.closed.len() == 1);
    client.join().unwrap();
    assert!(node.driver.metrics().receives_copied > 0);
    node.assert_nothing_is_held();
}

/// More requests than the ring has small buffers are held unanswered, and others are still received.
#[test]
fn requests_that_are_held_do_not_starve_receives() {
    let mut node = Node::echoing();
    node.answer = |frame| if frame.bytes == "poll" { None } else { echo(frame) };
    let address = node.listen();
    let mut streams = Vec::new();
    for held in 1..=40 {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(&framed(b"poll")).unwrap();
        streams.push(stream);
        node.run(|node| node.frames.len() == held);
    }
    let client = thread::spawn(move || converse(address, &frames_of(4)));
    node.run(|node| node.closed.len() == 1);
    client.join().unwrap();
    assert!(node.driver.metrics().receives_copied >= 24, "{:?}", node.driver.metrics());
    node.answer = echo;
    node.turn();
    node.run(|node| node.connections.response_bytes_pinned() == 0);
    for mut stream in streams {
        assert_eq!(read_frame(&mut stream), b"poll");
    }
    node.run(|node| node.closed.len() == 41);
    node.assert_nothing_is_held();
}

#[test]
fn zero_copy_sends_are_released_and_loopback_says_that_it_copied() {
    let mut node = Node::echoing();
    node.hands_off = true;
    let address = node.listen();
    let mut stream = TcpStream::connect(address).unwrap();
    node.run(|node| !node.handed_off.is_empty());
    let socket = node.handed_off.pop().unwrap();
    let mut events = Vec::new();
    let connection = node.driver.adopt(&mut node.ring, socket, &mut events).unwrap();
    let part = Bytes::from(vec![9; 700 * KIB]);
    let parts = vec![Bytes::from_static(b"head"), part.clone()];
    let send = NetEffect::Send { connection, parts, mode: SendMode::ZeroCopy };
    node.driver.perform(&mut node.ring, send);
    let reader = thread::spawn(move || {
        let mut all = vec![0; 4 + 700 * KIB];
        stream.read_exact(&mut all).unwrap();
        (stream, all)
    });
    let (mut sent, mut released, mut copies) = (0, 0, 0);
    while released < 4 + 700 * KIB {
        let mut completions = Vec::new();
        node.ring.pump(&mut completions);
        for completion in completions {
            let left = node.driver.on_completion(&mut node.ring, completion, &mut events);
            assert!(left.is_none());
            node.driver.invariants();
        }
        for event in events.drain(..) {
            match event {
                NetEvent::Sent { bytes, .. } => sent += bytes,
                NetEvent::Released { bytes, copied, .. } => {
                    released += bytes;
                    copies += usize::from(copied);
                    assert!(released <= sent);
                }
                other => assert!(matches!(other, NetEvent::Opened { .. }), "{other:?}"),
            }
        }
        let waits = released < 4 + 700 * KIB;
        node.ring.park_thread(None, || waits);
    }
    let (_stream, all) = reader.join().unwrap();
    assert_eq!(&all[..4], b"head");
    assert!(all[4..] == part, "the parts arrived as they are");
    assert_eq!(copies, 2, "loopback copies each of the two pieces");
    assert!(part.is_unique());
}

#[test]
fn a_send_that_is_over_waits_for_no_slot() {
    let config = DriverConfig { sends_max: 2, ..Node::config() };
    let mut node = Node::new(Limits::default(), config);
    node.hands_off = true;
    let address = node.listen();
    let mut clients: Vec<_> = (0..2).map(|_| TcpStream::connect(address).unwrap()).collect();
    node.run(|node| node.handed_off.len() == 2);
    let mut events = Vec::new();
    let send = |node: &mut Node, bytes: usize, mode: SendMode| {
        let socket = node.handed_off.remove(0);
        let connection = node.driver.adopt(&mut node.ring, socket, &mut Vec::new()).unwrap();
        let parts = vec![Bytes::from(vec![9; bytes])];
        node.driver.perform(&mut node.ring, NetEffect::Send { connection, parts, mode });
    };
    // Nobody reads the first one: it keeps its slot.
    send(&mut node, 64 << 20, SendMode::Plain);
    send(&mut node, 64 * KIB, SendMode::ZeroCopy);
    let mut released = 0;
    while released < 64 * KIB {
        let mut completions = Vec::new();
        node.ring.pump(&mut completions);
        for completion in completions {
            assert!(node.driver.on_completion(&mut node.ring, completion, &mut events).is_none());
        }
        for event in events.drain(..) {
            if let NetEvent::Released { bytes, .. } = event {
                released += bytes;
            }
        }
        let waits = released < 64 * KIB;
        node.ring.park_thread(None, || waits);
    }
    clients[1].read_exact(&mut vec![0; 64 * KIB]).unwrap();
    assert_eq!(node.driver.metrics().sends_waited, 0);
}

#[test]
fn sockets_are_set_up_and_the_peer_is_named() {
    let mut node = Node::echoing();
    let address = node.listen();
    let stream = TcpStream::connect(address).unwrap();
    node.run(|node| node.connections.len() == 1);
    let connection = node.opened[0];
    assert_eq!(node.connections.peer(connection), Some(stream.local_addr().unwrap()));
    assert!(stream.as_raw_fd() > 0);
}

#[test]
fn a_taken_address_is_an_error_that_names_it() {
    let mut node = Node::echoing();
    let address = node.listen();
    let mut other = Node::echoing();
    let error = other.acceptor.listen(&mut other.ring, net::ListenerId(1), address).unwrap_err();
    assert_eq!(error.address, address);
    assert_eq!(error.error.kind(), ErrorKind::AddrInUse);
    assert!(error.to_string().starts_with(&format!("cannot listen on {address}: ")));
}

#[test]
fn a_closed_listener_refuses_and_open_connections_go_on() {
    let mut node = Node::echoing();
    let address = node.listen();
    let mut stream = TcpStream::connect(address).unwrap();
    node.run(|node| node.connections.len() == 1);
    node.acceptor.close(&mut node.ring);
    node.run(|node| node.acceptor.is_closed());
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    stream.write_all(&framed(b"more")).unwrap();
    node.run(|node| node.connections.metrics().bytes_sent == 8);
    assert_eq!(read_frame(&mut stream), b"more");
    node.connections.drain();
    node.finish(Monotonic::read());
    node.run(|node| node.closed.len() == 1);
    assert_eq!(node.closed[0].reason, CloseReason::Drained);
    node.assert_nothing_is_held();
}
