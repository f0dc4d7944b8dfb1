//! Accepting when the process has no descriptor left: it pauses instead of spinning. A test binary of
//! its own, because the limit is the process's.

use std::net::TcpStream;
use std::sync::Arc;

use net::ListenerId;
use net::driver::{AcceptedSocket, Acceptor};
use net::limits::ACCEPT_BACK_OFF_NS;
use runtime::clock::Monotonic;
use runtime::mailbox::Bell;
use runtime::ring::{Ring, RingConfig};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

fn pump(ring: &mut Ring, acceptor: &mut Acceptor, now: Monotonic) -> Vec<AcceptedSocket> {
    let (mut completions, mut accepted) = (Vec::new(), Vec::new());
    ring.pump(&mut completions);
    for completion in completions {
        assert!(acceptor.on_completion(ring, now, completion, &mut accepted).is_none());
    }
    accepted
}

#[test]
fn accepting_pauses_when_no_descriptor_is_left_and_goes_on_later() {
    let config = RingConfig { operations_max: 8, descriptors_max: 8, ..RingConfig::default() };
    let mut ring = Ring::new(&config, &[], Arc::new(Bell::new().unwrap())).unwrap();
    let mut acceptor = Acceptor::new();
    let address =
        acceptor.listen(&mut ring, ListenerId(0), "127.0.0.1:0".parse().unwrap()).unwrap();

    let before = getrlimit(Resource::Nofile);
    let clients: Vec<_> = (0..3).map(|_| TcpStream::connect(address).unwrap()).collect();
    setrlimit(Resource::Nofile, Rlimit { current: Some(3), ..before }).unwrap();
    let start = Monotonic(1_000);
    while acceptor.metrics().back_offs == 0 {
        assert!(pump(&mut ring, &mut acceptor, start).is_empty(), "no descriptor is left");
        ring.park_thread(None, || acceptor.metrics().back_offs == 0);
    }
    for _ in 0..10 {
        assert!(pump(&mut ring, &mut acceptor, start).is_empty());
    }
    assert_eq!(acceptor.metrics().back_offs, 1, "it pauses");
    assert_eq!(acceptor.deadline(), Some(Monotonic(1_000 + ACCEPT_BACK_OFF_NS)));

    setrlimit(Resource::Nofile, before).unwrap();
    acceptor.on_deadline(&mut ring, Monotonic(999 + ACCEPT_BACK_OFF_NS));
    assert!(acceptor.deadline().is_some(), "not yet");
    let later = Monotonic(1_000 + ACCEPT_BACK_OFF_NS);
    acceptor.on_deadline(&mut ring, later);
    let mut accepted = Vec::new();
    while accepted.len() < clients.len() {
        accepted.extend(pump(&mut ring, &mut acceptor, later));
        if accepted.len() < clients.len() {
            ring.park_thread(None, || true);
        }
    }
    assert_eq!((acceptor.metrics().accepted, acceptor.deadline()), (3, None));
}
