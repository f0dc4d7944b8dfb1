//! Mail on its way to other shards: one parcel per destination and turn.
//!
//! A parcel takes one mailbox slot, whatever is in it. While a destination has no free slot its mail
//! waits here, in order; when much waits, the shard takes no further frames, so that what waits is
//! bounded by the requests that are in progress already.

use std::collections::VecDeque;

use super::mail::{Mail, ShardIndex};
use crate::limits::MAIL_WAITING_MAX;

#[derive(Debug)]
pub(crate) struct Outbox {
    me: ShardIndex,
    waiting: Vec<Vec<Mail>>,
    /// Mail to this shard itself: it costs no slot and is taken in the same turn.
    local: VecDeque<Mail>,
}

impl Outbox {
    /// `endpoints`: shards and whoever else has a mailbox.
    pub(crate) fn new(me: ShardIndex, endpoints: usize) -> Self {
        let waiting = (0..endpoints).map(|_| Vec::new()).collect();
        Self { me, waiting, local: VecDeque::new() }
    }

    pub(crate) fn post(&mut self, to: ShardIndex, mail: Mail) {
        if to == self.me {
            self.local.push_back(mail);
        } else {
            self.waiting[usize::from(to.0)].push(mail);
        }
    }

    pub(crate) fn has_local(&self) -> bool {
        !self.local.is_empty()
    }

    pub(crate) fn take_local(&mut self) -> Option<Mail> {
        self.local.pop_front()
    }

    /// Whether another frame may be taken: it may need mail to any shard.
    pub(crate) fn has_room(&self) -> bool {
        self.waiting.iter().all(|waiting| waiting.len() < MAIL_WAITING_MAX)
    }

    /// Whether mail waits for a slot.
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.iter().any(|waiting| !waiting.is_empty())
    }

    /// Takes the parcels that fit into the free slots.
    pub(crate) fn take_parcels(
        &mut self,
        free_slots: &mut [usize],
        mut each: impl FnMut(ShardIndex, Vec<Mail>),
    ) {
        for ((to, waiting), free) in (0..).zip(&mut self.waiting).zip(free_slots) {
            if !waiting.is_empty() && *free > 0 {
                *free -= 1;
                each(ShardIndex(to), std::mem::take(waiting));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Mail, Outbox, ShardIndex};

    #[test]
    fn mail_waits_for_a_slot_in_order_and_goes_as_one_parcel() {
        let mut outbox = Outbox::new(ShardIndex(0), 3);
        for number in 0..3 {
            outbox.post(ShardIndex(1), Mail::Applied { announcement: number });
        }
        outbox.post(ShardIndex(0), Mail::Applied { announcement: 9 });
        let mut parcels = Vec::new();
        outbox.take_parcels(&mut [1, 0, 1], |to, parcel| parcels.push((to, parcel.len())));
        assert_eq!(parcels, []);
        assert!(outbox.is_waiting());
        let mut slots = [1, 2, 1];
        outbox.take_parcels(&mut slots, |to, parcel| parcels.push((to, parcel.len())));
        assert_eq!(parcels, [(ShardIndex(1), 3)]);
        assert_eq!(slots, [1, 1, 1]);
        assert!(!outbox.is_waiting());
        assert!(matches!(outbox.take_local(), Some(Mail::Applied { announcement: 9 })));
    }
}
