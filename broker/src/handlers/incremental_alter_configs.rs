//! IncrementalAlterConfigs: sets, deletes, appends to or subtracts from single settings.

use coordinator::metadata::IncrementalAlterConfigs;
use coordinator::metadata::alter_configs::{
    AlterConfigsError, AlterConfigsReply, ConfigChange, ConfigOperation,
};
use protocol::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterConfigsResourceResponse, AlterableConfig,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};
use protocol::{ErrorCode, Str};

use super::Work;
use super::alter_configs::{Altering, Named};
use crate::limits::COMMAND_TIMEOUT_MS_MAX;
use crate::shard::Shard;
use crate::shard::command::{Command, Refused};
use crate::shard::requests::Head;

impl Shard {
    pub(crate) fn incremental_alter_configs(
        &mut self,
        head: Head,
        body: IncrementalAlterConfigsRequest,
    ) {
        let mut work = Altering::default();
        let mut resources = Vec::new();
        for resource in body.resources {
            let AlterConfigsResource { resource_type, resource_name: name, configs } = resource;
            let named = Named { resource_type, name };
            let meant = self.altered_resource(&head, &named);
            match meant.and_then(|meant| Ok((meant, changes(configs)?))) {
                Ok(meant) => {
                    work.ask(named);
                    resources.push(meant);
                }
                Err((code, text)) => work.refuse(named, code, text),
            }
        }
        if work.is_empty() {
            return self.finish_incremental_alter_configs(&head, work, Some(Ok(Vec::new())));
        }
        let command = IncrementalAlterConfigs { resources, validate_only: body.validate_only };
        let command = Command::IncrementalAlterConfigs(command);
        self.command(head, COMMAND_TIMEOUT_MS_MAX, command, Work::IncrementalAlterConfigs(work));
    }

    pub(super) fn finish_incremental_alter_configs(
        &mut self,
        head: &Head,
        work: Altering,
        reply: Option<Result<AlterConfigsReply, Refused<AlterConfigsError>>>,
    ) {
        let mut response = IncrementalAlterConfigsResponse::default();
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

fn changes(configs: Vec<AlterableConfig>) -> Result<Vec<ConfigChange>, (ErrorCode, Str)> {
    let changes = configs.into_iter().map(|config| {
        let operation = match config.config_operation {
            0 => ConfigOperation::Set,
            1 => ConfigOperation::Delete,
            2 => ConfigOperation::Append,
            3 => ConfigOperation::Subtract,
            other => {
                let text = format!("Unknown operation type {other} for config {}.", config.name);
                return Err((ErrorCode::InvalidRequest, Str::from(text)));
            }
        };
        Ok(ConfigChange { name: config.name, operation, value: config.value })
    });
    changes.collect()
}
