//! Collects the problems of a configuration, so that one error names all of them.

use crate::error::Error;
use std::collections::BTreeMap;

/// The most problems that an error lists.
const MAX_LISTED: usize = 20;
/// The most problems that are collected. With aliases, a short text can have many.
const MAX_COLLECTED: usize = 200;

/// What is wrong with a field.
#[derive(Debug)]
pub(super) struct Problem {
    /// The position of the field in the configuration: its index in each of the mappings and lists that contain it.
    pub(super) position: Vec<usize>,
    /// The name of the field, if it is missing.
    pub(super) missing: &'static str,
    /// The path of the field, and what is wrong.
    pub(super) message: String,
}

/// All problems of a configuration.
///
/// A check may be skipped after a problem, but only if the problem has been added: then the configuration is refused.
#[derive(Debug, Default)]
pub(super) struct Problems(BTreeMap<(Vec<usize>, &'static str), String>);

impl Problems {
    /// Whether no more problems are collected. Then their messages need not be computed.
    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= MAX_COLLECTED
    }

    /// Adds a problem, unless the field already has one.
    pub(super) fn add(&mut self, problem: Problem) {
        if !self.is_full() {
            let key = (problem.position, problem.missing);
            self.0.entry(key).or_insert(problem.message);
        }
    }

    /// The value of a result. Adds the problem if there is none.
    pub(super) fn check<T>(&mut self, result: Result<T, Problem>) -> Option<T> {
        result.map_err(|problem| self.add(problem)).ok()
    }

    /// One error with all problems, in the order of the configuration.
    ///
    /// # Errors
    /// `InvalidRequest` if there is a problem. Each line of the message begins with a path.
    pub(super) fn into_result(self) -> Result<(), Error> {
        if self.0.is_empty() {
            return Ok(());
        }
        let at_least = if self.is_full() { "at least " } else { "" };
        let mut lines: Vec<String> = self.0.into_values().collect();
        if lines.len() > MAX_LISTED {
            let more = match lines.split_off(MAX_LISTED).len() {
                1 => "1 more problem is not listed".to_owned(),
                more => format!("{at_least}{more} more problems are not listed"),
            };
            lines.push(format!("{}: {more}", super::FIELD));
        }
        Err(Error::InvalidRequest(lines.join("\n")))
    }
}
