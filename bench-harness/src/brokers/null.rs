//! The null broker of this program, as a process of its own like any other.

use std::path::PathBuf;

use super::{LOOPBACK, Launch, free_ports};
use crate::failure::Failure;

/// What `corelane-bench` is told, to be one.
pub const COMMAND: &str = "null-broker";

#[derive(Clone, Debug)]
pub struct Null {
    /// `corelane-bench`.
    pub program: PathBuf,
}

impl Null {
    pub(super) fn launch(&self) -> Result<Launch, Failure> {
        let [port] = free_ports()?;
        let bootstrap = format!("{LOOPBACK}:{port}");
        Ok(Launch {
            program: self.program.clone(),
            arguments: vec![COMMAND.to_owned(), "--listen".to_owned(), bootstrap.clone()],
            configuration: Vec::new(),
            bootstrap,
            metrics: None,
        })
    }
}
