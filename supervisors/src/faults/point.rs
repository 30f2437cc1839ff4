//! One fault point as it is armed: where it fires and what happens then. Pure.

use super::{
    grammar::{Term, chain},
    syntax::SyntaxError,
};
use crate::glob::glob;
use std::fmt;

/// Where, and what: the name of the sites, the processes, the conditions, and the tasks.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    name: String,
    path: Option<String>,
    conditions: Vec<(String, String)>,
    pub(super) each: bool,
    pub(super) terms: Vec<Term>,
}

impl Point {
    /// At the sites whose name fits the glob `name`, whoever runs them, `tasks` happen: see the [grammar](super#grammar).
    pub fn new(name: &str, tasks: &str) -> Result<Self, SyntaxError> {
        let terms = chain(tasks)?;
        Ok(Self { terms, ..Self::named(name) })
    }

    pub(super) fn named(name: &str) -> Self {
        Self { name: name.into(), path: None, conditions: Vec::new(), each: false, terms: Vec::new() }
    }

    /// Only in processes whose path fits this glob: `*` stands for any part of one name, `**` for any number of names.
    pub fn under(mut self, path_glob: &str) -> Self {
        self.path = Some(path_glob.into());
        self
    }

    /// Only at sites that give `key`, with a value that looks so; `value` is a glob. All conditions have to hold.
    pub fn when(mut self, key: &str, value: &str) -> Self {
        self.conditions.push((key.into(), value.into()));
        self
    }

    /// Counts (`3*panic`) are for each process path by itself; without it they are shared, as in `fail`, and then which of
    /// several processes gets the last one is decided by who comes first.
    pub fn each(mut self) -> Self {
        self.each = true;
        self
    }

    pub(super) fn names(&self, site: &str) -> bool {
        self.name == site || self.name.contains('*') && glob(&self.name, site)
    }

    /// `path`: empty outside of processes.
    pub(super) fn covers(&self, site: &str, path: &str) -> bool {
        self.names(site) && self.path.as_ref().is_none_or(|under| glob(under, path))
    }

    /// All conditions do.
    pub(super) fn holds(&self, keys: &[(&str, String)]) -> bool {
        let holds = |(key, value): &(String, String)| keys.iter().any(|(k, v)| k == key && glob(value, v));
        self.conditions.iter().all(holds)
    }
}

/// As in a list of points.
impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.path {
            write!(f, "{path}:")?;
        }
        f.write_str(&self.name)?;
        for (n, (key, value)) in self.conditions.iter().enumerate() {
            let before = if n == 0 { "[" } else { "," };
            write!(f, "{before}{key}={value}")?;
        }
        if !self.conditions.is_empty() {
            f.write_str("]")?;
        }
        for (n, term) in self.terms.iter().enumerate() {
            let before = if n == 0 { "=" } else { "->" };
            write!(f, "{before}{term}")?;
        }
        Ok(())
    }
}
