//! What differs between a resource and its desired state.

use serde::Serialize;
use serde_json::Value;

/// A part of a resource that differs from the desired state.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// The part, such as `trust policy`.
    pub path: &'static str,
    /// Its value now. `null` if it is missing.
    pub before: Value,
    /// Its desired value.
    pub after: Value,
}
