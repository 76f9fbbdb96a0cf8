//! The simulated AWS: it parses the HTTP requests of the SDK's clients, and responds in AWS's own formats from a few
//! tables in memory.

pub mod amp;
pub mod eks_ec2;
pub mod iam;
pub mod locks;

use crate::world::{Invocation, World};
use ampxa::pair::Pair;
use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        http::{HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
        runtime_components::RuntimeComponents,
    },
};
use aws_smithy_types::{DateTime, body::SdkBody, date_time::Format};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, Weak},
    time::{Duration, SystemTime},
};
use support::wire::{self, Scope};

/// The access key id of the functions' own roles.
const HUB_KEY: &str = "AKIAHUB";
/// The prefix of the access key id of a session of a provisioner; the account id follows.
const ASSUMED_KEY: &str = "ASIA";
/// The same prefix for a session of a reader.
const READER_KEY: &str = "ASIR";
/// The same prefix for a session whose policy allows only queries of one workspace.
const QUERY_KEY: &str = "ASIQ";
/// The number of targets in a cluster that the scraper scrapes.
const TARGETS: u8 = 3;

/// One call, parsed from its HTTP request.
#[derive(Debug, Clone)]
pub struct Call {
    /// The service, as in a signature: `iam`, `aps`, `eks`, `ec2`, `sts`, `dynamodb`, `states`.
    pub service: String,
    /// The action, as in IAM: `CreateRole`.
    pub action: String,
    /// The account that receives the call: an account id, or `hub`.
    pub account: String,
    /// The path behind its first segment, percent-decoded.
    pub id: String,
    /// The fields of a form, or of the query string.
    /// The tag keys of `UntagResource`, which repeats the field.
    pub tag_keys: Vec<String>,
    pub fields: BTreeMap<String, String>,
    /// The JSON body.
    pub body: Value,
}

/// An HTTP response of AWS.
#[derive(Debug, Clone)]
pub struct Response {
    pub status: u16,
    pub error: Option<&'static str>,
    pub body: String,
}

/// An error of AWS: HTTP status, error code, message.
#[derive(Debug, Clone)]
pub struct ServiceError(pub u16, pub &'static str, pub String);

pub type CallResult = Result<String, ServiceError>;

/// The state of the simulated AWS.
#[derive(Debug)]
pub struct Cloud {
    pub region: String,
    /// IAM, by account id.
    pub iam: BTreeMap<String, iam::Iam>,
    pub amp: amp::Amp,
    /// The clusters, by ARN.
    pub clusters: BTreeMap<String, eks_ec2::Cluster>,
    /// Whether the source account allows the preparation of clusters.
    pub may_prepare_clusters: bool,
    /// Whether the source account allows logs of collectors.
    pub may_collect_logs: bool,
    /// The roles that the source account allows to pass.
    pub adoptable_roles: Vec<String>,
    /// Whether the organization denies to assume the roles of pairs.
    pub denies_pair_roles: bool,
    pub locks: locks::Locks,
    /// The objects of the hub's bucket, by key.
    pub objects: BTreeMap<String, String>,
    /// The accounts whose roles cannot be assumed.
    pub unreachable: BTreeSet<String>,
}

/// An HTTP request of the SDK.
struct SdkRequest<'a> {
    request: &'a HttpRequest,
    target: String,
}

impl<'a> SdkRequest<'a> {
    fn new(request: &'a HttpRequest) -> Self {
        let target = request.uri().splitn(4, '/').nth(3).unwrap_or_default();
        Self {
            request,
            target: format!("/{target}"),
        }
    }
}

impl wire::Request for SdkRequest<'_> {
    fn method(&self) -> &str {
        self.request.method()
    }
    fn target(&self) -> &str {
        &self.target
    }
    fn header(&self, name: &str) -> Option<&str> {
        self.request.headers().get(name)
    }
    fn body(&self) -> &[u8] {
        self.request.body().bytes().unwrap_or_default()
    }
}

impl Call {
    /// Parses a request; panics on an unknown one.
    pub fn parse(request: &HttpRequest) -> Self {
        let signed = SdkRequest::new(request);
        let scope = Scope::of(&signed).expect("a signed request");
        let (key, service) = (scope.access_key, scope.service);
        let query_account = key.strip_prefix(QUERY_KEY);
        let reader_account = key.strip_prefix(READER_KEY);
        let account = match key.strip_prefix(ASSUMED_KEY).or(query_account).or(reader_account) {
            Some(account) => account.to_owned(),
            None if key == HUB_KEY => "hub".to_owned(),
            None => panic!("unknown access key id {key}"),
        };
        let bytes = request.body().bytes().unwrap_or_default();
        let uri = request.uri();
        let path_and_query = uri.splitn(4, '/').nth(3).unwrap_or_default();
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        let form = matches!(service, "iam" | "sts" | "ec2") || path.ends_with("/query");
        let encoded = if form { bytes } else { query.as_bytes() };
        let tag_keys = form_urlencoded::parse(encoded)
            .into_owned()
            .filter(|(name, _)| name == "tagKeys");
        let tag_keys = tag_keys.map(|(_, key)| key).collect();
        let fields: BTreeMap<String, String> = form_urlencoded::parse(encoded).into_owned().collect();
        let body = match service {
            "s3" => json!(String::from_utf8_lossy(bytes)),
            _ if form || bytes.is_empty() => Value::Null,
            _ => serde_json::from_slice(bytes).expect("JSON"),
        };
        let (_, id) = match service {
            "s3" => ("", path),
            _ => path.split_once('/').unwrap_or((path, "")),
        };
        let action = wire::operation(service, &signed);
        assert!(!action.contains(' '), "unknown call: {service} {action}");
        assert_eq!(
            query_account.is_some(),
            action == "QueryMetrics",
            "exactly the queries use the session with a session policy: {action}"
        );
        assert!(
            reader_account.is_none() || !wire::writes(&action),
            "a reader calls {action}"
        );
        Self {
            service: service.to_owned(),
            action,
            account,
            id: percent_decode_str(id).decode_utf8_lossy().into_owned(),
            fields,
            tag_keys,
            body,
        }
    }

    /// Whether the call changes a resource of a source or target account. The hub's table and bucket are no such
    /// resources.
    pub fn writes(&self) -> bool {
        !["dynamodb", "s3"].contains(&self.service.as_str()) && wire::writes(&self.action)
    }

    pub fn field(&self, name: &str) -> &str {
        self.fields
            .get(name)
            .unwrap_or_else(|| panic!("{} without the field {name}", self.action))
    }

    /// The resource that the call concerns, for the trace.
    pub fn resource(&self) -> String {
        let role = self.fields.get("RoleName").or(self.fields.get("RoleArn")).cloned();
        role.unwrap_or_else(|| self.id.clone())
    }
}

impl Response {
    pub fn of(service: &str, result: CallResult) -> Self {
        match result {
            Ok(body) => Self {
                status: 200,
                error: None,
                body,
            },
            Err(error) => error_response(service, &error),
        }
    }

    fn to_http(&self) -> HttpResponse {
        let mut response = HttpResponse::new(
            self.status.try_into().expect("a status"),
            SdkBody::from(self.body.as_str()),
        );
        response.headers_mut().insert("x-amzn-requestid", "request-1");
        if let Some(error) = self.error {
            response.headers_mut().insert("x-amzn-errortype", error);
        }
        response
    }
}

/// An error in the service's own format.
pub fn error_response(service: &str, ServiceError(status, code, message): &ServiceError) -> Response {
    let (status, code) = (*status, *code);
    let (error, body) = match service {
        "iam" | "sts" => (
            None,
            format!(
                "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>\
                 <RequestId>r</RequestId></ErrorResponse>"
            ),
        ),
        "s3" => (
            None,
            format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>"),
        ),
        "ec2" => (
            None,
            format!(
                "<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>\
                 <RequestID>r</RequestID></Response>"
            ),
        ),
        "dynamodb" | "states" => {
            let mut body = json!({ "__type": format!("com.amazonaws.{service}#{code}"), "message": message });
            // The message of a failed condition has the old item as JSON on its second line.
            if let Some((sentence, item)) = message.split_once('\n') {
                body["message"] = json!(sentence);
                body["Item"] = serde_json::from_str(item).expect("an item");
            }
            (None, body.to_string())
        }
        _ => (Some(code), json!({ "message": message }).to_string()),
    };
    Response { status, error, body }
}

impl Cloud {
    /// Handles a call.
    pub fn handle(&mut self, call: &Call, world: &World, random: &mut fastrand::Rng, now: Duration) -> CallResult {
        let account = call.account.as_str();
        match call.service.as_str() {
            "sts" => self.assume_role(call, random),
            "iam" if call.resource() == "ampxa-provisioner-source" => self.permission(call),
            "iam" => iam::handle(&mut self.iam, call, &world.setup, random, now),
            "aps" if call.action == "QueryMetrics" => Ok(self.query(call, now)),
            "aps" => self.amp.handle(call, &self.region, account, &world.setup, random, now),
            "eks" => eks_ec2::eks(&mut self.clusters, &self.region, call, now),
            "ec2" => Ok(eks_ec2::ec2(call)),
            // No collector of the simulation reports a failure.
            "logs" => Ok(json!({ "events": [] }).to_string()),
            "s3" => {
                assert_eq!(account, "hub", "{call:?}");
                if call.action == "GetObject" {
                    let missing = || ServiceError(404, "NoSuchKey", "The specified key does not exist.".to_owned());
                    return self.objects.get(&call.id).cloned().ok_or_else(missing);
                }
                let text = call.body.as_str().expect("a text");
                self.objects.insert(call.id.clone(), text.to_owned());
                Ok(String::new())
            }
            "dynamodb" if call.action == "GetItem" => self.locks.get_item(call),
            "dynamodb" => self.locks.put_item(call, now),
            "states" => locks::describe_execution(call, world, random, now),
            other => panic!("unknown service {other}"),
        }
    }
}

impl Cloud {
    /// Credentials whose access key id contains the account id. Some expire so soon that the SDK has to renew them.
    fn assume_role(&self, call: &Call, random: &mut fastrand::Rng) -> CallResult {
        let role = call.field("RoleArn");
        assert_eq!(call.account, "hub", "only the hub's functions call AssumeRole");
        let account = role.split(':').nth(4).expect("an account");
        if self.unreachable.contains(account) {
            return Err(ServiceError(
                403,
                "AccessDenied",
                format!("Not authorized to assume {role}"),
            ));
        }
        let validity = if random.u8(..8) == 0 { 250 } else { 3600 };
        let expires = DateTime::from(SystemTime::now() + Duration::from_secs(validity));
        let expires = expires.fmt(Format::DateTime).expect("a time");
        let key = match call.fields.get("Policy") {
            None if role.contains(":role/ampxa-provisioner-") => ASSUMED_KEY,
            None => {
                assert!(role.contains(":role/ampxa-reader-"), "{role}");
                READER_KEY
            }
            Some(policy) => {
                assert!(policy.contains(r#""Action":"aps:QueryMetrics""#), "{policy}");
                assert!(role.ends_with(":role/ampxa-reader-target"), "{role}");
                QUERY_KEY
            }
        };
        Ok(format!(
            "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>{key}{account}</AccessKeyId>\
         <SecretAccessKey>secret</SecretAccessKey><SessionToken>token</SessionToken><Expiration>{expires}</Expiration>\
         </Credentials></AssumeRoleResult></AssumeRoleResponse>"
        ))
    }

    /// `GetRolePolicy` of the source account's provisioner: a policy that exists if the account allows something.
    fn permission(&self, call: &Call) -> CallResult {
        let (action, policy) = (call.action.as_str(), call.field("PolicyName"));
        assert_eq!(action, "GetRolePolicy");
        let mut document = "%7B%7D".to_owned();
        let is_given = match policy {
            "adopt-scrapers" => {
                let policy = json!({ "Statement": [{ "Action": "iam:PassRole", "Resource": self.adoptable_roles }] });
                document =
                    percent_encoding::utf8_percent_encode(&policy.to_string(), percent_encoding::NON_ALPHANUMERIC)
                        .to_string();
                !self.adoptable_roles.is_empty()
            }
            "prepare-clusters" => self.may_prepare_clusters,
            "collector-logs" => self.may_collect_logs,
            other => panic!("unknown policy {other}"),
        };
        if !is_given {
            let message = format!("The role policy with name {policy} cannot be found.");
            return Err(ServiceError(404, "NoSuchEntity", message));
        }
        Ok(format!(
            "<GetRolePolicyResponse><GetRolePolicyResult><RoleName>ampxa-provisioner-source</RoleName><PolicyName>{policy}\
             </PolicyName><PolicyDocument>{document}</PolicyDocument></GetRolePolicyResult></GetRolePolicyResponse>"
        ))
    }

    /// Whether AMP writes the samples of a scraper: its roles are those of the pair and admit it, or others manage them. IAM
    /// applies a trust policy 30 seconds after its reads show it. AMP does not document which roles it uses during an update,
    /// so both must work.
    pub fn writes_samples(&self, scraper: &amp::Scraper, pair: &Pair, now: Duration) -> bool {
        let state = scraper.state(now);
        let applied = now.saturating_sub(Duration::from_secs(30));
        let trusts = |account: &str, name: &str| {
            let role = self.iam[account].visible(name, applied);
            role.is_some_and(|role| role.trust.to_string().contains(&scraper.arn))
        };
        let admits = |roles: &Value| {
            roles["sourceRoleArn"] != json!(pair.source_role_arn())
                || trusts(pair.cluster.account(), &pair.source_role_name())
                    && trusts(pair.workspace.account(), &pair.target_role_name())
        };
        match state {
            Some("UPDATING") => admits(&scraper.roles) && admits(&scraper.former_roles),
            Some("ACTIVE" | "UPDATE_FAILED") => admits(&scraper.roles),
            _ => false,
        }
    }

    /// `QueryMetrics`: the number of targets whose samples the workspace receives. It receives samples if the pair's
    /// scraper is ACTIVE and both trust policies name it.
    fn query(&self, call: &Call, now: Duration) -> String {
        let (id, _) = call.id.split_once('/').expect("a path below the workspace");
        let workspace = format!("arn:aws:aps:{}:{}:workspace/{id}", self.region, call.account);
        let cluster = call.field("query").split('"').nth(1).expect("a label");
        let pair = Pair {
            cluster: cluster.parse().expect("a cluster"),
            workspace: workspace.parse().expect("a workspace"),
        };
        let trusts = |account: &str, role: &str, scraper: &str| {
            let role = self.iam.get(account).and_then(|iam| iam.current(role));
            role.is_some_and(|role| role.trust.to_string().contains(scraper))
        };
        // A query returns samples of the last five minutes: those that a scraper wrote with its former roles, too.
        let wrote_before = |scraper: &amp::Scraper| {
            let active_since = scraper.states.iter().rev().find(|(since, _)| *since <= now);
            let is_recent = active_since.is_some_and(|(since, _)| now - *since < Duration::from_secs(300));
            is_recent && scraper.former_roles.is_object() && scraper.former_roles != scraper.roles
        };
        let receives = self.amp.existing(now).any(|(scraper, state)| {
            state == "ACTIVE"
                && scraper.yaml().contains(cluster)
                && (scraper.cluster(), scraper.workspace.as_str()) == (cluster, workspace.as_str())
                && (wrote_before(scraper)
                    || !self.denies_pair_roles
                        && trusts(pair.cluster.account(), &pair.source_role_name(), &scraper.arn)
                        && trusts(pair.workspace.account(), &pair.target_role_name(), &scraper.arn))
        });
        let series = receives.then(|| json!({ "metric": {}, "value": [now.as_secs(), TARGETS.to_string()] }));
        let data = json!({ "resultType": "vector", "result": series.into_iter().collect::<Vec<_>>() });
        json!({ "status": "success", "data": data }).to_string()
    }
}

/// The credentials of the hub's functions.
pub fn hub_credentials() -> aws_credential_types::Credentials {
    aws_credential_types::Credentials::new(HUB_KEY, "secret", None, None, "simulation")
}

/// The connection of one sandbox to the simulated AWS.
#[derive(Clone)]
pub struct Connection {
    pub world: Weak<World>,
    /// The invocation that runs in the sandbox now.
    pub current_invocation: Arc<Mutex<Option<Arc<Invocation>>>>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connection")
    }
}

impl HttpClient for Connection {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Connection {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let call = Call::parse(&request);
        let world = self.world.upgrade().expect("the world outlives its functions");
        let invocation = self.current_invocation.lock().unwrap().clone().expect("an invocation");
        HttpConnectorFuture::new(async move {
            match world.send(&invocation, call).await {
                Some(response) => Ok(response.to_http()),
                None => Err(ConnectorError::io(BoxError::from("the connection was lost"))),
            }
        })
    }
}
