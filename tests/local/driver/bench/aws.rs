//! A stand-in for AWS that denies every call and records it.

use crate::http::{self, Request, Server};
use std::{
    io, mem,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

/// The response of STS to a caller that may not assume a role (STS API reference, "Common Errors").
const ACCESS_DENIED: &[u8] = br#"<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <Error>
    <Type>Sender</Type>
    <Code>AccessDenied</Code>
    <Message>User: arn:aws:sts::111111111111:assumed-role/bench/bench is not authorized to perform: sts:AssumeRole</Message>
  </Error>
  <RequestId>00000000-0000-4000-8000-000000000000</RequestId>
</ErrorResponse>
"#;

/// The same response of a service with the AWS JSON protocol.
const ACCESS_DENIED_IN_JSON: &[u8] =
    br#"{"__type": "AccessDeniedException", "message": "User: arn:aws:sts::111111111111:assumed-role/bench/bench is not authorized"}"#;

/// The first signed call of a step: AssumeRole, or PutItem or GetParameter in the hub.
pub const FIRST_CALL: &str = "signed first call";

/// The stand-in for AWS. It stops on drop.
#[derive(Debug)]
pub struct Aws {
    server: Server,
    calls: Arc<Mutex<Vec<String>>>,
}

impl Aws {
    /// Starts the stand-in on a free port.
    pub fn start() -> io::Result<Self> {
        let calls = Arc::<Mutex<Vec<String>>>::default();
        let recorded = Arc::clone(&calls);
        let server = Server::start(move |request, connection| {
            let call = name(&request);
            recorded.lock().unwrap_or_else(PoisonError::into_inner).push(call);
            let (kind, body) = match request.header("x-amz-target") {
                Some(_) => ("application/x-amz-json-1.1", ACCESS_DENIED_IN_JSON),
                None => ("text/xml", ACCESS_DENIED),
            };
            let headers = [("content-type", kind), ("x-amzn-requestid", "bench")];
            http::answer(connection, "403 Forbidden", &headers, body)
        })?;
        Ok(Self { server, calls })
    }

    /// The address to connect to.
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// Returns the calls since the last use of this function: [`FIRST_CALL`], or a description.
    pub fn take_calls(&self) -> Vec<String> {
        mem::take(&mut *self.calls.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn name(request: &Request) -> String {
    let signed_for = |service: &str| {
        request.header("authorization").is_some_and(|value| {
            value.starts_with("AWS4-HMAC-SHA256 ") && value.contains(&format!("/{service}/aws4_request"))
        })
    };
    let body = String::from_utf8_lossy(&request.body);
    let assumes = signed_for("sts") && body.split('&').any(|field| field == "Action=AssumeRole");
    let puts = signed_for("dynamodb") && request.header("x-amz-target") == Some("DynamoDB_20120810.PutItem");
    let reads = signed_for("ssm") && request.header("x-amz-target") == Some("AmazonSSM.GetParameter");
    if assumes || puts || reads {
        FIRST_CALL.to_owned()
    } else {
        format!("{} {body}", request.line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(authorization: &str) -> String {
        let text =
            format!("POST / HTTP/1.1\r\nauthorization: {authorization}\r\ncontent-length: 17\r\n\r\nAction=AssumeRole");
        name(&Request::read(&mut text.as_bytes()).unwrap().unwrap())
    }

    #[test]
    fn only_a_signed_call_is_a_first_call() {
        let scope = "AWS4-HMAC-SHA256 Credential=A/20260101/us-west-2/sts/aws4_request, Signature=0";
        assert_eq!(call(scope), FIRST_CALL);
        assert_eq!(call(""), "POST / HTTP/1.1 Action=AssumeRole");
    }
}
