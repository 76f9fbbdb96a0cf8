//! The AWS operation of an HTTP request, read from its signature, headers, path and body, in each protocol of AWS.

/// An HTTP request, independent of the HTTP library.
pub trait Request {
    /// `GET`, `POST`, …
    fn method(&self) -> &str;
    /// The path and the query, from the first slash on.
    fn target(&self) -> &str;
    /// The first header with a name, given in lower case.
    fn header(&self, name: &str) -> Option<&str>;
    /// The whole body.
    fn body(&self) -> &[u8];
}

/// The scope of a request's signature: `Credential=<access key>/<date>/<Region>/<service>/aws4_request`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope<'a> {
    /// The access key id.
    pub access_key: &'a str,
    /// The Region.
    pub region: &'a str,
    /// The service's signing name: `iam`, `aps`, `states`.
    pub service: &'a str,
}

impl<'a> Scope<'a> {
    /// The scope of a request's signature; `None` if the request has no signature.
    pub fn of(request: &'a impl Request) -> Option<Self> {
        let (_, scope) = request.header("authorization")?.split_once("Credential=")?;
        let mut parts = scope.split([',', ' ']).next()?.split('/');
        let (access_key, _, region, service) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        Some(Self {
            access_key,
            region,
            service,
        })
    }
}

/// The operation of a request to a service, named as in IAM: `CreateScraper`. For an operation that the functions do
/// not use, it is `<method> <path>`.
pub fn operation(service: &str, request: &impl Request) -> String {
    let path = request.target().split('?').next().unwrap_or_default();
    let operation = match service {
        "dynamodb" | "logs" | "organizations" | "ssm" | "states" => {
            let target = request.header("x-amz-target");
            target.and_then(|target| target.rsplit('.').next()).map(str::to_owned)
        }
        "iam" | "sts" | "ec2" => parameter(request, "Action"),
        "s3" => match request.method() {
            "GET" => Some("GetObject".to_owned()),
            "PUT" => Some("PutObject".to_owned()),
            _ => None,
        },
        _ => rest_operation(request.method(), path).map(str::to_owned),
    };
    operation.unwrap_or_else(|| format!("{} {path}", request.method()))
}

/// A parameter of a request in the query protocol.
pub fn parameter(request: &impl Request, name: &str) -> Option<String> {
    form_urlencoded::parse(request.body()).find_map(|(key, value)| (key == name).then(|| value.into_owned()))
}

/// Whether an operation changes a resource.
pub fn writes(operation: &str) -> bool {
    let verbs = ["Attach", "Create", "Delete", "Detach", "Put", "Tag", "Untag", "Update"];
    verbs.iter().any(|verb| operation.starts_with(verb))
}

/// The operations of AMP and EKS that the functions use (the services' API references).
fn rest_operation(method: &str, path: &str) -> Option<&'static str> {
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    let (collection, id, part) = (parts.next()?, parts.next(), parts.next());
    Some(match (method, collection, id) {
        ("GET", "scraperconfiguration", None) => "GetDefaultScraperConfiguration",
        ("GET", "scrapers", None) => "ListScrapers",
        ("POST", "scrapers", None) => "CreateScraper",
        ("PUT", "scrapers", Some(_)) if part == Some("logging-configuration") => "UpdateScraperLoggingConfiguration",
        ("GET", "scrapers", Some(_)) if part == Some("logging-configuration") => "DescribeScraperLoggingConfiguration",
        ("DELETE", "scrapers", Some(_)) if part == Some("logging-configuration") => "DeleteScraperLoggingConfiguration",
        ("GET", "clusters", Some(_)) if part == Some("access-entries") && path.ends_with("/access-policies") => {
            "ListAssociatedAccessPolicies"
        }
        ("GET", "clusters", Some(_)) if part == Some("access-entries") => "DescribeAccessEntry",
        ("GET", "scrapers", Some(_)) => "DescribeScraper",
        ("PUT", "scrapers", Some(_)) => "UpdateScraper",
        ("DELETE", "scrapers", Some(_)) => "DeleteScraper",
        ("GET", "workspaces", Some(_)) if part == Some("policy") => "DescribeResourcePolicy",
        ("GET", "workspaces", Some(_)) if part == Some("configuration") => "DescribeWorkspaceConfiguration",
        ("GET", "workspaces", Some(_)) => "DescribeWorkspace",
        ("POST", "workspaces", Some(_)) => "QueryMetrics",
        ("POST", "tags", Some(_)) => "TagResource",
        ("DELETE", "tags", Some(_)) => "UntagResource",
        ("GET", "clusters", None) => "ListClusters",
        ("POST", "clusters", Some(_)) if part == Some("update-config") => "UpdateClusterConfig",
        ("GET", "clusters", Some(_)) if part == Some("updates") => "DescribeUpdate",
        ("GET", "clusters", Some(_)) => "DescribeCluster",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct TestRequest {
        line: &'static str,
        service: &'static str,
        target: Option<&'static str>,
        body: &'static str,
        authorization: String,
    }

    impl TestRequest {
        fn new(line: &'static str, service: &'static str, target: Option<&'static str>, body: &'static str) -> Self {
            let authorization =
                format!("AWS4-HMAC-SHA256 Credential=KEY/20260101/us-west-2/{service}/aws4_request, Signature=0");
            Self {
                line,
                service,
                target,
                body,
                authorization,
            }
        }
    }

    impl Request for TestRequest {
        fn method(&self) -> &str {
            self.line.split(' ').next().unwrap()
        }
        fn target(&self) -> &str {
            self.line.split(' ').nth(1).unwrap()
        }
        fn header(&self, name: &str) -> Option<&str> {
            match name {
                "authorization" => Some(&self.authorization),
                "x-amz-target" => self.target,
                _ => None,
            }
        }
        fn body(&self) -> &[u8] {
            self.body.as_bytes()
        }
    }

    #[test]
    fn the_operation_of_a_request_is_found_in_every_protocol() {
        let query = "Version=2010-05-08&Action=GetRole&RoleName=a";
        for (line, service, target, body, expected) in [
            ("POST /", "iam", None, query, "GetRole"),
            ("POST /", "dynamodb", Some("DynamoDB_20120810.PutItem"), "{}", "PutItem"),
            (
                "GET /bucket/configurations/a.yaml?versionId=1",
                "s3",
                None,
                "",
                "GetObject",
            ),
            ("PUT /bucket/replaced/a.yaml", "s3", None, "a: b", "PutObject"),
            ("POST /", "ssm", Some("AmazonSSM.GetParameter"), "{}", "GetParameter"),
            ("GET /scrapers?status=ACTIVE", "aps", None, "", "ListScrapers"),
            ("DELETE /scrapers/s-1", "aps", None, "", "DeleteScraper"),
            ("POST /tags/arn%3Aaws", "aps", None, "{}", "TagResource"),
            (
                "POST /workspaces/ws-1/api/v1/query",
                "aps",
                None,
                "query=up",
                "QueryMetrics",
            ),
            ("GET /workspaces/ws-1", "aps", None, "", "DescribeWorkspace"),
            ("GET /workspaces/ws-1/policy", "aps", None, "", "DescribeResourcePolicy"),
            (
                "GET /workspaces/ws-1/configuration",
                "aps",
                None,
                "",
                "DescribeWorkspaceConfiguration",
            ),
            ("GET /clusters/demo", "eks", None, "", "DescribeCluster"),
            ("GET /clusters/demo/updates/1", "eks", None, "", "DescribeUpdate"),
            (
                "POST /clusters/demo/update-config",
                "eks",
                None,
                "{}",
                "UpdateClusterConfig",
            ),
            ("GET /nodes?x=1", "eks", None, "", "GET /nodes"),
            ("POST /", "iam", None, "", "POST /"),
        ] {
            let request = TestRequest::new(line, service, target, body);
            assert_eq!(operation(request.service, &request), expected, "{line}");
        }
    }

    #[test]
    fn the_scope_of_a_signature_is_parsed() {
        let mut request = TestRequest::new("POST /", "iam", None, "");
        let scope = Scope {
            access_key: "KEY",
            region: "us-west-2",
            service: "iam",
        };
        assert_eq!(Scope::of(&request), Some(scope));
        request.authorization = "Bearer x".to_owned();
        assert_eq!(Scope::of(&request), None);
    }
}
