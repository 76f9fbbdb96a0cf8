//! Which call of AWS a request is: told by what every signed request carries, in each protocol.

use crate::http::Request;
use std::fmt;

/// A call of AWS by one of the functions.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Call {
    /// The function, as its user agent says: `create-scraper`.
    pub function: String,
    /// The service, by its signing name: `aps`.
    pub service: String,
    /// The operation: `CreateScraper`.
    pub operation: String,
}

impl Call {
    /// The call that a request is; nothing for one that no function signed.
    pub fn of(request: &Request) -> Option<Self> {
        let service = scope(request)?.nth(3)?.to_owned();
        let operation = match service.as_str() {
            "dynamodb" | "states" => request.header("x-amz-target")?.rsplit('.').next()?.to_owned(),
            "iam" | "sts" | "ec2" => parameter(request, "Action")?,
            _ => rest_operation(&request.line),
        };
        Some(Self {
            function: function(request)?,
            service,
            operation,
        })
    }

    /// Whether it changes something that the next try can see.
    pub fn writes(&self) -> bool {
        let verbs = ["Attach", "Create", "Delete", "Detach", "Put", "Tag", "Untag", "Update"];
        verbs.iter().any(|verb| self.operation.starts_with(verb))
    }

    /// The call as IAM would name it: `aps:CreateScraper`.
    pub fn action(&self) -> String {
        format!("{}:{}", self.service, self.operation)
    }
}

impl fmt::Display for Call {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        write!(to, "{}/{}:{}", self.function, self.service, self.operation)
    }
}

/// The access key that signed a request.
pub fn access_key(request: &Request) -> Option<&str> {
    scope(request)?.next()
}

/// A parameter of a request in the query protocol.
pub fn parameter(request: &Request, name: &str) -> Option<String> {
    form_urlencoded::parse(&request.body).find_map(|(key, value)| (key == name).then(|| value.into_owned()))
}

/// `access key/date/Region/service/aws4_request`, in parts.
fn scope(request: &Request) -> Option<impl Iterator<Item = &str>> {
    let (_, scope) = request.header("authorization")?.split_once("Credential=")?;
    Some(scope.split([',', ' ']).next()?.split('/'))
}

/// The SDK writes the application's name, which is `ampxa-` and the step, as `app/…`.
fn function(request: &Request) -> Option<String> {
    let agents = [request.header("user-agent"), request.header("x-amz-user-agent")];
    let mut words = agents.into_iter().flatten().flat_map(str::split_whitespace);
    words
        .find_map(|word| word.strip_prefix("app/ampxa-"))
        .map(str::to_owned)
}

/// The operations of AMP and EKS that the functions use (the services' API references).
fn rest_operation(line: &str) -> String {
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split('?').next().unwrap_or_default();
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    match (method, parts.next(), parts.next()) {
        ("GET", Some("scraperconfiguration"), None) => "GetDefaultScraperConfiguration",
        ("GET", Some("scrapers"), None) => "ListScrapers",
        ("POST", Some("scrapers"), None) => "CreateScraper",
        ("GET", Some("scrapers"), Some(_)) => "DescribeScraper",
        ("PUT", Some("scrapers"), Some(_)) => "UpdateScraper",
        ("DELETE", Some("scrapers"), Some(_)) => "DeleteScraper",
        ("GET", Some("workspaces"), Some(_)) => "DescribeWorkspace",
        ("POST", Some("workspaces"), Some(_)) => "QueryMetrics",
        ("POST", Some("tags"), Some(_)) => "TagResource",
        ("GET", Some("clusters"), Some(_)) => "DescribeCluster",
        _ => return format!("{method} {path}"),
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(line: &str, service: &str, more: &str, body: &str) -> Request {
        let text = format!(
            "{line} HTTP/1.1\r\nauthorization: AWS4-HMAC-SHA256 Credential=KEY/20260101/us-west-2/{service}/aws4_request, \
             SignedHeaders=host, Signature=0\r\nuser-agent: aws-sdk-rust/1 os/linux app/ampxa-create-scraper lang/rust\r\n\
             {more}content-length: {}\r\n\r\n{body}",
            body.len()
        );
        Request::read(&mut text.as_bytes()).unwrap().unwrap()
    }

    fn action(line: &str, service: &str, more: &str, body: &str) -> String {
        let call = Call::of(&request(line, service, more, body)).unwrap();
        assert_eq!(call.function, "create-scraper");
        call.action()
    }

    #[test]
    fn a_call_is_known_in_every_protocol() {
        let query = "Version=2010-05-08&Action=GetRole&RoleName=a";
        assert_eq!(action("POST /", "iam", "", query), "iam:GetRole");
        let target = "x-amz-target: DynamoDB_20120810.PutItem\r\n";
        assert_eq!(action("POST /", "dynamodb", target, "{}"), "dynamodb:PutItem");
        assert_eq!(action("GET /scrapers?status=ACTIVE", "aps", "", ""), "aps:ListScrapers");
        assert_eq!(action("DELETE /scrapers/s-1", "aps", "", ""), "aps:DeleteScraper");
        assert_eq!(action("POST /tags/arn%3Aaws", "aps", "", "{}"), "aps:TagResource");
        let query = "POST /workspaces/ws-1/api/v1/query";
        assert_eq!(action(query, "aps", "", "query=up"), "aps:QueryMetrics");
        assert_eq!(action("GET /clusters/demo", "eks", "", ""), "eks:DescribeCluster");
        assert_eq!(action("GET /nodes", "eks", "", ""), "eks:GET /nodes");
    }

    #[test]
    fn the_key_that_signed_is_known() {
        assert_eq!(access_key(&request("POST /", "iam", "", "")), Some("KEY"));
    }

    #[test]
    fn a_request_without_a_signature_or_a_step_is_no_call() {
        let unsigned = "POST / HTTP/1.1\r\nuser-agent: app/ampxa-x\r\n\r\n";
        assert_eq!(
            Call::of(&Request::read(&mut unsigned.as_bytes()).unwrap().unwrap()),
            None
        );
        let mut foreign =
            "POST / HTTP/1.1\r\nauthorization: Credential=A/B/C/sts/D\r\ncontent-length: 17\r\n\r\nAction=AssumeRole"
                .as_bytes();
        assert_eq!(Call::of(&Request::read(&mut foreign).unwrap().unwrap()), None);
    }
}
