//! Where groups are, and how many members they have: for whoever shows it. Bounded in rows; a group is in it whole
//! or not at all, so that sums over its partitions are right.

use coordinator::group::Groups;
use protocol::{Offset, PartitionIndex, Str};

/// Groups in the order of their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupsSnapshot {
    pub groups: Vec<GroupSnapshot>,
    /// Partitions of groups, and groups without any, that there was no room for.
    pub rows_left_out: usize,
    /// What all groups take in memory, and what they may take.
    pub bytes: usize,
    pub bytes_max: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSnapshot {
    pub group: Str,
    pub members: usize,
    /// What is committed.
    pub offsets: Vec<(Str, PartitionIndex, Offset)>,
}

impl GroupsSnapshot {
    pub(super) fn of<'a>(partitions: impl Iterator<Item = &'a Groups>, rows_max: usize) -> Self {
        let mut snapshot = Self::default();
        let mut room = rows_max;
        for groups in partitions {
            let classic = groups.iter().map(|(id, group)| (id, group.member_count()));
            let consumers = groups.consumers().map(|(id, group)| (id, group.member_count()));
            for (id, members) in classic.chain(consumers) {
                let offsets = groups.offsets_of(id);
                let rows = offsets.map_or(0, |offsets| offsets.len()).max(1);
                if rows > room {
                    snapshot.rows_left_out += rows;
                    continue;
                }
                room -= rows;
                let offsets = offsets.into_iter().flat_map(|offsets| offsets.iter());
                let offsets = offsets
                    .map(|(topic, index, committed)| (topic.clone(), index, committed.offset));
                let offsets = offsets.collect();
                snapshot.groups.push(GroupSnapshot { group: id.clone(), members, offsets });
            }
        }
        snapshot.groups.sort_by(|one, other| one.group.cmp(&other.group));
        snapshot
    }
}

#[cfg(test)]
mod tests {
    use coordinator::group::{CommittedOffset, DurableRecord, GroupRecord, GroupSettings, Groups};
    use protocol::{Offset, PartitionIndex, Str};

    use super::GroupsSnapshot;

    fn groups(sizes: &[(&str, i32)]) -> Groups {
        let mut groups = Groups::new(GroupSettings::default());
        for (group, partitions) in sizes {
            for partition in 0..*partitions {
                let value = CommittedOffset { offset: Offset(7), ..CommittedOffset::default() };
                groups.replay(&GroupRecord::Durable(DurableRecord::Offset {
                    group: Str::from(*group),
                    topic: Str::from_static("t"),
                    partition: PartitionIndex(partition),
                    value,
                }));
            }
        }
        groups
    }

    #[test]
    fn a_group_that_has_no_room_is_left_out_whole() {
        let (one, other) = (groups(&[("b", 3), ("d", 2)]), groups(&[("a", 1), ("c", 4)]));
        for (rows_max, expected, left_out) in [
            (10, vec![("a", 1), ("b", 3), ("c", 4), ("d", 2)], 0),
            (9, vec![("a", 1), ("b", 3), ("d", 2)], 4),
            (4, vec![("a", 1), ("b", 3)], 6),
            (0, vec![], 10),
        ] {
            let snapshot = GroupsSnapshot::of([&one, &other].into_iter(), rows_max);
            let sizes: Vec<(&str, usize)> =
                snapshot.groups.iter().map(|of| (of.group.as_str(), of.offsets.len())).collect();
            assert_eq!((sizes, snapshot.rows_left_out), (expected, left_out), "{rows_max}");
        }
    }
}
