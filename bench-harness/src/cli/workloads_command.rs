//! `workloads`: those inside this program, and our keys.

use std::fmt::Write;

use clap::Subcommand;

use super::{Format, print};
use crate::failure::{Exit, Failure};
use crate::workload::{OWN_KEYS, shipped};

#[derive(Debug, Subcommand)]
pub(super) enum WorkloadsCommand {
    /// What there is, and what each is for.
    List,
    /// The file itself: copy it, change it, run it.
    Show {
        /// One of the list.
        name: String,
    },
    /// Our keys, which go below `corelane:` in a workload file, or after --set.
    Keys,
}

impl WorkloadsCommand {
    pub(super) fn run(&self, format: Format) -> Result<Exit, Failure> {
        let rows: Vec<(&str, String)> = match self {
            Self::Show { name } => {
                let text = shipped::find(name).ok_or_else(|| {
                    Failure::new(format!(
                        "there is no workload {name}; `corelane bench workloads list` shows all"
                    ))
                })?;
                return print(text).map(|()| Exit::Done);
            }
            Self::List => shipped::ALL
                .iter()
                .map(|shipped| (shipped.name, shipped::purpose(shipped.text)))
                .collect(),
            Self::Keys => OWN_KEYS.iter().map(|(key, what)| (*key, (*what).to_owned())).collect(),
        };
        print(&match format {
            Format::Text => table(&rows),
            Format::Json => {
                let values = rows
                    .iter()
                    .map(|(name, what)| serde_json::json!({ "name": name, "description": what }));
                format!("{}\n", values.collect::<serde_json::Value>())
            }
        })?;
        Ok(Exit::Done)
    }
}

fn table(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, what) in rows {
        let _ = writeln!(text, "{name:<width$}  {what}");
    }
    text
}
