//! The environment variables that the hub's template gives the functions.

use std::env;

/// A variable that the template does not set.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("The environment variable {0} is missing. infra/template.yaml sets it for this function.")]
pub struct Missing(&'static str);

/// The value of a variable that must be set; it may be empty.
///
/// # Errors
/// [`Missing`], at the function's init.
pub fn required(name: &'static str) -> Result<String, Missing> {
    env::var(name).map_err(|_| Missing(name))
}
