//! Accepting, receiving, sending.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::thread;

use bytes::Bytes;
use runtime::clock::Monotonic;
use runtime::ring::{Completion, Descriptor, RingConfig, Token};
use runtime::socket::{listen_on, local_address};

use crate::bench::Bench;

#[test]
fn an_echo_server_answers_many_connections() {
    const CLIENTS: usize = 64;
    const ROUNDS: usize = 50;
    let mut bench = Bench::new();
    let listener = listen_on("127.0.0.1:0".parse().unwrap(), 128).unwrap();
    let address = local_address(&listener).unwrap();
    let listener = bench.ring.adopt(listener).unwrap();
    bench.ring.accept(Token(u64::MAX), listener);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            thread::spawn(move || {
                let mut stream = TcpStream::connect(address).unwrap();
                for round in 0..ROUNDS {
                    let request =
                        vec![(client + round) as u8; 1 + (client * 131 + round * 17) % 3000];
                    stream.write_all(&request).unwrap();
                    let mut answer = vec![0; request.len()];
                    stream.read_exact(&mut answer).unwrap();
                    assert_eq!(answer, request);
                }
            })
        })
        .collect();
    let mut connections: HashMap<u64, Descriptor> = HashMap::new();
    let mut closed = 0;
    while closed < CLIENTS {
        match bench.next() {
            Completion::Accepted { result, armed, .. } => {
                assert!(armed);
                let token = connections.len() as u64;
                let descriptor = bench.ring.adopt(result.unwrap()).unwrap();
                connections.insert(token, descriptor);
                bench.ring.receive(Token(token), descriptor);
            }
            Completion::Received { token, result } => {
                let bytes = result.unwrap();
                if bytes.is_empty() {
                    bench.ring.close(token, connections[&token.0]);
                } else {
                    bench.ring.send(token, connections[&token.0], vec![bytes]);
                }
            }
            Completion::Sent { token, result } => {
                result.unwrap();
                bench.ring.receive(token, connections[&token.0]);
            }
            Completion::Closed { .. } => closed += 1,
            other => panic!("unexpected {other:?}"),
        }
    }
    clients.into_iter().for_each(|client| client.join().unwrap());
    assert_eq!(bench.ring.in_flight(), 1, "the accept");
    assert_eq!(bench.ring.free_receive_buffers(), 256, "all buffers came back");
}

#[test]
fn a_thousand_sends_that_the_kernel_cuts_short_arrive_whole_and_in_order() {
    let mut bench = Bench::new();
    // No TCP: with a queue shorter than a segment it waits 40 ms for each acknowledgement.
    let (ours, mut peer) = UnixStream::pair().unwrap();
    rustix::net::sockopt::set_socket_send_buffer_size(&ours, 4096).unwrap();
    let socket = bench.ring.adopt(ours.into()).unwrap();
    let reader = thread::spawn(move || {
        let mut all = Vec::new();
        // Small reads keep the sender's queue full.
        let mut piece = [0; 777];
        loop {
            match peer.read(&mut piece).unwrap() {
                0 => return all,
                bytes => all.extend_from_slice(&piece[..bytes]),
            }
        }
    });
    let mut expected = Vec::new();
    for number in 0..1000_usize {
        // Every hundredth has more parts than one system call takes.
        let count = if number % 100 == 0 { 1500 } else { 1 + number % 5 };
        let parts: Vec<Bytes> = (0..count)
            .map(|part| Bytes::from(vec![(number + part) as u8; (number * 7 + part * 13) % 4000]))
            .collect();
        let start = expected.len();
        parts.iter().for_each(|part| expected.extend_from_slice(part));
        bench.ring.send(Token(number as u64), socket, parts);
        let Completion::Sent { token, result } = bench.next() else { panic!("not sent") };
        assert_eq!((token, result), (Token(number as u64), Ok(expected.len() - start)));
    }
    assert!(bench.ring.counters().continued >= 10);
    bench.ring.close(Token(0), socket);
    assert!(matches!(bench.next(), Completion::Closed { .. }));
    assert!(reader.join().unwrap() == expected);
}

#[test]
fn a_block_is_filled_whole_however_the_bytes_arrive() {
    let mut bench = Bench::new();
    let (socket, mut peer) = bench.connection();
    let block = bench.arena.allocate(1 << 20).unwrap();
    bench.ring.receive_into(Token(7), socket, block, 100..1 << 20);
    assert!(bench.completed().is_empty());
    let writer = thread::spawn(move || {
        let all: Vec<u8> = (0..(1 << 20) - 100).map(|at: u32| (at % 251) as u8).collect();
        all.chunks(10_007).for_each(|piece| peer.write_all(piece).unwrap());
        peer
    });
    let Completion::Filled { token, block, filled, result } = bench.next() else {
        panic!("not filled")
    };
    assert_eq!((token, filled, result), (Token(7), 1 << 20, Ok(())));
    assert!(block[100..].iter().enumerate().all(|(at, byte)| usize::from(*byte) == at % 251));
    // The stream ends in the middle of the next one.
    let mut peer = writer.join().unwrap();
    bench.ring.receive_into(Token(8), socket, block, 0..1000);
    peer.write_all(b"abc").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    let Completion::Filled { block, filled, result, .. } = bench.next() else { panic!() };
    assert_eq!((filled, result), (3, Ok(())));
    assert_eq!(&block[..3], b"abc");
}

#[test]
fn a_receive_without_a_buffer_goes_on_when_another_thread_returns_one() {
    let mut bench = Bench::with(&RingConfig { receive_buffers: 2, ..RingConfig::default() });
    let connections: Vec<_> = (0..5).map(|_| bench.connection()).collect();
    for (number, (socket, peer)) in connections.iter().enumerate() {
        (&*peer).write_all(&[number as u8; 100]).unwrap();
        bench.ring.receive(Token(number as u64), *socket);
    }
    let mut held = Vec::new();
    let mut seen = Vec::new();
    for _ in 0..2 {
        let Completion::Received { token, result } = bench.next() else { panic!() };
        seen.push(token.0);
        held.push(result.unwrap());
    }
    assert!(bench.completed().is_empty(), "both buffers are held");
    assert_eq!(bench.ring.free_receive_buffers(), 0);
    assert_eq!(bench.ring.counters().receives_starved, 3);
    while seen.len() < 5 {
        let bytes = held.remove(0);
        // The shard sleeps, or is about to: the drop must wake it.
        let dropper = thread::spawn(move || drop(bytes));
        let Completion::Received { token, result } = bench.next() else { panic!() };
        dropper.join().unwrap();
        let bytes = result.unwrap();
        assert_eq!(&bytes[..], &[token.0 as u8; 100]);
        seen.push(token.0);
        held.push(bytes);
    }
    seen.sort_unstable();
    assert_eq!(seen, [0, 1, 2, 3, 4]);
}

#[test]
fn waiting_connections_hold_no_buffer() {
    let mut bench = Bench::with(&RingConfig { receive_buffers: 2, ..RingConfig::default() });
    let mut connections: Vec<_> = (0..50).map(|_| bench.connection()).collect();
    for (number, (socket, _)) in connections.iter().enumerate() {
        bench.ring.receive(Token(number as u64), *socket);
    }
    assert!(bench.completed().is_empty());
    for (number, (socket, peer)) in connections.iter_mut().enumerate().rev() {
        peer.write_all(b"x").unwrap();
        let Completion::Received { token, result } = bench.next() else { panic!() };
        assert_eq!((token.0, &result.unwrap()[..]), (number as u64, &b"x"[..]));
        bench.ring.receive(token, *socket);
    }
    assert_eq!(bench.ring.counters().receives_starved, 0);
}

#[test]
fn zero_copy_over_loopback_is_released_and_says_that_it_copied() {
    let mut bench =
        Bench::with(&RingConfig { registered_bytes_max: 1 << 20, ..RingConfig::default() });
    let (socket, mut peer) = bench.connection();
    let reader = thread::spawn(move || {
        let mut all = Vec::new();
        peer.read_to_end(&mut all).unwrap();
        all
    });
    let mut block = bench.arena.allocate(256 << 10).unwrap();
    block.fill(5);
    let bytes = block.freeze(256 << 10);
    let two = vec![bytes.slice(..100_000), bytes.slice(100_000..)];
    drop(bytes);
    let one = vec![two[0].slice(..50_000)];
    for (number, parts) in [two, one].into_iter().enumerate() {
        let token = Token(number as u64);
        let len = parts.iter().map(Bytes::len).sum();
        bench.ring.send_zero_copy(token, socket, parts);
        let Completion::Sent { result, .. } = bench.next() else { panic!("not sent") };
        assert_eq!(result, Ok(len));
        let Completion::Released { token: released, copied } = bench.next() else { panic!() };
        assert_eq!((released, copied), (token, true));
    }
    assert_eq!(bench.arena.allocated(), 0, "the buffers are free");
    bench.ring.close(Token(9), socket);
    assert!(matches!(bench.next(), Completion::Closed { token: Token(9) }));
    assert_eq!(reader.join().unwrap(), vec![5; (256 << 10) + 50_000]);
}

#[test]
fn a_send_to_a_peer_that_is_gone_is_an_error_and_no_signal() {
    let mut bench = Bench::new();
    let (socket, peer) = bench.connection();
    drop(peer);
    let error = loop {
        bench.ring.send(Token(1), socket, vec![Bytes::from_static(&[0; 10_000])]);
        let Completion::Sent { result, .. } = bench.next() else { panic!() };
        if let Err(error) = result {
            break error;
        }
    };
    assert!(matches!(error.raw(), libc::EPIPE | libc::ECONNRESET), "{error}");
    bench.ring.receive(Token(2), socket);
    let Completion::Received { .. } = bench.next() else { panic!() };
}

#[test]
fn nothing_to_send_completes_without_the_kernel() {
    let mut bench = Bench::new();
    let (socket, _peer) = bench.connection();
    bench.ring.send(Token(1), socket, vec![Bytes::new()]);
    bench.ring.send_zero_copy(Token(2), socket, Vec::new());
    let completed = bench.completed();
    assert!(matches!(completed[0], Completion::Sent { token: Token(1), result: Ok(0) }));
    assert!(matches!(completed[1], Completion::Sent { token: Token(2), result: Ok(0) }));
    assert!(matches!(completed[2], Completion::Released { token: Token(2), .. }));
    assert_eq!(bench.ring.in_flight(), 0);
}

#[test]
fn the_deadline_comes_whether_moved_forward_or_back() {
    let mut bench = Bench::new();
    let millis = |count| Monotonic::read() + std::time::Duration::from_millis(count);
    let far = millis(3_600_000);
    bench.ring.set_deadline(Some(far));
    assert!(bench.completed().is_empty());
    let near = millis(5);
    bench.ring.set_deadline(Some(near));
    assert!(matches!(bench.next(), Completion::DeadlineReached));
    assert!(Monotonic::read() >= near);
    bench.ring.set_deadline(Some(millis(1)));
    assert!(bench.completed().is_empty() || Monotonic::read() > near);
    let later = millis(20);
    bench.ring.set_deadline(Some(later));
    assert!(matches!(bench.next(), Completion::DeadlineReached));
    assert!(Monotonic::read() >= later);
    bench.ring.set_deadline(Some(millis(1)));
    bench.ring.set_deadline(None);
    assert!(!bench.ring.has_work());
}
