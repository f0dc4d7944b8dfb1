//! What one row of a configuration table says about a property.

/// Kafka's types of configuration values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigKind {
    Boolean,
    String,
    Short,
    Int,
    Long,
    Double,
    List,
    /// Never shown to anyone.
    Password,
}

/// The values that a property takes, beyond those of its type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ValidValues {
    Any,
    AtLeast(i64),
    /// Both ends belong to the range.
    Between(i64, i64),
    /// A range, or one value outside it.
    BetweenOr(i64, i64, i64),
    OneOf(&'static [&'static str]),
    /// A list without duplicates of these; it may be empty.
    ListOf(&'static [&'static str]),
    /// `*`, or a list of `partition:broker`.
    ThrottledReplicas,
    /// `earliest`, `latest`, or `by_duration:` and a duration that is not negative.
    OffsetReset,
}

/// What setting the property changes in Corelane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It works.
    Now,
    /// Accepted and kept; the feature that it belongs to is still to come.
    Later,
    /// Accepted and kept, for clients that set it; Corelane's design has no use for it.
    Never,
}

/// How a broker property may be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// By the configuration file and a restart only.
    ReadOnly,
    /// While the node runs, for one broker or for all.
    Dynamic,
}

/// How a synonym's number becomes the property's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    Same,
    HoursToMillis,
    MinutesToMillis,
}

/// A broker property that gives a topic's or group's property its default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokerSynonym {
    pub name: &'static str,
    pub scale: Scale,
}

/// One property.
#[derive(Clone, Copy, Debug)]
pub struct ConfigDefinition {
    pub name: &'static str,
    pub kind: ConfigKind,
    pub default: Option<&'static str>,
    pub valid: ValidValues,
    pub effect: Effect,
    pub doc: &'static str,
    /// Of a topic's or group's property: the broker properties that its default is taken from, the first that is
    /// set. Of a broker property: the other names for the same thing, itself included, in that
    /// order.
    pub synonyms: &'static [BrokerSynonym],
    /// Of a broker property; a topic's or group's is always dynamic.
    pub update: Update,
    /// Described only when set.
    pub internal: bool,
}

impl ConfigDefinition {
    pub(crate) const fn new(
        name: &'static str,
        kind: ConfigKind,
        default: Option<&'static str>,
        valid: ValidValues,
        effect: Effect,
        doc: &'static str,
    ) -> Self {
        let (synonyms, update) = (&[] as &[BrokerSynonym], Update::Dynamic);
        Self { name, kind, default, valid, effect, doc, synonyms, update, internal: false }
    }

    pub(crate) const fn with(mut self, synonyms: &'static [BrokerSynonym]) -> Self {
        self.synonyms = synonyms;
        self
    }

    pub(crate) const fn read_only(mut self) -> Self {
        self.update = Update::ReadOnly;
        self
    }

    pub(crate) const fn internal(mut self) -> Self {
        self.internal = true;
        self
    }

    pub const fn is_sensitive(&self) -> bool {
        matches!(self.kind, ConfigKind::Password)
    }
}

/// A property with a default.
pub(crate) const fn row(
    name: &'static str,
    kind: ConfigKind,
    default: &'static str,
    valid: ValidValues,
    effect: Effect,
    doc: &'static str,
) -> ConfigDefinition {
    ConfigDefinition::new(name, kind, Some(default), valid, effect, doc)
}

/// The row with exactly this name, in a table that is sorted by name.
pub(crate) fn find(
    table: &'static [ConfigDefinition],
    name: &str,
) -> Option<&'static ConfigDefinition> {
    let at = table.binary_search_by(|row| row.name.cmp(name)).ok()?;
    table.get(at)
}

pub(crate) const fn same(name: &'static str) -> BrokerSynonym {
    BrokerSynonym { name, scale: Scale::Same }
}

pub(crate) const fn hours(name: &'static str) -> BrokerSynonym {
    BrokerSynonym { name, scale: Scale::HoursToMillis }
}

pub(crate) const fn minutes(name: &'static str) -> BrokerSynonym {
    BrokerSynonym { name, scale: Scale::MinutesToMillis }
}
