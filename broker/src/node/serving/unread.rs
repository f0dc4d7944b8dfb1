//! When the first unread records of groups were written: asked of the records' owners, for one answer of /metrics.
//!
//! What was known for the answer before is not asked again: a group that stands still costs nothing. At most
//! `METRICS_READS_MAX` are asked at a time; who does not answer in time is left out.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Serving;
use crate::admin::groups::{self, Place};
use crate::limits::{ADMIN_ANSWER_MS_MAX, METRICS_READS_MAX};
use crate::shard::RequestNumber;
use crate::shard::mail::{Mail, Query, ReplyTo, ShardIndex};
use crate::shell::Parcel;

impl Serving {
    /// Brings `self.times` up to date with the snapshots that were heard.
    pub(super) fn ask_unread_times(&mut self) {
        let unread = groups::unread(&self.heard.snapshots);
        self.times.retain(|place, _| unread.contains_key(place));
        let new = unread.into_iter().filter(|(place, _)| !self.times.contains_key(place));
        let new: Vec<_> = new.take(METRICS_READS_MAX).collect();
        if new.is_empty() {
            return;
        }
        self.next_request += 1;
        let request = RequestNumber::external(self.next_request);
        self.heard.times.clear();
        let mut places: Vec<Place> = Vec::with_capacity(new.len());
        let mut mail: BTreeMap<ShardIndex, Vec<Mail>> = BTreeMap::new();
        for (part, (place, owner)) in (0..).zip(new) {
            let (partition, offset) = place;
            places.push(place);
            let reply = ReplyTo { shard: self.node.facts.main(), request, part };
            let query = Query::RecordTime { partition, offset };
            mail.entry(owner).or_default().push(Mail::Query { reply, query });
        }
        for (owner, mail) in mail {
            self.node.post(owner, Parcel::Mail(mail));
        }
        let is_of_this = |heard: &&(RequestNumber, u32, _)| heard.0 == request;
        let within = Duration::from_millis(ADMIN_ANSWER_MS_MAX);
        self.await_heard(within, |heard| {
            heard.times.iter().filter(is_of_this).count() == places.len()
        });
        for (of, part, time) in std::mem::take(&mut self.heard.times) {
            let place = usize::try_from(part).ok().and_then(|part| places.get(part));
            if let (true, Some(place), Ok(time)) = (of == request, place, time) {
                self.times.insert(*place, time);
            }
        }
    }
}
