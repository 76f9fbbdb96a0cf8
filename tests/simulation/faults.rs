//! Faults of the simulation: what fails, at which calls, and how often.

use crate::aws::{Call, Response, ServiceError, error_response};

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The service throttles the call.
    Throttled,
    /// The service fails with an internal error.
    ServerError,
    /// The connection is lost before the service receives the call.
    DisconnectedBefore,
    /// The connection is lost after the call took effect.
    DisconnectedAfter,
    /// The service denies access.
    AccessDenied,
    /// The call takes effect after a delay, but no response arrives.
    NoResponse,
    /// The function is killed before the service receives the call.
    KilledBefore,
    /// The function is killed after the call took effect.
    KilledAfter,
}

impl Kind {
    pub const ALL: [Self; 8] = [
        Self::Throttled,
        Self::ServerError,
        Self::DisconnectedBefore,
        Self::DisconnectedAfter,
        Self::AccessDenied,
        Self::NoResponse,
        Self::KilledBefore,
        Self::KilledAfter,
    ];

    /// The service's own error response for this fault; `None` if the fault is not an error response.
    pub fn error_response(self, call: &Call) -> Option<Response> {
        let (status, code, message) = match (self, call.service.as_str()) {
            (Self::Throttled, "iam" | "sts") => (400, "Throttling", "Rate exceeded"),
            (Self::Throttled, "s3") => (503, "SlowDown", "Reduce your request rate."),
            (Self::Throttled, "ec2") => (503, "RequestLimitExceeded", "Request limit exceeded."),
            (Self::Throttled, "dynamodb" | "states") => (400, "ThrottlingException", "Rate exceeded"),
            (Self::Throttled, _) => (429, "ThrottlingException", "Rate exceeded"),
            (Self::ServerError, "iam") => (500, "ServiceFailure", "The request failed."),
            (Self::ServerError, "sts" | "ec2" | "s3") => (500, "InternalError", "An internal error has occurred."),
            (Self::ServerError, "dynamodb" | "states") => {
                (500, "InternalServerError", "An internal error has occurred.")
            }
            (Self::ServerError, _) => (500, "InternalServerException", "An internal error has occurred."),
            (Self::AccessDenied, "iam" | "sts" | "s3") => {
                (403, "AccessDenied", "User is not authorized to perform this.")
            }
            (Self::AccessDenied, "ec2") => (403, "UnauthorizedOperation", "You are not authorized."),
            (Self::AccessDenied, "dynamodb" | "states") => (400, "AccessDeniedException", "User is not authorized."),
            (Self::AccessDenied, _) => (403, "AccessDeniedException", "User is not authorized."),
            _ => return None,
        };
        let error = ServiceError(status, code, message.to_owned());
        Some(error_response(&call.service, &error))
    }
}

/// The action of an invocation itself: Step Functions calls Lambda.
pub const INVOKE: &str = "Invoke";

/// A planned fault.
#[derive(Debug, Clone)]
pub struct Fault {
    /// The index of the execution, in the order of their start.
    pub execution: usize,
    /// If set, only calls in this state of the machine match.
    pub state: Option<String>,
    /// If set, only calls of this action match; [`INVOKE`] is the invocation itself.
    pub action: Option<String>,
    /// The number of matching calls before the first one that fails.
    pub after: usize,
    /// The number of calls that fail.
    pub times: usize,
    pub kind: Kind,
    /// The number of matching calls so far.
    pub seen: usize,
}

impl Fault {
    /// A fault at the n-th call of an execution, counted from 0.
    pub fn at(execution: usize, nth: usize, kind: Kind) -> Self {
        Self {
            execution,
            state: None,
            action: None,
            after: nth,
            times: 1,
            kind,
            seen: 0,
        }
    }

    /// A fault at the calls of an action in a state, from the n-th call on, counted from 0.
    pub fn of(execution: usize, state: &str, action: &str, nth: usize, times: usize, kind: Kind) -> Self {
        Self {
            state: Some(state.to_owned()),
            action: Some(action.to_owned()),
            times,
            ..Self::at(execution, nth, kind)
        }
    }

    /// Counts a call, and returns whether the fault applies to it.
    pub fn applies_to(&mut self, execution: usize, state: &str, action: &str) -> bool {
        let matches = self.execution == execution
            && self.state.as_deref().is_none_or(|name| name == state)
            && self.action.as_deref().is_none_or(|name| name == action);
        if !matches {
            return false;
        }
        self.seen += 1;
        self.seen > self.after && self.seen - self.after <= self.times
    }

    pub fn was_injected(&self) -> bool {
        self.seen > self.after
    }
}
