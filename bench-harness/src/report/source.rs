//! What is read from a result's folder. Results of older versions lack files: their charts are left out.

use std::path::Path;

use serde_json::Value;

use super::columns::Columns;
use crate::failure::Failure;
use crate::results::distribution::Distribution;

/// Larger ones are none of ours.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// Something that a page is about.
pub struct Source {
    /// Its folder.
    pub name: String,
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    Run(Box<Run>),
    /// `compare.json`.
    Comparison(Value),
    /// `ramp.json` or `slo.json`, and the manifest of its first run.
    Search(Value, Value),
}

/// The folder of one run.
pub(super) struct Run {
    pub(super) name: String,
    /// `result.json`.
    pub(super) result: Value,
    /// `manifest.json`; null where it is missing.
    pub(super) manifest: Value,
    pub(super) seconds: Columns,
    pub(super) used: Columns,
    pub(super) distributions: Vec<Distribution>,
}

impl Source {
    /// A folder of results, or one of the files that stand for it.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let is_folder = path.is_dir();
        let inside = |name: &str| if is_folder { path.join(name) } else { path.to_path_buf() };
        let folder = if is_folder { path } else { path.parent().unwrap_or(Path::new(".")) };
        let name = path.display().to_string();
        let has = |file: &str| {
            if is_folder { path.join(file).is_file() } else { path.ends_with(file) }
        };
        let kind = if has("compare.json") {
            Kind::Comparison(json(&inside("compare.json"))?)
        } else if has("ramp.json") {
            search(folder, json(&inside("ramp.json"))?)
        } else if has("slo.json") {
            search(folder, json(&inside("slo.json"))?)
        } else if has("result.json") {
            Kind::Run(Box::new(Run::read(folder, name.clone())?))
        } else {
            return Err(Failure::new(format!(
                "{name} has no results; give a folder that `corelane bench run`, `ramp`, `slo` or \
                 `compare` wrote"
            )));
        };
        Ok(Self { name, kind })
    }

    pub(super) fn run(&self) -> Option<&Run> {
        match &self.kind {
            Kind::Run(run) => Some(run),
            _ => None,
        }
    }

    /// What its parts are read from, for programs that compare results.
    #[must_use]
    pub fn result_and_manifest(&self) -> Option<(&Value, &Value)> {
        self.run().map(|run| (&run.result, &run.manifest))
    }

    /// The whole of a comparison.
    #[must_use]
    pub fn comparison(&self) -> Option<&Value> {
        match &self.kind {
            Kind::Comparison(value) => Some(value),
            _ => None,
        }
    }

    pub(super) fn title(&self) -> String {
        let text = |value: &Value, path: &str| {
            value.pointer(path).and_then(Value::as_str).map(str::to_owned)
        };
        match &self.kind {
            Kind::Run(run) => {
                text(&run.result, "/workload/name").unwrap_or_else(|| self.name.clone())
            }
            Kind::Comparison(value) => {
                let subjects = value["subjects"].as_array().into_iter().flatten();
                let names: Vec<&str> =
                    subjects.filter_map(|subject| subject["name"].as_str()).collect();
                names.join(" against ")
            }
            Kind::Search(value, _) => {
                let kind = text(value, "/kind").unwrap_or_default();
                let workload = text(value, "/workload").unwrap_or_default();
                format!("{kind}: {workload}")
            }
        }
    }
}

impl Run {
    fn read(folder: &Path, name: String) -> Result<Self, Failure> {
        let optional = |file: &str| std::fs::read_to_string(folder.join(file)).unwrap_or_default();
        Ok(Self {
            name,
            result: json(&folder.join("result.json"))?,
            manifest: serde_json::from_str(&optional("manifest.json")).unwrap_or(Value::Null),
            seconds: Columns::parse(&optional("timeseries.csv")),
            used: Columns::parse(&optional("used.csv")),
            distributions: serde_json::from_str(&optional("distributions.json"))
                .unwrap_or_default(),
        })
    }

    pub(super) fn number(&self, path: &str) -> Option<f64> {
        self.result.pointer(path).and_then(Value::as_f64)
    }

    pub(super) fn text(&self, path: &str) -> &str {
        self.result.pointer(path).and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn texts(&self, path: &str) -> Vec<&str> {
        let list = self.result.pointer(path).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).collect()
    }
}

fn search(folder: &Path, value: Value) -> Kind {
    let first = value.pointer("/steps/0/folder").and_then(Value::as_str);
    let text = first.map(|first| folder.join(first).join("manifest.json"));
    let text = text.and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
    let manifest = serde_json::from_str(&text).unwrap_or(Value::Null);
    Kind::Search(value, manifest)
}

fn json(path: &Path) -> Result<Value, Failure> {
    let refused = |why: String| Failure::new(format!("{} cannot be read: {why}", path.display()));
    let length = path.metadata().map_err(|error| refused(error.to_string()))?.len();
    if length > FILE_BYTES_MAX {
        return Err(refused("it is too large for a result".to_owned()));
    }
    let text = std::fs::read_to_string(path).map_err(|error| refused(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| refused(error.to_string()))
}
