//! Listeners, and the settings of connections. Reading and writing is the ring's.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::net::{
    AddressFamily, SocketAddrAny, SocketFlags, SocketType, bind, getpeername, getsockname, listen,
    socket_with, sockopt,
};

/// Settings of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionOptions {
    /// Idle time before the first keep-alive probe, and between probes; three lost ones end the
    /// connection. None: no probes.
    pub keepalive: Option<Duration>,
    /// How long sent bytes may stay unacknowledged (TCP_USER_TIMEOUT). None: the kernel's 15
    /// minutes or so.
    pub unacknowledged_max: Option<Duration>,
}

const KEEPALIVE_PROBES: u32 = 3;

/// A TCP listener. An IPv6 address takes IPv6 connections only, so that both families can be bound
/// to one port.
pub fn listen_on(address: SocketAddr, backlog: i32) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // A restarted node binds its port at once, whatever its old connections wait for.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    bind(&socket, &address)?;
    listen(&socket, backlog)?;
    Ok(socket)
}

/// Sets up a connection: responses leave at once, dead peers are noticed.
pub fn configure(connection: impl AsFd, options: ConnectionOptions) -> io::Result<()> {
    let connection = connection.as_fd();
    sockopt::set_tcp_nodelay(connection, true)?;
    if let Some(idle) = options.keepalive {
        sockopt::set_socket_keepalive(connection, true)?;
        sockopt::set_tcp_keepidle(connection, idle)?;
        sockopt::set_tcp_keepintvl(connection, idle)?;
        sockopt::set_tcp_keepcnt(connection, KEEPALIVE_PROBES)?;
    }
    if let Some(limit) = options.unacknowledged_max {
        let millis = u32::try_from(limit.as_millis()).unwrap_or(u32::MAX);
        sockopt::set_tcp_user_timeout(connection, millis)?;
    }
    Ok(())
}

/// The address a socket is bound to.
pub fn local_address(socket: impl AsFd) -> io::Result<SocketAddr> {
    internet(getsockname(socket)?)
}

/// The address of a connection's peer. An error: it is gone already.
pub fn peer_address(socket: impl AsFd) -> io::Result<SocketAddr> {
    internet(getpeername(socket)?.ok_or(io::ErrorKind::NotConnected)?)
}

fn internet(address: SocketAddrAny) -> io::Result<SocketAddr> {
    SocketAddr::try_from(address).map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::time::Duration;

    use super::{ConnectionOptions, configure, listen_on, local_address, peer_address};

    #[test]
    fn a_listener_takes_connections_of_either_family() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let listener = listen_on(address.parse().unwrap(), 16).unwrap();
            let bound = local_address(&listener).unwrap();
            assert_ne!(bound.port(), 0);
            let mut client = TcpStream::connect(bound).unwrap();
            let (mut served, peer) = TcpListener::from(listener).accept().unwrap();
            let options = ConnectionOptions {
                keepalive: Some(Duration::from_secs(60)),
                unacknowledged_max: Some(Duration::from_secs(30)),
            };
            configure(&served, options).unwrap();
            assert_eq!(peer_address(&served).unwrap(), peer);
            assert!(served.nodelay().unwrap());
            served.write_all(b"x").unwrap();
            assert_eq!(client.read(&mut [0; 2]).unwrap(), 1);
        }
    }

    #[test]
    fn both_families_share_a_port_and_a_taken_port_is_an_error() {
        let first = listen_on("0.0.0.0:0".parse().unwrap(), 16).unwrap();
        let port = local_address(&first).unwrap().port();
        let second: SocketAddr = format!("[::]:{port}").parse().unwrap();
        assert!(listen_on(second, 16).is_ok());
        let taken: SocketAddr = format!("0.0.0.0:{port}").parse().unwrap();
        assert_eq!(listen_on(taken, 16).unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
    }
}
