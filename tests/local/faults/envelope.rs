//! AWS's errors on the wire, in the protocol, with the code and the status of each service.

use serde_json::json;

/// What a service says no with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum No {
    /// Called too often.
    Throttled,
    /// A fault of its own.
    Failed,
    /// The caller may not.
    Denied,
}

/// An answer: status line, content type, body, and the error's name for the header of REST-JSON.
#[derive(Debug)]
pub struct Envelope {
    /// `403 Forbidden`.
    pub status: &'static str,
    /// The content type.
    pub kind: &'static str,
    /// The error's code.
    pub code: &'static str,
    /// The body.
    pub body: String,
}

impl Envelope {
    /// A service's answer.
    ///
    /// Codes and statuses: "Common errors" in the API reference of IAM, STS, DynamoDB, Step
    /// Functions and EKS; "Error codes" in EC2's; the shapes of AMP's API model.
    pub fn new(service: &str, operation: &str, no: No) -> Self {
        const LIMIT: &str = "429 Too Many Requests";
        const FAULT: &str = "500 Internal Server Error";
        const FORBIDDEN: &str = "403 Forbidden";
        const BAD: &str = "400 Bad Request";
        let (status, code) = match (service, no) {
            ("iam" | "sts", No::Throttled) => (BAD, "Throttling"),
            ("iam", No::Failed) => (FAULT, "ServiceFailure"),
            ("sts", No::Failed) => (FAULT, "InternalFailure"),
            ("iam" | "sts", No::Denied) => (FORBIDDEN, "AccessDenied"),
            ("ec2", No::Throttled) => ("503 Service Unavailable", "RequestLimitExceeded"),
            ("ec2", No::Failed) => (FAULT, "InternalError"),
            ("ec2", No::Denied) => (FORBIDDEN, "UnauthorizedOperation"),
            ("dynamodb" | "states", No::Throttled) => (BAD, "ThrottlingException"),
            ("dynamodb", No::Failed) => (FAULT, "InternalServerError"),
            ("states", No::Failed) => (FAULT, "InternalFailure"),
            ("dynamodb" | "states", No::Denied) => (BAD, "AccessDeniedException"),
            (_, No::Throttled) => (LIMIT, "ThrottlingException"),
            ("eks", No::Failed) => (FAULT, "ServerException"),
            (_, No::Failed) => (FAULT, "InternalServerException"),
            (_, No::Denied) => (FORBIDDEN, "AccessDeniedException"),
        };
        let message = match no {
            No::Throttled => "Rate exceeded".to_owned(),
            No::Failed => "An internal error occurred.".to_owned(),
            No::Denied => format!("User: fault is not authorized to perform: {service}:{operation}"),
        };
        let (kind, body) = match service {
            "iam" | "sts" => (
                "text/xml",
                format!(
                    "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>\
                     <RequestId>fault</RequestId></ErrorResponse>"
                ),
            ),
            "ec2" => (
                "text/xml",
                format!(
                    "<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>\
                     <RequestID>fault</RequestID></Response>"
                ),
            ),
            "dynamodb" | "states" => (
                "application/x-amz-json-1.0",
                json!({ "__type": format!("com.amazon.coral.service#{code}"), "message": message }).to_string(),
            ),
            _ => ("application/json", json!({ "message": message }).to_string()),
        };
        Self {
            status,
            kind,
            code,
            body,
        }
    }
}
