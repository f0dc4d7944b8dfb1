//! `corelane topic config`: a topic's settings, where each comes from, and changing them.

use clap::Args;
use coordinator::topic_config::{Effect, topic_config};
use protocol::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
};
use protocol::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use serde::Serialize;

use super::setting;
use crate::cli::client::{Client, ClusterArgs, Refusal};
use crate::cli::failure::Failure;
use crate::cli::output::{Output, Table};

/// Kafka's number of the resource type "topic".
const TOPIC: i8 = 2;
const SET: i8 = 0;
const DELETE: i8 = 1;

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  corelane topic config orders                              (what was set)
  corelane topic config orders --all                        (everything, with its source)
  corelane topic config orders --set retention.ms=3600000 --set segment.bytes=268435456
  corelane topic config orders --delete retention.ms        (back to the default)")]
pub(crate) struct ConfigArgs {
    /// The topic's name.
    name: String,

    /// Set a property; may be given several times.
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    set: Vec<(String, String)>,

    /// Return a property to its default; may be given several times.
    #[arg(long, value_name = "NAME")]
    delete: Vec<String>,

    /// Show every property, not only those that were set.
    #[arg(long)]
    all: bool,

    #[command(flatten)]
    cluster: ClusterArgs,
}

/// One property as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Setting {
    name: String,
    value: Option<String>,
    source: &'static str,
    /// `yes`, `not yet` or `never`: whether Corelane acts on it, and what it does of it.
    effect: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    documentation: Option<String>,
}

impl Setting {
    fn of(config: &DescribeConfigsResourceResult) -> Self {
        // The table of this program is the one of the node of the same version.
        let definition = topic_config(&config.name);
        let effect = definition.map(|definition| definition.effect);
        Self {
            name: config.name.to_string(),
            value: config.value.as_ref().map(ToString::to_string),
            source: source_name(config.config_source),
            effect: match effect {
                Some(Effect::Now) | None => "yes",
                Some(Effect::Later) => "not yet",
                Some(Effect::Never) => "never",
            },
            documentation: config.documentation.as_ref().map(ToString::to_string),
        }
    }

    /// Whether it was set for this topic.
    pub(super) fn is_override(&self) -> bool {
        self.source == "topic"
    }

    pub(super) fn as_assignment(&self) -> String {
        let note = match self.effect {
            "yes" => String::new(),
            "never" => " (without effect)".to_owned(),
            "not yet" => " (without effect yet)".to_owned(),
            other => format!(" ({other})"),
        };
        format!("{}={}{note}", self.name, self.value.as_deref().unwrap_or_default())
    }
}

fn source_name(source: i8) -> &'static str {
    match source {
        1 => "topic",
        2 => "broker",
        3 => "cluster",
        4 => "node's file",
        5 => "default",
        _ => "unknown",
    }
}

impl ConfigArgs {
    pub(super) fn run(&self, output: &mut Output) -> Result<(), Failure> {
        let mut client = Client::connect(&self.cluster)?;
        if !self.set.is_empty() || !self.delete.is_empty() {
            self.alter(&mut client)?;
        }
        let mut settings = settings_of(&mut client, &self.name)?;
        settings.retain(|setting| self.all || setting.is_override());
        if output.is_json() {
            return output.json(&settings);
        }
        if settings.is_empty() {
            return output.line(format_args!(
                "topic {} has only default settings; see them with `corelane topic config {} --all`",
                self.name, self.name
            ));
        }
        let mut table = Table::new(&["NAME", "VALUE", "SOURCE", "EFFECT"]);
        for setting in settings {
            let value = setting.value.unwrap_or_default();
            table.push(vec![setting.name, value, setting.source.into(), setting.effect.into()]);
        }
        output.table(&table)
    }

    fn alter(&self, client: &mut Client) -> Result<(), Failure> {
        let set = self.set.iter().map(|(name, value)| AlterableConfig {
            name: name.as_str().into(),
            config_operation: SET,
            value: Some(value.as_str().into()),
        });
        let deleted = self.delete.iter().map(|name| AlterableConfig {
            name: name.as_str().into(),
            config_operation: DELETE,
            value: None,
        });
        let resource = AlterConfigsResource {
            resource_type: TOPIC,
            resource_name: self.name.as_str().into(),
            configs: set.chain(deleted).collect(),
        };
        let request =
            IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
        let response = client.controller(request)?;
        for answer in &response.responses {
            if let Some(refusal) = Refusal::of(answer.error_code) {
                let what = format!("topic {}", self.name);
                return Err(refusal.failure(&what, answer.error_message.as_deref()));
            }
        }
        Ok(())
    }
}

/// All properties of a topic, by name.
pub(super) fn settings_of(client: &mut Client, topic: &str) -> Result<Vec<Setting>, Failure> {
    let resource = DescribeConfigsResource {
        resource_type: TOPIC,
        resource_name: topic.into(),
        configuration_keys: None,
    };
    let request = DescribeConfigsRequest {
        resources: vec![resource],
        include_synonyms: false,
        include_documentation: true,
    };
    let response = client.any(request)?;
    let mut settings = Vec::new();
    for result in &response.results {
        if let Some(refusal) = Refusal::of(result.error_code) {
            return Err(refusal.failure(&format!("topic {topic}"), result.error_message.as_deref()));
        }
        settings.extend(result.configs.iter().map(Setting::of));
    }
    settings.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use protocol::messages::describe_configs::DescribeConfigsResourceResult;

    use super::Setting;

    #[test]
    fn settings_say_their_source_and_whether_they_have_an_effect() {
        let config = |name: &str, source: i8| DescribeConfigsResourceResult {
            name: name.into(),
            value: Some("7".into()),
            config_source: source,
            ..DescribeConfigsResourceResult::default()
        };
        let setting = Setting::of(&config("retention.ms", 1));
        assert!(setting.is_override());
        assert_eq!(setting.as_assignment(), "retention.ms=7");
        let setting = Setting::of(&config("flush.ms", 5));
        assert!(!setting.is_override());
        assert_eq!(setting.as_assignment(), "flush.ms=7 (without effect)");
        assert_eq!(Setting::of(&config("cleanup.policy", 1)).effect, "yes");
        let setting = Setting::of(&config("compression.type", 4));
        assert_eq!((setting.source, setting.effect), ("node's file", "not yet"));
    }
}
