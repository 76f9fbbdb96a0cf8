//! The one error of every step: six names, told apart by what should happen next.

use lambda_runtime::Diagnostic;

/// Why a step did not do its work.
///
/// A variant's name is what the state machines match in `Retry` and what an execution fails
/// under; its message is a sentence that a person can act on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The request is wrong. Never retried; nothing was touched.
    #[error("{0}")]
    InvalidRequest(String),
    /// The account or the cluster misses a pre-condition that a person must mend.
    #[error("{0}")]
    NotReady(String),
    /// Throttled, lost on the way, or AWS's own fault: the same call would succeed later.
    #[error("{0}")]
    Transient(String),
    /// IAM or AMP does not see yet what was just made: the same call would succeed in seconds.
    #[error("{0}")]
    NotVisibleYet(String),
    /// Something stands in our place that is not ours. It is left alone.
    #[error("{0}")]
    Conflict(String),
    /// AWS denied access: a role or policy is missing or too narrow.
    #[error("{0}")]
    AccessDenied(String),
    /// A quota of AWS is reached.
    #[error("{0}")]
    QuotaExceeded(String),
}

impl Error {
    /// The name that the state machines match.
    pub fn name(&self) -> &'static str {
        match self {
            Self::InvalidRequest(_) => "InvalidRequest",
            Self::NotReady(_) => "NotReady",
            Self::Transient(_) => "Transient",
            Self::NotVisibleYet(_) => "NotVisibleYet",
            Self::Conflict(_) => "Conflict",
            Self::AccessDenied(_) => "AccessDenied",
            Self::QuotaExceeded(_) => "QuotaExceeded",
        }
    }

    /// A refusal that begins with the field it is about, as every `InvalidRequest` does.
    pub fn invalid(field: &str, why: impl std::fmt::Display) -> Self {
        Self::InvalidRequest(format!("{field}: {why}"))
    }
}

/// Lambda hands `error_type` to Step Functions as the error's name.
impl From<Error> for Diagnostic {
    fn from(error: Error) -> Self {
        Self {
            error_type: error.name().to_owned(),
            error_message: error.to_string(),
        }
    }
}
