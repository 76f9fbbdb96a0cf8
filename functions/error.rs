//! The error of every step. Its variants differ in what should happen next.

use lambda_runtime::Diagnostic;

/// The reason why a step failed.
///
/// The state machines match the name of the variant in `Retry`, and an execution fails with it. The message says what
/// is wrong, where, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The request is not valid, or AWS rejected a call. It is not retried.
    #[error("{0}")]
    InvalidRequest(String),
    /// The cluster, its network, its scraper or the workspace does not meet a prerequisite. A person must fix it.
    #[error("{0}")]
    NotReady(String),
    /// The owner of the workspace has not accepted the account of the cluster. The owner must accept it.
    #[error("{0}")]
    NotAccepted(String),
    /// AWS throttled the call, failed or did not respond. The same call can succeed later.
    #[error("{0}")]
    Transient(String),
    /// IAM or AMP does not show a new resource yet. The same call can succeed within seconds.
    #[error("{0}")]
    NotVisibleYet(String),
    /// A resource with the expected name exists without the tags of the pair. It is not changed.
    #[error("{0}")]
    Conflict(String),
    /// AWS denied the call: a role is missing, or a policy does not allow the action.
    #[error("{0}")]
    AccessDenied(String),
    /// A quota of AWS is reached.
    #[error("{0}")]
    QuotaExceeded(String),
}

impl Error {
    /// The name of the error, which the state machines match.
    pub fn name(&self) -> &'static str {
        match self {
            Self::InvalidRequest(_) => "InvalidRequest",
            Self::NotReady(_) => "NotReady",
            Self::NotAccepted(_) => "NotAccepted",
            Self::Transient(_) => "Transient",
            Self::NotVisibleYet(_) => "NotVisibleYet",
            Self::Conflict(_) => "Conflict",
            Self::AccessDenied(_) => "AccessDenied",
            Self::QuotaExceeded(_) => "QuotaExceeded",
        }
    }

    /// The same error with text after its message.
    pub(crate) fn with_text(mut self, text: &str) -> Self {
        let (Self::InvalidRequest(message)
        | Self::NotReady(message)
        | Self::NotAccepted(message)
        | Self::Transient(message)
        | Self::NotVisibleYet(message)
        | Self::Conflict(message)
        | Self::AccessDenied(message)
        | Self::QuotaExceeded(message)) = &mut self;
        message.push_str(text);
        self
    }

    /// An `InvalidRequest` whose message begins with the path of the field.
    pub fn invalid(field: &str, reason: impl std::fmt::Display) -> Self {
        Self::InvalidRequest(format!("{field}: {reason}"))
    }
}

/// Lambda passes `error_type` to Step Functions as the name of the error.
impl From<Error> for Diagnostic {
    fn from(error: Error) -> Self {
        Self {
            error_type: error.name().to_owned(),
            error_message: error.to_string(),
        }
    }
}
