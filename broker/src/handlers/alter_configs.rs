//! AlterConfigs: replaces all settings of a resource.

use coordinator::metadata::alter_configs::{AlterConfigsError, AlterConfigsReply};
use coordinator::metadata::{AlterConfigs, ConfigResource};
use protocol::messages::alter_configs::{
    AlterConfigsRequest, AlterConfigsResourceResponse, AlterConfigsResponse,
};
use protocol::{BrokerId, ErrorCode, Str};

use super::Work;
use super::authorise::{Operation, Resource};
use super::commands::no_answer;
use crate::error_code;
use crate::limits::COMMAND_TIMEOUT_MS_MAX;
use crate::shard::Shard;
use crate::shard::command::{Command, Refused};
use crate::shard::requests::Head;

/// Kafka's numbers for what has a configuration.
pub(super) const TOPIC: i8 = 2;
pub(super) const BROKER: i8 = 4;
pub(super) const GROUP: i8 = 32;

/// A resource as the client named it: its answer names it the same way.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) resource_type: i8,
    pub(super) name: Str,
}

/// What becomes of one resource.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) resource: Named,
    pub(super) error_code: i16,
    pub(super) error_message: Option<Str>,
}

/// Resources whose change is decided, and those that were refused before.
#[derive(Debug, Default)]
pub(crate) struct Altering {
    asked: Vec<Named>,
    refused: Vec<Outcome>,
}

impl Altering {
    pub(super) fn is_empty(&self) -> bool {
        self.asked.is_empty()
    }

    pub(super) fn ask(&mut self, resource: Named) {
        self.asked.push(resource);
    }

    pub(super) fn refuse(&mut self, resource: Named, code: ErrorCode, text: Str) {
        let (error_code, error_message) = (code.code(), Some(text));
        self.refused.push(Outcome { resource, error_code, error_message });
    }

    /// All outcomes: those refused first, then the answer's, which has the order of the command.
    pub(super) fn outcomes(
        self,
        reply: Option<Result<AlterConfigsReply, Refused<AlterConfigsError>>>,
    ) -> Vec<Outcome> {
        let mut outcomes = self.refused;
        match reply {
            Some(Ok(reply)) => {
                let answered = self.asked.into_iter().zip(reply);
                outcomes.extend(answered.map(|(resource, (_, result))| {
                    let error = result.err();
                    let code = error.as_ref().map_or(ErrorCode::None, error_code::alter_config);
                    let error_message = error.map(|error| Str::from(error.to_string()));
                    Outcome { resource, error_code: code.code(), error_message }
                }));
            }
            no_reply => {
                let refused = no_reply.as_ref().and_then(|reply| reply.as_ref().err());
                let (error_code, text) = no_answer(refused, error_code::alter_configs);
                outcomes.extend(self.asked.into_iter().map(|resource| Outcome {
                    resource,
                    error_code,
                    error_message: text.clone(),
                }));
            }
        }
        outcomes
    }
}

impl Shard {
    /// The resource that is meant, if it may be changed.
    pub(super) fn altered_resource(
        &self,
        head: &Head,
        named: &Named,
    ) -> Result<ConfigResource, (ErrorCode, Str)> {
        let name = &named.name;
        let cluster = self.is_allowed(head, Operation::AlterConfigs, Resource::Cluster);
        match named.resource_type {
            TOPIC => match self.is_allowed(head, Operation::AlterConfigs, Resource::Topic(name)) {
                true => Ok(ConfigResource::Topic(name.clone())),
                false => {
                    let text = Str::from_static("Topic authorization failed.");
                    Err((ErrorCode::TopicAuthorizationFailed, text))
                }
            },
            GROUP => match self.is_allowed(head, Operation::AlterConfigs, Resource::Group(name)) {
                true if name.is_empty() => {
                    let text = Str::from_static("Default group resources are not allowed.");
                    Err((ErrorCode::InvalidRequest, text))
                }
                true => Ok(ConfigResource::Group(name.clone())),
                false => {
                    let text = Str::from_static("Group authorization failed.");
                    Err((ErrorCode::GroupAuthorizationFailed, text))
                }
            },
            BROKER if !cluster => {
                let text = Str::from_static("Cluster authorization failed.");
                Err((ErrorCode::ClusterAuthorizationFailed, text))
            }
            BROKER if name.is_empty() => Ok(ConfigResource::BrokerDefault),
            BROKER => match name.parse() {
                Ok(id) => Ok(ConfigResource::Broker(BrokerId(id))),
                Err(_) => {
                    let text = format!("{name} is no broker id.");
                    Err((ErrorCode::InvalidRequest, Str::from(text)))
                }
            },
            other => {
                let text = format!("Resource type {other} has no configuration here.");
                Err((ErrorCode::InvalidRequest, Str::from(text)))
            }
        }
    }

    pub(crate) fn alter_configs(&mut self, head: Head, body: AlterConfigsRequest) {
        let mut work = Altering::default();
        let mut resources = Vec::new();
        for resource in body.resources {
            let named =
                Named { resource_type: resource.resource_type, name: resource.resource_name };
            match self.altered_resource(&head, &named) {
                Ok(meant) => {
                    work.ask(named);
                    let configs = resource.configs.into_iter();
                    let configs = configs.map(|config| (config.name, config.value)).collect();
                    resources.push((meant, configs));
                }
                Err((code, text)) => work.refuse(named, code, text),
            }
        }
        if work.is_empty() {
            return self.finish_alter_configs(&head, work, Some(Ok(Vec::new())));
        }
        let command = AlterConfigs { resources, validate_only: body.validate_only };
        let command = Command::AlterConfigs(command);
        self.command(head, COMMAND_TIMEOUT_MS_MAX, command, Work::AlterConfigs(work));
    }

    pub(super) fn finish_alter_configs(
        &mut self,
        head: &Head,
        work: Altering,
        reply: Option<Result<AlterConfigsReply, Refused<AlterConfigsError>>>,
    ) {
        let mut response = AlterConfigsResponse::default();
        for outcome in work.outcomes(reply) {
            self.metrics.count_error(outcome.error_code);
            response.responses.push(AlterConfigsResourceResponse {
                error_code: outcome.error_code,
                error_message: outcome.error_message,
                resource_type: outcome.resource.resource_type,
                resource_name: outcome.resource.name,
            });
        }
        self.respond(head, response);
    }
}
