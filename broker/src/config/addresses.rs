//! Addresses to listen on and to tell clients.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

use super::Listen;

const PORT: u16 = 9092;

/// Where clients are told to connect. Port 0: that of the socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertised {
    pub host: String,
    pub port: u16,
}

impl fmt::Display for Advertised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// Why an address cannot be used; each names what to give instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressError {
    NoAddress { option: &'static str, given: String },
    Unresolvable { option: &'static str, given: String },
    WildcardWithoutAdvertise { given: String },
    AdvertiseCount { listen: usize, advertise: usize },
    AdvertisedWildcard { given: String },
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAddress { option, given } => {
                write!(f, "{option} {given} is no HOST:PORT; try {option} 127.0.0.1:{PORT}")
            }
            Self::Unresolvable { option, given } => write!(
                f,
                "{option} {given} names no address of this machine; try {option} 127.0.0.1:{PORT}"
            ),
            Self::WildcardWithoutAdvertise { given } => write!(
                f,
                "--listen {given} is every address of this machine, and clients must be told one: add \
                 --advertise HOST:PORT, as in --advertise broker1.example.com:{PORT}"
            ),
            Self::AdvertiseCount { listen, advertise } => write!(
                f,
                "{advertise} --advertise for {listen} --listen: give one for each, in the same order"
            ),
            Self::AdvertisedWildcard { given } => write!(
                f,
                "--advertise {given} is no address that clients can connect to; give a name or address \
                 of this machine"
            ),
        }
    }
}

impl std::error::Error for AddressError {}

/// The listeners of `--listen` and `--advertise`; without the former, loopback of both families.
pub(super) fn listeners(
    listen: &[String],
    advertise: &[String],
    warnings: &mut Vec<String>,
) -> Result<Vec<Listen>, AddressError> {
    if listen.is_empty() {
        if advertise.len() > 1 {
            return Err(AddressError::AdvertiseCount { listen: 1, advertise: advertise.len() });
        }
        let loopback = Advertised { host: Ipv4Addr::LOCALHOST.to_string(), port: PORT };
        let advertised = advertise.first().map(|given| advertised(given)).transpose()?;
        let advertised = advertised.unwrap_or(loopback);
        let hosts = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        let both = hosts.into_iter().enumerate().map(|(at, host)| Listen {
            name: name(at),
            address: SocketAddr::new(host, PORT),
            advertised: advertised.clone(),
            is_optional: host.is_ipv6(),
        });
        return Ok(both.collect());
    }
    if !advertise.is_empty() && advertise.len() != listen.len() {
        let (listen, advertise) = (listen.len(), advertise.len());
        return Err(AddressError::AdvertiseCount { listen, advertise });
    }
    let mut listeners = Vec::with_capacity(listen.len());
    for (at, given) in listen.iter().enumerate() {
        let address = resolve("--listen", given)?;
        let advertised = match advertise.get(at) {
            Some(given) => advertised(given)?,
            None if address.ip().is_unspecified() => {
                return Err(AddressError::WildcardWithoutAdvertise { given: given.clone() });
            }
            None => Advertised { host: host_of(given), port: address.port() },
        };
        if !address.ip().is_loopback() {
            warnings.push(format!(
                "{given} can be reached by other machines, and nobody is asked who they are: \
                 keep it within a network that you trust"
            ));
        }
        listeners.push(Listen { name: name(at), address, advertised, is_optional: false });
    }
    Ok(listeners)
}

pub(super) fn admin(given: &str) -> Result<SocketAddr, AddressError> {
    resolve("--admin", given)
}

/// The first is Kafka's usual name; the others are counted.
fn name(at: usize) -> String {
    if at == 0 { "PLAINTEXT".to_owned() } else { format!("PLAINTEXT_{at}") }
}

fn resolve(option: &'static str, given: &str) -> Result<SocketAddr, AddressError> {
    if split(given).is_none() {
        return Err(AddressError::NoAddress { option, given: given.to_owned() });
    }
    let resolved = given.to_socket_addrs().ok().and_then(|mut all| all.next());
    resolved.ok_or_else(|| AddressError::Unresolvable { option, given: given.to_owned() })
}

fn advertised(given: &str) -> Result<Advertised, AddressError> {
    let option = "--advertise";
    let (host, port) =
        split(given).ok_or_else(|| AddressError::NoAddress { option, given: given.to_owned() })?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let is_wildcard = host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified());
    if is_wildcard || host.is_empty() {
        return Err(AddressError::AdvertisedWildcard { given: given.to_owned() });
    }
    Ok(Advertised { host, port })
}

fn host_of(given: &str) -> String {
    let host = split(given).map_or(given, |parts| parts.0);
    host.trim_start_matches('[').trim_end_matches(']').to_owned()
}

fn split(given: &str) -> Option<(&str, u16)> {
    let (host, port) = given.rsplit_once(':')?;
    let port = port.parse().ok()?;
    // An IPv6 address stands in brackets, or its last group would be taken for the port.
    let is_sound = !host.is_empty() && (!host.contains(':') || host.starts_with('['));
    is_sound.then_some((host, port))
}
