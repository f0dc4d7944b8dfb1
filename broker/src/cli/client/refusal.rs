//! Kafka's error codes as sentences that say what to do next.

use protocol::ErrorCode;

use crate::cli::failure::Failure;

/// What a broker answered instead of doing what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    code: i16,
}

/// Two names that differ in nothing but these are one name in Kafka's metrics.
const COLLIDES: &str =
    "'.' and '_' count as the same letter: choose a name that differs in another one";

impl Refusal {
    /// `None` where the code says that all went well.
    pub(crate) fn of(code: i16) -> Option<Self> {
        (code != ErrorCode::None.code()).then_some(Self { code })
    }

    pub(crate) fn is(self, code: ErrorCode) -> bool {
        self.code == code.code()
    }

    /// Whether the same request may be sent again.
    pub(crate) fn is_retriable(self) -> bool {
        ErrorCode::from_code(self.code).is_some_and(ErrorCode::is_retriable)
    }

    pub(crate) fn name(self) -> String {
        ErrorCode::from_code(self.code)
            .map_or_else(|| format!("error {}", self.code), |code| code.name().to_owned())
    }

    /// `what` is the subject, such as "topic orders"; `message` what the broker said beside the code.
    pub(crate) fn failure(self, what: &str, message: Option<&str>) -> Failure {
        let said = message.filter(|message| !message.is_empty());
        let hint = match said {
            Some(said) if said.contains("collides") => Some(COLLIDES),
            _ => self.hint(),
        };
        let name = self.name();
        Failure::failed(match (said, hint) {
            (Some(said), Some(hint)) => format!("{what}: {said} ({name}); {hint}"),
            (Some(said), None) => format!("{what}: {said} ({name})"),
            (None, Some(hint)) => format!("{what}: {name}; {hint}"),
            (None, None) => format!("{what}: {name}"),
        })
    }

    fn hint(self) -> Option<&'static str> {
        Some(match ErrorCode::from_code(self.code)? {
            ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId => {
                "see what there is with `corelane topic list`, or create it with `corelane topic create NAME`"
            }
            ErrorCode::TopicAlreadyExists => {
                "look at it with `corelane topic describe NAME`, or add --if-not-exists"
            }
            ErrorCode::InvalidTopicException => {
                "names have 1 to 249 letters, digits, dots, underscores and hyphens"
            }
            ErrorCode::InvalidReplicationFactor => {
                "a single node holds one replica: leave --replication-factor out"
            }
            ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge => {
                "raise it with `corelane topic config NAME --set max.message.bytes=…`"
            }
            ErrorCode::KafkaStorageError => {
                "the disk failed or is full, or the partition is suspect or damaged: `corelane doctor` says which"
            }
            ErrorCode::OffsetOutOfRange => {
                "see the offsets with `corelane topic describe NAME`, or read --from beginning"
            }
            ErrorCode::RequestTimedOut => {
                "it may have been done nevertheless: look, then repeat it"
            }
            ErrorCode::InvalidConfig => {
                "see all properties with `corelane topic config NAME --all`"
            }
            ErrorCode::NotEnoughReplicas | ErrorCode::NotEnoughReplicasAfterAppend => {
                "the partition is recovering or replicas are missing: try again in a moment"
            }
            ErrorCode::GroupIdNotFound => "see what there is with `corelane group list`",
            ErrorCode::NonEmptyGroup => {
                "stop its members first: `corelane group describe GROUP --members` names them"
            }
            ErrorCode::GroupSubscribedToTopic => {
                "members read that topic: stop them first; `corelane group describe GROUP --members` names them"
            }
            ErrorCode::GroupMaxSizeReached => {
                "the group is full: raise group.consumer.max.size, or stop a member"
            }
            ErrorCode::InconsistentGroupProtocol => {
                "its members speak the classic protocol: stop them first, or take another group"
            }
            ErrorCode::InvalidGroupId => "a group's name has at least one letter",
            _ => return None,
        })
    }
}
