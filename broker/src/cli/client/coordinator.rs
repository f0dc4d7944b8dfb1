//! Who coordinates a group: asked for once, and again when the answer says that it is somebody else by now.

use std::time::{Duration, Instant};

use protocol::ErrorCode;
use protocol::messages::ApiRequest;
use protocol::messages::find_coordinator::FindCoordinatorRequest;

use super::{Client, Refusal};
use crate::cli::failure::Failure;

/// Before a coordinator that loads, or is being looked for, is asked again.
const AGAIN: Duration = Duration::from_millis(100);
/// FindCoordinator's key type of groups.
const GROUP: i8 = 0;

impl Refusal {
    /// The coordinator is elsewhere, or will be ready in a moment.
    pub(crate) fn is_of_coordinator(self) -> bool {
        self.is(ErrorCode::CoordinatorLoadInProgress)
            || self.is(ErrorCode::CoordinatorNotAvailable)
            || self.is(ErrorCode::NotCoordinator)
    }
}

impl Client {
    /// Asks the group's coordinator until one answers for it, or the time is up. `code` is the answer's error code
    /// for the group.
    pub(crate) fn on_coordinator<R: ApiRequest>(
        &mut self,
        group: &str,
        request: impl Fn() -> R,
        code: impl Fn(&R::Response) -> i16,
    ) -> Result<R::Response, Failure> {
        let deadline = self.deadline();
        loop {
            let response = match self.coordinator_of(group)? {
                Ok(coordinator) => match self.on_broker(coordinator, request()) {
                    Ok(response) => response,
                    Err(failure) => {
                        self.forget_coordinator(group);
                        return Err(failure);
                    }
                },
                Err(refusal) => {
                    self.wait_for_coordinator(group, refusal, deadline)?;
                    continue;
                }
            };
            match Refusal::of(code(&response)) {
                Some(refusal) if refusal.is_of_coordinator() => {
                    self.wait_for_coordinator(group, refusal, deadline)?;
                }
                _ => return Ok(response),
            }
        }
    }

    /// The broker that coordinates the group. The first question of a cluster for a coordinator creates the topic
    /// of groups: until that is done, nobody does.
    pub(crate) fn coordinator_of(&mut self, group: &str) -> Result<Result<i32, Refusal>, Failure> {
        if let Some(known) = self.coordinators.get(group) {
            return Ok(Ok(*known));
        }
        let request = FindCoordinatorRequest {
            key: group.into(),
            key_type: GROUP,
            coordinator_keys: vec![group.into()],
        };
        let response = self.any(request)?;
        let (code, node) = match response.coordinators.first() {
            Some(found) => (found.error_code, found.node_id),
            None => (response.error_code, response.node_id),
        };
        match Refusal::of(code) {
            Some(refusal) if refusal.is_of_coordinator() => Ok(Err(refusal)),
            Some(refusal) => Err(refusal.failure(&format!("group {group}"), None)),
            None => {
                self.coordinators.insert(group.to_owned(), node);
                Ok(Ok(node))
            }
        }
    }

    /// It may be another one by now.
    pub(crate) fn forget_coordinator(&mut self, group: &str) {
        self.coordinators.remove(group);
    }

    fn wait_for_coordinator(
        &mut self,
        group: &str,
        refusal: Refusal,
        deadline: Instant,
    ) -> Result<(), Failure> {
        self.forget_coordinator(group);
        if Instant::now() >= deadline {
            return Err(refusal.failure(&format!("group {group}"), None));
        }
        std::thread::sleep(AGAIN);
        Ok(())
    }
}
