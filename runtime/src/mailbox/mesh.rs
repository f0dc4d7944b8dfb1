//! The mesh: one queue for every ordered pair of shards, itself included.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rtrb::{Consumer, Producer, RingBuffer};

use crate::mailbox::bell::Bell;

/// One shard's end of the mesh: its queues to and from every shard. Moves to the shard's thread.
///
/// A shard may post to itself: such mail is drained like any other.
pub struct Mailbox<T> {
    shard: usize,
    to: Vec<Producer<T>>,
    from: Vec<Consumer<T>>,
    bells: Arc<[Arc<Bell>]>,
}

/// Mailboxes for `shards` shards, each queue with `slots` slots; the n-th is shard n's. Memory:
/// `shards² × slots × size_of::<T>()`.
pub fn mesh<T: Send>(shards: usize, slots: usize) -> io::Result<Vec<Mailbox<T>>> {
    assert!(shards > 0 && slots > 0);
    let bells = (0..shards).map(|_| Bell::new().map(Arc::new)).collect::<io::Result<Arc<[_]>>>()?;
    let mut from: Vec<Vec<Consumer<T>>> = (0..shards).map(|_| Vec::new()).collect();
    let mut mailboxes = Vec::with_capacity(shards);
    for sender in 0..shards {
        let mut to = Vec::with_capacity(shards);
        for receiver in &mut from {
            let (producer, consumer) = RingBuffer::new(slots);
            to.push(producer);
            receiver.push(consumer);
        }
        mailboxes.push(Mailbox { shard: sender, to, from: Vec::new(), bells: Arc::clone(&bells) });
    }
    for (mailbox, from) in mailboxes.iter_mut().zip(from) {
        mailbox.from = from;
    }
    Ok(mailboxes)
}

impl<T: Send> Mailbox<T> {
    /// Whose mailbox this is.
    pub fn shard(&self) -> usize {
        self.shard
    }

    /// Shards of the mesh.
    pub fn shards(&self) -> usize {
        self.to.len()
    }

    /// How much may be posted to a shard now: a credit, nobody else takes it.
    pub fn free_slots(&self, to: usize) -> usize {
        self.to[to].slots()
    }

    /// Posts to a shard and wakes it if it sleeps. The caller holds a credit: a full queue is a
    /// broken invariant.
    pub fn post(&mut self, to: usize, mail: T) {
        assert!(self.to[to].push(mail).is_ok(), "a free slot was reserved before posting");
        if to != self.shard {
            self.bells[to].ring_if_parked();
        }
    }

    /// Takes what is there, sender by sender, in the order in which each sent it. What arrives
    /// meanwhile waits for the next call, so that a call ends. Returns how much it took.
    pub fn drain(&mut self, mut each: impl FnMut(usize, T)) -> usize {
        let mut taken = 0;
        for (sender, queue) in self.from.iter_mut().enumerate() {
            for _ in 0..queue.slots() {
                each(sender, queue.pop().expect("as many as were counted are there"));
                taken += 1;
            }
        }
        taken
    }

    /// Whether nothing waits to be drained.
    pub fn is_empty(&self) -> bool {
        self.from.iter().all(Consumer::is_empty)
    }

    /// This shard's bell: shared with whatever else wakes the shard.
    pub fn bell(&self) -> &Arc<Bell> {
        &self.bells[self.shard]
    }

    /// For a thread without an executor: sleeps until mail is there or the bell rings for another
    /// reason. False: the time was up.
    pub fn wait(&self, timeout: Option<Duration>) -> bool {
        let bell = self.bell();
        bell.announce_park();
        let woken = !self.is_empty() || bell.wait(timeout);
        bell.announce_awake();
        woken
    }
}

impl<T> fmt::Debug for Mailbox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox").field("shard", &self.shard).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::mesh;

    #[test]
    fn mail_keeps_its_order_per_sender() {
        let mut boxes = mesh(3, 8).unwrap();
        for number in 0..4 {
            boxes[0].post(2, number);
            boxes[1].post(2, number * 10);
            boxes[2].post(2, number * 100);
        }
        let mut got = Vec::new();
        assert_eq!(boxes[2].drain(|from, mail| got.push((from, mail))), 12);
        let of = |sender| -> Vec<i32> {
            got.iter().filter(|(from, _)| *from == sender).map(|(_, mail)| *mail).collect()
        };
        assert_eq!(of(0), [0, 1, 2, 3]);
        assert_eq!(of(1), [0, 10, 20, 30]);
        assert_eq!(of(2), [0, 100, 200, 300]);
        assert!(boxes[2].is_empty() && boxes[0].is_empty());
    }

    #[test]
    fn free_slots_are_credits() {
        let mut boxes = mesh(2, 2).unwrap();
        assert_eq!(boxes[0].free_slots(1), 2);
        boxes[0].post(1, ());
        assert_eq!((boxes[0].free_slots(1), boxes[0].free_slots(0)), (1, 2));
        boxes[1].drain(|_, ()| {});
        assert_eq!(boxes[0].free_slots(1), 2);
    }

    #[test]
    #[should_panic(expected = "a free slot was reserved")]
    fn posting_without_a_credit_is_a_broken_invariant() {
        let mut boxes = mesh(1, 1).unwrap();
        boxes[0].post(0, ());
        boxes[0].post(0, ());
    }

    #[test]
    fn a_parked_shard_is_woken_once_and_an_awake_one_never() {
        let mut boxes = mesh(2, 8).unwrap();
        boxes[0].post(1, ());
        assert!(!boxes[1].bell().wait(Some(Duration::ZERO)), "an awake shard is not rung");
        boxes[1].bell().announce_park();
        boxes[0].post(1, ());
        boxes[0].post(1, ());
        assert!(boxes[1].bell().wait(None));
        assert!(!boxes[1].bell().wait(Some(Duration::ZERO)));
    }

    #[test]
    fn mail_posted_before_the_wait_keeps_the_shard_awake() {
        let mut boxes = mesh(2, 8).unwrap();
        boxes[0].post(1, ());
        assert!(boxes[1].wait(Some(Duration::ZERO)));
    }

    /// Two threads bounce mail; a lost wake-up would hang one of them for good.
    #[test]
    fn no_wake_up_is_lost_between_threads_that_sleep_whenever_they_can() {
        const ROUNDS: u32 = 20_000;
        let mut boxes = mesh(2, 1).unwrap();
        let mut right = boxes.pop().unwrap();
        let mut left = boxes.pop().unwrap();
        let echo = thread::spawn(move || {
            let mut seen = 0;
            while seen < ROUNDS {
                right.wait(None);
                let mut got = None;
                right.drain(|_, mail: u32| got = Some(mail));
                if let Some(mail) = got {
                    seen += 1;
                    right.post(0, mail + 1);
                }
            }
        });
        for round in 0..ROUNDS {
            left.post(1, round);
            let mut answer = None;
            while answer.is_none() {
                left.wait(None);
                left.drain(|_, mail| answer = Some(mail));
            }
            assert_eq!(answer, Some(round + 1));
        }
        echo.join().unwrap();
    }
}
