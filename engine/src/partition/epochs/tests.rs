//! Leader epochs: where they begin and end.

use protocol::{LeaderEpoch, Offset};

use super::EpochHistory;

fn history(pairs: &[(i32, i64)]) -> EpochHistory {
    let mut history = EpochHistory::default();
    for (epoch, start) in pairs {
        history.begin(LeaderEpoch(*epoch), Offset(*start));
    }
    history
}

fn pairs(history: &EpochHistory) -> Vec<(i32, i64)> {
    history.pairs().iter().map(|(epoch, start)| (epoch.0, start.0)).collect()
}

#[test]
fn an_epoch_begins_once_and_epochs_without_records_are_replaced() {
    assert_eq!(pairs(&history(&[(0, 0), (2, 5), (2, 9), (1, 9)])), [(0, 0), (2, 5)]);
    assert_eq!(pairs(&history(&[(0, 0), (2, 5), (3, 5)])), [(0, 0), (3, 5)]);
    assert_eq!(pairs(&history(&[(0, 0), (2, 5), (3, 3)])), [(0, 0), (3, 3)]);
}

#[test]
fn epochs_that_end_before_the_log_start_are_forgotten() {
    let mut trimmed = history(&[(0, 0), (1, 5), (2, 9)]);
    trimmed.trim_below(Offset(5));
    assert_eq!(pairs(&trimmed), [(1, 5), (2, 9)]);
    trimmed.trim_below(Offset(7));
    assert_eq!(pairs(&trimmed), [(1, 7), (2, 9)]);
    trimmed.trim_below(Offset(100));
    assert_eq!(pairs(&trimmed), [(2, 100)]);
    let mut empty = EpochHistory::default();
    empty.trim_below(Offset(5));
    assert!(empty.pairs().is_empty());
}

#[test]
fn the_end_of_an_epoch_is_where_the_next_begins() {
    let history = history(&[(1, 0), (3, 5), (4, 9)]);
    let end =
        |epoch| history.end_of(LeaderEpoch(epoch), Offset(20)).map(|(epoch, end)| (epoch.0, end.0));
    let table = [
        (0, None),
        (1, Some((1, 5))),
        (2, Some((1, 5))),
        (3, Some((3, 9))),
        (4, Some((4, 20))),
        (5, None),
    ];
    for (epoch, expected) in table {
        assert_eq!(end(epoch), expected, "epoch {epoch}");
    }
}

#[test]
fn the_epoch_of_an_offset_is_the_last_that_began_at_or_before_it() {
    let history = history(&[(1, 2), (3, 5)]);
    let at = |offset| history.epoch_at(Offset(offset)).map(|epoch| epoch.0);
    assert_eq!([1, 2, 4, 5, 99].map(at), [None, Some(1), Some(1), Some(3), Some(3)]);
}

#[test]
fn stored_pairs_that_do_not_grow_are_refused() {
    let stored = |pairs: &[(i32, i64)]| {
        let pairs = pairs.iter().map(|(epoch, start)| (LeaderEpoch(*epoch), Offset(*start)));
        EpochHistory::from_pairs(pairs.collect()).is_some()
    };
    assert!(stored(&[]) && stored(&[(0, 0), (1, 0), (5, 3)]));
    assert!(!stored(&[(1, 0), (1, 3)]) && !stored(&[(1, 3), (2, 2)]));
}
