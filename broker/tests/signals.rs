//! How signals end a node: SIGTERM in good order, however often it comes; a second Ctrl-C at once.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps nothing")]

mod node;

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use node::Node;
use rustix::process::Signal;

/// A client in the middle of a request, for which the end of a node waits some seconds.
fn half_a_request(node: &Node) -> TcpStream {
    let mut client = TcpStream::connect(node.bootstrap()).unwrap();
    client.write_all(&[0, 0, 1, 0, 0, 3]).unwrap();
    client
}

fn stopping(node: &Node) {
    while !node.log().contains("stopping: ") {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The second one made the node say that it stopped early, and leave its threads where they were.
#[test]
fn a_second_sigterm_does_not_shorten_an_orderly_end() {
    let mut node = Node::start();
    let client = half_a_request(&node);
    node.signal(Signal::TERM);
    stopping(&node);
    node.signal(Signal::TERM);
    drop(client);
    node.wait_for_end();
    let said = node.log();
    assert!(said.contains("stopped: nothing is left to recover"), "{said}");
}

#[test]
fn a_second_interrupt_ends_the_node_at_once() {
    let mut node = Node::start();
    let client = half_a_request(&node);
    node.signal(Signal::INT);
    stopping(&node);
    node.signal(Signal::INT);
    node.wait_for_end();
    drop(client);
    let said = node.log();
    assert!(said.contains("stopped early: the next start recovers"), "{said}");
}
