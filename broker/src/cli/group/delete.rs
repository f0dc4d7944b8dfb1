//! `corelane group delete`.

use clap::Args;
use protocol::ErrorCode;
use protocol::messages::delete_groups::DeleteGroupsRequest;
use serde_json::json;

use super::{in_use, known_group, no_such_group};
use crate::cli::client::{Client, ClusterArgs, Refusal};
use crate::cli::confirm::confirm;
use crate::cli::failure::Failure;
use crate::cli::output::Output;

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  corelane group delete analytics            (asks first)
  corelane group delete analytics email --yes

A group must have no members. What it committed is gone with it: if it comes back, it begins anew.")]
pub(crate) struct DeleteArgs {
    /// The groups.
    #[arg(required = true)]
    groups: Vec<String>,

    /// Do not ask.
    #[arg(short, long)]
    yes: bool,

    #[command(flatten)]
    cluster: ClusterArgs,
}

impl DeleteArgs {
    pub(super) fn run(&self, output: &mut Output) -> Result<(), Failure> {
        let mut client = Client::connect(&self.cluster)?;
        // All or none, as far as that can be known before.
        for id in &self.groups {
            if let Some(why) = in_use(&known_group(&mut client, id)?) {
                return Err(Failure::failed(why));
            }
        }
        if !self.yes {
            let what = if self.groups.len() == 1 { "group" } else { "groups" };
            confirm(&format!("delete {what} {} and all offsets?", self.groups.join(", ")))?;
        }
        for id in &self.groups {
            delete(&mut client, id)?;
            if !output.is_json() {
                output.line(format_args!("deleted group {id}"))?;
            }
        }
        if output.is_json() {
            let deleted = self.groups.iter().map(|id| json!({ "group": id, "deleted": true }));
            return output.json(&deleted.collect::<Vec<_>>());
        }
        Ok(())
    }
}

fn delete(client: &mut Client, id: &str) -> Result<(), Failure> {
    let request = || DeleteGroupsRequest { groups_names: vec![id.into()] };
    let response = client.on_coordinator(id, request, |response| {
        response.results.first().map_or(0, |result| result.error_code)
    })?;
    let code = response.results.first().map_or(0, |result| result.error_code);
    match Refusal::of(code) {
        None => Ok(()),
        Some(refusal) if refusal.is(ErrorCode::GroupIdNotFound) => Err(no_such_group(id)),
        Some(refusal) => Err(refusal.failure(&format!("group {id}"), None)),
    }
}
