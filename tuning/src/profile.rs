//! What the machine is for: how much a finding weighs, and what is wanted of some settings.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::check::Severity;
use crate::host::HostFacts;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// A developer's machine: only what keeps a node from starting counts, and nothing is changed.
    Dev,
    /// A server that belongs to the node.
    Prod,
    /// A server on which is measured: as `Prod`, and what makes numbers differ from run to run is off.
    Bench,
    /// Inside a container: settings of the host are reported, with where to change them.
    Container,
}

impl Profile {
    pub const ALL: [Self; 4] = [Self::Dev, Self::Prod, Self::Bench, Self::Container];

    /// What fits the machine where nobody said anything.
    pub fn fitting(facts: &HostFacts) -> Self {
        match facts.container.container {
            Some(_) => Self::Container,
            None => Self::Prod,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Prod => "prod",
            Self::Bench => "bench",
            Self::Container => "container",
        }
    }

    /// What a finding weighs here, that weighs `prod` on a server and `bench` where is measured.
    pub(crate) fn weighs(self, prod: Severity, bench: Severity) -> Severity {
        match self {
            Self::Dev if prod == Severity::Fatal => Severity::Fatal,
            Self::Dev => Severity::Info,
            Self::Prod | Self::Container => prod,
            Self::Bench => bench.min(prod),
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
