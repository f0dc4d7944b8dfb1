//! A mapping of a YAML file, read key by key with the type that is wanted.

use std::collections::BTreeSet;
use std::fmt;

use yaml_rust2::yaml::Hash;
use yaml_rust2::{Yaml, YamlLoader};

/// A workload that makes no sense: the key, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadError {
    pub key: String,
    pub why: String,
}

impl WorkloadError {
    pub(super) fn new(key: &str, why: impl Into<String>) -> Self {
        Self { key: key.to_owned(), why: why.into() }
    }
}

impl fmt::Display for WorkloadError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.key, self.why)
    }
}

impl std::error::Error for WorkloadError {}

/// The keys of one mapping. Remembers which were asked for.
pub(super) struct Fields {
    /// With its dot at the end, for messages.
    prefix: String,
    hash: Hash,
    read: BTreeSet<String>,
}

impl Fields {
    pub(super) fn parse(text: &str) -> Result<Self, WorkloadError> {
        let documents = YamlLoader::load_from_str(text)
            .map_err(|error| WorkloadError::new("the file", format!("is no YAML: {error}")))?;
        match documents.into_iter().next() {
            Some(Yaml::Hash(hash)) => Ok(Self::of(String::new(), hash)),
            _ => Err(WorkloadError::new("the file", "has no `key: value` lines")),
        }
    }

    fn of(prefix: String, hash: Hash) -> Self {
        Self { prefix, hash, read: BTreeSet::new() }
    }

    /// `KEY=VALUE`: one of `own` goes below `corelane:`, as does `corelane.KEY`.
    pub(super) fn set(&mut self, setting: &str, own: &[&str]) -> Result<(), WorkloadError> {
        let (key, value) = setting.split_once('=').ok_or_else(|| {
            WorkloadError::new(setting, "is no KEY=VALUE; try --set lingerMilliseconds=5")
        })?;
        let value = YamlLoader::load_from_str(value)
            .ok()
            .and_then(|documents| documents.into_iter().next())
            .ok_or_else(|| WorkloadError::new(key, "the value is no YAML"))?;
        let own_key = key.strip_prefix("corelane.").or_else(|| own.contains(&key).then_some(key));
        match own_key {
            Some(key) => {
                let group = Yaml::String("corelane".to_owned());
                let mut inner = match self.hash.remove(&group) {
                    Some(Yaml::Hash(inner)) => inner,
                    _ => Hash::new(),
                };
                inner.insert(Yaml::String(key.to_owned()), value);
                self.hash.insert(group, Yaml::Hash(inner));
            }
            None => drop(self.hash.insert(Yaml::String(key.to_owned()), value)),
        }
        Ok(())
    }

    /// A mapping below this one; empty where there is none.
    pub(super) fn mapping(&mut self, key: &str) -> Result<Self, WorkloadError> {
        let prefix = format!("{}{key}.", self.prefix);
        match self.take(key) {
            None => Ok(Self::of(prefix, Hash::new())),
            Some(Yaml::Hash(hash)) => Ok(Self::of(prefix, hash)),
            Some(_) => Err(self.refused(key, "is a mapping: keys on lines of their own below it")),
        }
    }

    pub(super) fn string(&mut self, key: &str) -> Result<Option<String>, WorkloadError> {
        match self.take(key) {
            None => Ok(None),
            Some(value) => match scalar(&value) {
                Some(text) => Ok(Some(text)),
                None => Err(self.refused(key, "is one word or text")),
            },
        }
    }

    /// Not negative.
    pub(super) fn number(&mut self, key: &str) -> Result<Option<f64>, WorkloadError> {
        let number = match self.take(key) {
            None => return Ok(None),
            Some(Yaml::Integer(number)) => number as f64,
            Some(Yaml::Real(text)) => text.parse().unwrap_or(f64::NAN),
            Some(_) => f64::NAN,
        };
        if number >= 0.0 && number.is_finite() {
            Ok(Some(number))
        } else {
            Err(self.refused(key, "is a number, not below 0"))
        }
    }

    pub(super) fn count(&mut self, key: &str) -> Result<Option<u32>, WorkloadError> {
        let Some(number) = self.number(key)? else { return Ok(None) };
        if number.fract() == 0.0 && number <= f64::from(i32::MAX) {
            Ok(Some(number as u32))
        } else {
            Err(self.refused(key, "is a whole number below 2^31"))
        }
    }

    pub(super) fn boolean(&mut self, key: &str) -> Result<Option<bool>, WorkloadError> {
        match self.take(key) {
            None => Ok(None),
            Some(Yaml::Boolean(value)) => Ok(Some(value)),
            Some(_) => Err(self.refused(key, "is true or false")),
        }
    }

    /// One of some words, in lower or upper case.
    pub(super) fn word<T: Copy>(
        &mut self,
        key: &str,
        words: &[(&str, T)],
    ) -> Result<Option<T>, WorkloadError> {
        let Some(given) = self.string(key)? else { return Ok(None) };
        let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(&given));
        match found {
            Some((_, value)) => Ok(Some(*value)),
            None => {
                let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                Err(self.refused(key, &format!("is one of {}, not {given}", all.join(", "))))
            }
        }
    }

    /// Names with values, all of them text.
    pub(super) fn texts(&mut self, key: &str) -> Result<Vec<(String, String)>, WorkloadError> {
        let inner = self.mapping(key)?;
        let texts = inner.hash.iter().map(|(name, value)| Some((scalar(name)?, scalar(value)?)));
        texts
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| self.refused(key, "has a text for each name"))
    }

    /// Keys that nobody asked for.
    pub(super) fn unread(&self) -> Vec<String> {
        let keys = self.hash.keys().filter_map(Yaml::as_str);
        keys.filter(|key| !self.read.contains(*key)).map(str::to_owned).collect()
    }

    pub(super) fn refused(&self, key: &str, why: &str) -> WorkloadError {
        WorkloadError::new(&format!("{}{key}", self.prefix), why)
    }

    /// A key without a value is as good as none.
    fn take(&mut self, key: &str) -> Option<Yaml> {
        self.read.insert(key.to_owned());
        self.hash.get(&Yaml::String(key.to_owned())).filter(|value| !value.is_null()).cloned()
    }
}

fn scalar(value: &Yaml) -> Option<String> {
    match value {
        Yaml::String(text) | Yaml::Real(text) => Some(text.clone()),
        Yaml::Integer(number) => Some(number.to_string()),
        Yaml::Boolean(value) => Some(value.to_string()),
        _ => None,
    }
}
