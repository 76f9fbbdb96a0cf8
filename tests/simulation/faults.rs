//! What goes wrong, where and how often.

use crate::aws::{Answer, Call, Refusal, refused};

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The service says: slower.
    Throttled,
    /// The service fails.
    Broken,
    /// The connection is lost before the call arrives.
    CutBefore,
    /// The connection is lost after the effect.
    CutAfter,
    /// Access denied.
    Denied,
    /// The answer never comes; the effect does, sooner or later.
    Slow,
    /// The function is killed before the call arrives.
    KilledBefore,
    /// The function is killed after the effect.
    KilledAfter,
}

impl Kind {
    pub const ALL: [Self; 8] = [
        Self::Throttled,
        Self::Broken,
        Self::CutBefore,
        Self::CutAfter,
        Self::Denied,
        Self::Slow,
        Self::KilledBefore,
        Self::KilledAfter,
    ];

    /// The refusal that it is, in the service's own words.
    pub fn refusal(self, call: &Call) -> Option<Answer> {
        let (status, code, message) = match (self, call.service.as_str()) {
            (Self::Throttled, "iam" | "sts") => (400, "Throttling", "Rate exceeded"),
            (Self::Throttled, "ec2") => (503, "RequestLimitExceeded", "Request limit exceeded."),
            (Self::Throttled, "dynamodb" | "states") => (400, "ThrottlingException", "Rate exceeded"),
            (Self::Throttled, _) => (429, "ThrottlingException", "Rate exceeded"),
            (Self::Broken, "iam") => (500, "ServiceFailure", "The request failed."),
            (Self::Broken, "sts" | "ec2") => (500, "InternalError", "An internal error has occurred."),
            (Self::Broken, "dynamodb" | "states") => (500, "InternalServerError", "An internal error has occurred."),
            (Self::Broken, _) => (500, "InternalServerException", "An internal error has occurred."),
            (Self::Denied, "iam" | "sts") => (403, "AccessDenied", "User is not authorized to perform this."),
            (Self::Denied, "ec2") => (403, "UnauthorizedOperation", "You are not authorized."),
            (Self::Denied, "dynamodb" | "states") => (400, "AccessDeniedException", "User is not authorized."),
            (Self::Denied, _) => (403, "AccessDeniedException", "User is not authorized."),
            _ => return None,
        };
        Some(refused(&call.service, &Refusal(status, code, message.to_owned())))
    }
}

/// The call of an invocation itself: Step Functions asks Lambda.
pub const INVOKE: &str = "Invoke";

/// A fault that is planned.
#[derive(Debug, Clone)]
pub struct Fault {
    /// Which execution, in the order of their start.
    pub execution: usize,
    /// Only in this state of the machine.
    pub state: Option<String>,
    /// Only at this action, [`INVOKE`] for the invocation itself.
    pub action: Option<String>,
    /// How many calls pass before it.
    pub after: usize,
    /// How many calls it strikes.
    pub times: usize,
    pub kind: Kind,
    /// How many calls it has seen.
    pub seen: usize,
}

impl Fault {
    /// At the n-th call of an execution, from 0.
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

    /// At the calls of an action in a state, from the n-th on.
    pub fn of(execution: usize, state: &str, action: &str, nth: usize, times: usize, kind: Kind) -> Self {
        Self {
            state: Some(state.to_owned()),
            action: Some(action.to_owned()),
            times,
            ..Self::at(execution, nth, kind)
        }
    }

    /// Whether it strikes this call.
    pub fn strikes(&mut self, execution: usize, state: &str, action: &str) -> bool {
        let meant = self.execution == execution
            && self.state.as_deref().is_none_or(|name| name == state)
            && self.action.as_deref().is_none_or(|name| name == action);
        if !meant {
            return false;
        }
        self.seen += 1;
        self.seen > self.after && self.seen - self.after <= self.times
    }

    pub fn has_struck(&self) -> bool {
        self.seen > self.after
    }
}
