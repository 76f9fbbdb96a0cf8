//! Environment variables, which the hub's template sets for each function.

use std::{env, fmt};

/// An environment variable that is not set.
#[derive(PartialEq, Eq, thiserror::Error)]
#[error("The environment variable {0} is not set. infra/template.yaml sets it for this function.")]
pub struct Missing(&'static str);

/// The message of `Display`: Rust prints the error of `main` with `Debug`.
impl fmt::Debug for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The value of a variable that must be set. It may be empty.
///
/// # Errors
/// [`Missing`] if it is not set.
pub fn required(name: &'static str) -> Result<String, Missing> {
    env::var(name).map_err(|_| Missing(name))
}

/// Whether a variable is `true`, as in the AWS SDKs. It need not be set.
pub fn flag(name: &'static str) -> bool {
    env::var(name).is_ok_and(|value| value.eq_ignore_ascii_case("true"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_for_a_missing_variable_names_it() {
        let error = required("AMPXA_UNKNOWN").unwrap_err();
        let message =
            "The environment variable AMPXA_UNKNOWN is not set. infra/template.yaml sets it for this function.";
        assert_eq!(error.to_string(), message);
        assert_eq!(format!("{error:?}"), message);
    }
}
