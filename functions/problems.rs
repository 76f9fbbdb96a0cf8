//! Prerequisites that are not met. A check that finds one does not end the others, so that a person learns of all at once.

use crate::error::Error;

/// The prerequisites that are not met.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<Error>);

impl Problems {
    /// Notes the problem of a check, and returns its value if it has none.
    ///
    /// # Errors
    /// An error that says nothing about a prerequisite: `Transient` and `NotVisibleYet`.
    pub(crate) fn note<T>(&mut self, checked: Result<T, Error>) -> Result<Option<T>, Error> {
        match checked {
            Ok(value) => Ok(Some(value)),
            Err(error @ (Error::Transient(_) | Error::NotVisibleYet(_))) => Err(error),
            Err(error) => {
                self.0.push(error);
                Ok(None)
            }
        }
    }

    /// All of them, in the order of the checks.
    pub(crate) fn all(&self) -> &[Error] {
        &self.0
    }

    /// Whether a check has found one.
    ///
    /// # Errors
    /// The problems, as one error with the name of the first.
    pub(crate) fn into_result(self) -> Result<(), Error> {
        let mut problems = self.0.into_iter();
        let Some(first) = problems.next() else {
            return Ok(());
        };
        let further = problems.map(|problem| format!("\nAlso {}: {problem}", problem.name()));
        let further: String = further.collect();
        Err(first.with_text(&further))
    }
}
