//! Every property with its value, where it comes from and what stands behind it: what a client sees
//! of a configuration.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use super::{
    broker_table::BROKER_CONFIGS,
    definition::{ConfigDefinition, ConfigKind, Effect, Update},
    group_table::GROUP_CONFIGS,
    layers::{ConfigLayers, ConfigSource, ConfigSynonym},
    topic_table::TOPIC_CONFIGS,
    value::parse,
};

/// One property as a client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigDescription {
    pub name: &'static str,
    /// `None` where nothing is set and there is no default, and for what is sensitive.
    pub value: Option<String>,
    pub source: ConfigSource,
    /// Nearest first; the first is where the value comes from.
    pub synonyms: Vec<ConfigSynonym>,
    pub kind: ConfigKind,
    pub effect: Effect,
    pub documentation: String,
    pub sensitive: bool,
    pub read_only: bool,
}

/// All properties of a topic, by name.
pub fn describe_topic(layers: &ConfigLayers<'_>) -> Vec<ConfigDescription> {
    let mut described = Vec::with_capacity(TOPIC_CONFIGS.len());
    for definition in TOPIC_CONFIGS {
        let synonyms = layers.of_own_config(definition);
        if definition.internal && synonyms.is_empty() {
            continue;
        }
        let (value, source) = match layers.effective(definition) {
            Some((value, source)) => (Some(value), source),
            None => (None, ConfigSource::Default),
        };
        described.push(description(definition, value, source, synonyms, false));
    }
    described
}

/// All properties of a group, by name.
pub fn describe_group(layers: &ConfigLayers<'_>) -> Vec<ConfigDescription> {
    let described = GROUP_CONFIGS.iter().map(|definition| {
        let mut synonyms = layers.of_own_config(definition);
        if definition.synonyms.is_empty() {
            // No broker property stands behind it: as in Kafka, its default is a synonym of its own.
            let value = definition.default.map(|value| (value.to_string(), ConfigSource::Default));
            let name = definition.name;
            synonyms.extend(value.map(|(value, source)| ConfigSynonym { name, value, source }));
        }
        let (value, source) = match layers.effective(definition) {
            Some((value, source)) => (Some(value), source),
            None => (None, ConfigSource::Default),
        };
        description(definition, value, source, synonyms, false)
    });
    described.collect()
}

/// All properties of one broker, by name.
pub fn describe_broker(layers: &ConfigLayers<'_>) -> Vec<ConfigDescription> {
    BROKER_CONFIGS.iter().map(|definition| broker_description(definition, layers)).collect()
}

/// The properties that are set dynamically for all brokers, by name: Kafka lists no others here.
pub fn describe_broker_default(layers: &ConfigLayers<'_>) -> Vec<ConfigDescription> {
    let mut described = describe_broker(layers);
    for entry in &mut described {
        entry.synonyms.retain(|synonym| {
            synonym.source == ConfigSource::DynamicDefaultBroker && synonym.name == entry.name
        });
        if let Some(synonym) = entry.synonyms.first() {
            entry.value = if entry.sensitive { None } else { Some(synonym.value.clone()) };
            entry.source = synonym.source;
        }
    }
    described.retain(|entry| !entry.synonyms.is_empty());
    described
}

fn broker_description(
    definition: &'static ConfigDefinition,
    layers: &ConfigLayers<'_>,
) -> ConfigDescription {
    let synonyms = layers.of_broker_config(definition);
    let source = synonyms.first().map_or(ConfigSource::Default, |synonym| synonym.source);
    let own = synonyms.iter().find(|synonym| synonym.name == definition.name);
    let value = own.map(|synonym| shown(definition, &synonym.value));
    description(definition, value, source, synonyms, definition.update == Update::ReadOnly)
}

fn shown(definition: &ConfigDefinition, text: &str) -> String {
    parse(definition, text).map_or_else(|_| text.to_string(), |value| value.to_text())
}

fn description(
    definition: &'static ConfigDefinition,
    value: Option<String>,
    source: ConfigSource,
    mut synonyms: Vec<ConfigSynonym>,
    read_only: bool,
) -> ConfigDescription {
    let sensitive = definition.is_sensitive();
    if sensitive {
        synonyms.iter_mut().for_each(|synonym| synonym.value.clear());
    }
    let note = match definition.effect {
        Effect::Now => "",
        Effect::Later => " (Accepted; without effect yet.)",
        Effect::Never => " (Accepted for compatibility; without effect here.)",
    };
    ConfigDescription {
        name: definition.name,
        value: value.filter(|_| !sensitive),
        source,
        synonyms,
        kind: definition.kind,
        effect: definition.effect,
        documentation: format!("{}{note}", definition.doc),
        sensitive,
        read_only,
    }
}
