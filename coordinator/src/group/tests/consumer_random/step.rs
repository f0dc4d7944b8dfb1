//! What happens in a trial, drawn at random.

use alloc::vec;

use proptest::prelude::{Just, Strategy, any, prop_oneof};

use super::{CLASSIC, CLIENTS, SUBSCRIPTIONS, TOPICS};

#[derive(Clone, Debug)]
pub(super) enum Step {
    Beat {
        client: usize,
        is_lost: bool,
        is_full: bool,
    },
    Subscribe {
        client: usize,
        says: usize,
    },
    /// Gives back what it is no longer to have.
    GiveBack {
        client: usize,
    },
    Leave {
        client: usize,
        comes_back: bool,
    },
    Crash {
        client: usize,
        switches: bool,
    },
    Commit {
        client: usize,
        behind: i32,
    },
    Topics {
        which: usize,
    },
    DeleteGroup,
    /// The group is of the classic protocol then, if anybody is left.
    ConsumersLeave,
    Pass {
        ms: u64,
    },
    Round {
        clients: u8,
    },
    Restart,
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let client = 0..CLIENTS;
    prop_oneof![
        12 => (client.clone(), any::<u8>(), any::<u8>()).prop_map(|(client, lost, full)| {
            Step::Beat { client, is_lost: lost < 40, is_full: full < 60 }
        }),
        2 => (client.clone(), 0..SUBSCRIPTIONS.len())
            .prop_map(|(client, says)| Step::Subscribe { client, says }),
        6 => client.clone().prop_map(|client| Step::GiveBack { client }),
        3 => (client.clone(), any::<bool>())
            .prop_map(|(client, comes_back)| Step::Leave { client, comes_back }),
        1 => (client.clone(), any::<bool>())
            .prop_map(|(client, switches)| Step::Crash { client, switches }),
        2 => (client, -1..2_i32).prop_map(|(client, behind)| Step::Commit { client, behind }),
        1 => (0..TOPICS.len()).prop_map(|which| Step::Topics { which }),
        1 => Just(Step::DeleteGroup),
        3 => prop_oneof![4 => Just(100), 4 => Just(1_000), 3 => Just(11_000), 1 => Just(61_000)]
            .prop_map(|ms| Step::Pass { ms }),
        6 => prop_oneof![3 => any::<u8>(), 2 => Just(CLASSIC)]
            .prop_map(|clients| Step::Round { clients }),
        1 => Just(Step::ConsumersLeave),
        1 => Just(Step::Restart),
    ]
}
