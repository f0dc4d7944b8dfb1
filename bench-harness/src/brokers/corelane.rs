//! `corelane serve`, as somebody gets it who builds it.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{LOOPBACK, Launch, free_ports};
use crate::failure::Failure;
use crate::workload::Durability;

const PROGRAM: &str = "corelane";

/// A node of one durability.
#[derive(Clone, Debug)]
pub struct Corelane {
    pub program: PathBuf,
    pub durability: Durability,
    /// As `--memory` takes it; the node's default without it.
    pub memory: Option<String>,
}

/// The program that was named, or the one beside this.
pub fn find(named: Option<&Path>) -> Result<PathBuf, Failure> {
    let own = std::env::current_exe().ok();
    let beside = own.as_deref().map(|own| own.with_file_name(PROGRAM));
    let program = named.map(Path::to_path_buf).or(beside).unwrap_or_else(|| PROGRAM.into());
    if program.is_file() {
        return Ok(program);
    }
    Err(Failure::new(format!(
        "there is no {}; build it with `cargo build --release -p broker -p bench-harness`, or name \
         one with --corelane PATH",
        program.display()
    )))
}

/// `0.1.0`, as the program says it.
pub fn version(program: &Path) -> Result<String, Failure> {
    let said = Command::new(program).arg("--version").output().map_err(|error| {
        Failure::new(format!("{} cannot be started: {error}", program.display()))
    })?;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    Ok(said.split_whitespace().nth(1).unwrap_or("of unknown version").to_owned())
}

impl Corelane {
    pub(super) fn launch(&self, folder: &Path) -> Result<Launch, Failure> {
        let [clients, admin] = free_ports()?.map(|port: u16| format!("{LOOPBACK}:{port}"));
        let data = folder.join("data").display().to_string();
        let mut arguments: Vec<String> =
            ["serve", "--data-dir", &data, "--listen", &clients, "--admin", &admin]
                .map(str::to_owned)
                .into();
        if self.durability != Durability::Broker {
            arguments.extend(["--durability".to_owned(), self.durability.name().to_owned()]);
        }
        for memory in self.memory.iter() {
            arguments.extend(["--memory".to_owned(), memory.clone()]);
        }
        Ok(Launch {
            program: self.program.clone(),
            arguments,
            configuration: Vec::new(),
            bootstrap: clients,
            metrics: Some(admin),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Corelane, find};
    use crate::workload::Durability;

    #[test]
    fn a_node_is_started_with_its_durability_and_files_of_its_own() {
        let durability = Durability::Memory;
        let corelane = Corelane { program: "corelane".into(), durability, memory: None };
        let launch = corelane.launch(Path::new("/fresh")).unwrap();
        let line = launch.arguments.join(" ");
        assert!(line.starts_with("serve --data-dir /fresh/data --listen 127.0.0.1:"), "{line}");
        assert!(line.ends_with(" --durability memory"), "{line}");
        assert!(line.contains(&launch.bootstrap));
    }

    #[test]
    fn without_the_program_one_sentence_says_how_to_get_it() {
        let failure = find(Some(Path::new("/nowhere/corelane"))).unwrap_err();
        assert!(failure.sentence.contains("`cargo build --release -p broker"), "{failure}");
    }
}
