//! Where a value comes from: the layers in which it is looked for, the nearest first.

use alloc::{
    collections::BTreeMap,
    string::{String, ToString},
    vec::Vec,
};

use protocol::Str;

use super::{
    broker_table::broker_config,
    definition::{BrokerSynonym, ConfigDefinition, Scale, same},
    error::ConfigError,
    value::{ConfigValue, parse, scaled},
};

/// Values set by hand, by property name.
pub type Overrides = BTreeMap<Str, Str>;

/// Where a value comes from; declared nearest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigSource {
    DynamicTopic,
    DynamicGroup,
    DynamicBroker,
    DynamicDefaultBroker,
    StaticBroker,
    Default,
}

/// One layer's value for a property, under the name it has there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigSynonym {
    pub name: &'static str,
    pub value: String,
    pub source: ConfigSource,
}

/// The broker properties of this node's configuration file: known names and valid values only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StaticBrokerConfig {
    values: Overrides,
}

impl StaticBrokerConfig {
    pub fn new(entries: impl IntoIterator<Item = (Str, Str)>) -> Result<Self, ConfigError> {
        let mut values = Overrides::new();
        for (name, value) in entries {
            let Some(definition) = broker_config(&name) else {
                return Err(ConfigError::UnknownBrokerConfig { name });
            };
            parse(definition, &value)?;
            values.insert(name, value);
        }
        Ok(Self { values })
    }

    /// With what the node says of itself; nobody else gives these properties a value.
    #[must_use]
    pub fn with_own(mut self, own: impl IntoIterator<Item = (Str, Str)>) -> Self {
        self.values.extend(own);
        self
    }
}

/// The layers that one property is looked for in.
#[derive(Clone, Copy, Debug)]
pub struct ConfigLayers<'a> {
    /// The topic's own overrides; empty when another's configuration is asked for.
    pub topic: &'a Overrides,
    /// The group's own overrides; likewise. No property of a group has the name of a topic's.
    pub group: &'a Overrides,
    pub broker: &'a Overrides,
    pub broker_default: &'a Overrides,
    pub configured: &'a StaticBrokerConfig,
}

impl<'a> ConfigLayers<'a> {
    /// The value in force of a topic property that has the same name in every layer and a default; found
    /// without an allocation, for what is asked with every request.
    pub(crate) fn plain(&self, definition: &ConfigDefinition) -> ConfigValue<'a> {
        let layers = [self.topic, self.broker, self.broker_default, &self.configured.values];
        let set = layers.into_iter().filter_map(|values| get(values, definition.name));
        let mut valid =
            set.chain(definition.default).filter_map(|text| parse(definition, text).ok());
        valid.next().expect("the table gives a default")
    }

    /// Every layer's value of a topic's or group's property, the one in force first.
    pub fn of_own_config(&self, definition: &ConfigDefinition) -> Vec<ConfigSynonym> {
        let mut found = Vec::new();
        let own =
            [(self.topic, ConfigSource::DynamicTopic), (self.group, ConfigSource::DynamicGroup)];
        for (values, source) in own {
            if let Some(value) = get(values, definition.name) {
                let (name, value) = (definition.name, value.to_string());
                found.push(ConfigSynonym { name, value, source });
            }
        }
        self.collect(definition.synonyms, &mut found);
        found
    }

    /// Every layer's value of a broker property, the one in force first.
    pub fn of_broker_config(&self, definition: &ConfigDefinition) -> Vec<ConfigSynonym> {
        let mut found = Vec::new();
        let own = [same(definition.name)];
        let names = if definition.synonyms.is_empty() { &own } else { definition.synonyms };
        self.collect(names, &mut found);
        found
    }

    /// The value of a topic's or group's property that is in force, as shown. A stored value that this version
    /// finds invalid is passed over: a log written by another version must not stop the node.
    pub(crate) fn value_text(&self, definition: &ConfigDefinition) -> Option<String> {
        self.effective(definition).map(|(text, _)| text)
    }

    /// As [`Self::value_text`], with its source.
    pub(crate) fn effective(
        &self,
        definition: &ConfigDefinition,
    ) -> Option<(String, ConfigSource)> {
        for synonym in self.of_own_config(definition) {
            let scale = match synonym.source {
                ConfigSource::DynamicTopic | ConfigSource::DynamicGroup => Scale::Same,
                _ => scale_of(definition, synonym.name),
            };
            let Some(text) = scaled(scale, &synonym.value) else { continue };
            if let Ok(value) = parse(definition, &text) {
                return Some((value.to_text(), synonym.source));
            }
        }
        let text = definition.default?;
        Some((text.to_string(), ConfigSource::Default))
    }

    /// The number that is in force for a topic's or group's property which has a default.
    pub(crate) fn integer(&self, definition: &ConfigDefinition) -> i64 {
        let text = self.value_text(definition).expect("the table gives a default");
        match parse(definition, &text).expect("values in force are valid") {
            ConfigValue::Integer(number) => number,
            ConfigValue::Boolean(_)
            | ConfigValue::Ratio(_)
            | ConfigValue::Text(_)
            | ConfigValue::List(_) => unreachable!("asked for the number of a non-number"),
        }
    }

    /// The number that is in force for a broker property of one name which has a default.
    pub(crate) fn broker_integer(&self, name: &str) -> i64 {
        match self.plain(broker_config(name).expect("it is in the table")) {
            ConfigValue::Integer(number) => number,
            other => unreachable!("{name} is a number: {other:?}"),
        }
    }

    fn collect(&self, names: &[BrokerSynonym], found: &mut Vec<ConfigSynonym>) {
        let dynamic = [
            (self.broker, ConfigSource::DynamicBroker),
            (self.broker_default, ConfigSource::DynamicDefaultBroker),
            (&self.configured.values, ConfigSource::StaticBroker),
        ];
        for (values, source) in dynamic {
            for BrokerSynonym { name, .. } in names {
                if let Some(value) = get(values, name) {
                    found.push(ConfigSynonym { name, value: value.to_string(), source });
                }
            }
        }
        for BrokerSynonym { name, .. } in names {
            if let Some(value) = broker_config(name).and_then(|row| row.default) {
                let (value, source) = (value.to_string(), ConfigSource::Default);
                found.push(ConfigSynonym { name, value, source });
            }
        }
    }
}

fn scale_of(definition: &ConfigDefinition, name: &str) -> Scale {
    let synonym = definition.synonyms.iter().find(|synonym| synonym.name == name);
    synonym.expect("layers are searched under the definition's synonyms").scale
}

fn get<'a>(values: &'a Overrides, name: &str) -> Option<&'a str> {
    values.get(name).map(|value| &**value)
}
