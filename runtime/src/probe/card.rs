//! What only a network card tells: its rings, its queues, how long it saves up packets. Asked through the ioctl that
//! `ethtool` used before netlink (`linux/ethtool.h`); anybody may ask.

use std::os::fd::{AsRawFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

/// `ETHTOOL_G…` of `linux/ethtool.h`.
const GET_COALESCING: u32 = 0x0e;
const GET_RINGS: u32 = 0x10;
const GET_FLAGS: u32 = 0x25;
const GET_CHANNELS: u32 = 0x3c;
/// `ETH_FLAG_NTUPLE`.
const FLOW_FILTERS: u32 = 1 << 27;

/// As many words as the longest answer has (`struct ethtool_coalesce`, 23), and some.
const ANSWER_WORDS: usize = 32;

/// `None` where the card, or its driver, has no such thing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CardFacts {
    pub rings: Option<Rings>,
    pub channels: Option<Channels>,
    pub coalescing: Option<Coalescing>,
    /// Whether its filters for flows are used. A card that has none does not use them.
    pub has_flow_filters: bool,
}

/// Places for packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rings {
    pub receive: u32,
    pub receive_max: u32,
    pub send: u32,
    pub send_max: u32,
}

/// Queues that receive, with or without sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Channels {
    pub receive: u32,
    pub receive_max: u32,
    /// Whether they are set together with those that send (`combined`).
    pub are_combined: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coalescing {
    pub receive_microseconds: u32,
    /// The driver chooses by load.
    pub is_adaptive: bool,
}

impl CardFacts {
    /// Of an interface of the machine, by its name. `None`: nobody answers for it.
    pub fn ask(interface: &str) -> Option<Self> {
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None).ok()?;
        let card = Card::new(socket, interface)?;
        // The one question that every interface answers.
        let flags = card.get(GET_FLAGS)?;
        Some(Self {
            rings: card.get(GET_RINGS).map(|words| Rings {
                receive: words[5],
                receive_max: words[1],
                send: words[8],
                send_max: words[4],
            }),
            channels: card.get(GET_CHANNELS).and_then(|words| channels(&words)),
            coalescing: card.get(GET_COALESCING).map(|words| Coalescing {
                receive_microseconds: words[1],
                is_adaptive: words[10] != 0,
            }),
            has_flow_filters: flags[1] & FLOW_FILTERS != 0,
        })
    }
}

/// Words 1 to 4 are what it could have, 5 to 8 what it has: receiving, sending, other, combined.
fn channels(words: &[u32; ANSWER_WORDS]) -> Option<Channels> {
    let are_combined = words[4] > 0;
    let (receive_max, receive) =
        if are_combined { (words[4], words[8]) } else { (words[1], words[5]) };
    (receive_max > 0).then_some(Channels { receive, receive_max, are_combined })
}

struct Card {
    socket: OwnedFd,
    name: [libc::c_char; libc::IFNAMSIZ],
}

impl Card {
    /// `None`: no interface has such a name.
    fn new(socket: OwnedFd, interface: &str) -> Option<Self> {
        // The last byte stays zero.
        if interface.is_empty() || interface.len() >= libc::IFNAMSIZ {
            return None;
        }
        let mut name = [0; libc::IFNAMSIZ];
        for (to, from) in name.iter_mut().zip(interface.bytes()) {
            *to = libc::c_char::from_ne_bytes([from]);
        }
        Some(Self { socket, name })
    }

    /// The answer's words, of which the first is the question.
    fn get(&self, question: u32) -> Option<[u32; ANSWER_WORDS]> {
        let mut words = [0; ANSWER_WORDS];
        words[0] = question;
        let data = words.as_mut_ptr().cast();
        let mut request = libc::ifreq {
            ifr_name: self.name,
            ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_data: data },
        };
        // SAFETY: the socket is open, the request is what SIOCETHTOOL takes, and each of the four questions has an
        // answer that is shorter than the words that it points to, which live until the call is over.
        let result =
            unsafe { libc::ioctl(self.socket.as_raw_fd(), libc::SIOCETHTOOL as _, &mut request) };
        (result == 0).then_some(words)
    }
}

#[cfg(test)]
mod tests {
    use super::{ANSWER_WORDS, CardFacts, Channels, channels};

    #[test]
    fn nobody_answers_for_an_interface_that_is_not_there() {
        for name in ["", "no-such-card", "a-name-that-no-interface-can-have", "no\0card"] {
            assert_eq!(CardFacts::ask(name), None, "{name}");
        }
    }

    /// The queues that the kernel shows in files are those that the card tells of.
    #[test]
    fn cards_of_this_machine_tell_what_the_kernel_shows() {
        let Ok(interfaces) = std::fs::read_dir("/sys/class/net") else { return };
        for interface in interfaces.flatten() {
            let name = interface.file_name().into_string().unwrap();
            let Some(facts) = CardFacts::ask(&name) else { continue };
            if let Some(rings) = facts.rings {
                assert!(rings.receive <= rings.receive_max && rings.send <= rings.send_max);
            }
            let Some(channels) = facts.channels else { continue };
            assert!(channels.receive <= channels.receive_max);
            let queues = std::fs::read_dir(interface.path().join("queues")).unwrap().flatten();
            let receiving = queues.filter(|queue| queue.file_name().as_encoded_bytes()[0] == b'r');
            // Some drivers have queues of both kinds.
            assert!(receiving.count() >= channels.receive as usize, "{name}");
        }
    }

    #[test]
    fn queues_that_send_too_are_told_from_those_that_receive_alone() {
        let mut words = [0; ANSWER_WORDS];
        assert_eq!(channels(&words), None);
        (words[1], words[5]) = (8, 4);
        let apart = Channels { receive: 4, receive_max: 8, are_combined: false };
        assert_eq!(channels(&words), Some(apart));
        (words[4], words[8]) = (16, 2);
        let combined = Channels { receive: 2, receive_max: 16, are_combined: true };
        assert_eq!(channels(&words), Some(combined));
    }
}
