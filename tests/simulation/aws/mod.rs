//! The simulated AWS: what the SDK's clients send is read off the wire, and answered in AWS's own
//! formats from a few tables in memory.

pub mod amp;
mod eks_ec2;
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
    collections::BTreeMap,
    sync::{Arc, Mutex, Weak},
    time::{Duration, SystemTime},
};
use support::wire::{self, Scope};

/// The key id of the functions' own roles.
const HUB_KEY: &str = "AKIAHUB";
/// What the key id of an assumed role begins with; the account follows.
const ASSUMED_KEY: &str = "ASIA";
/// The same for a session that a policy narrows to a workspace's queries.
const NARROW_KEY: &str = "ASIQ";
/// Endpoints that a cluster has.
const ENDPOINTS: u8 = 3;

/// One call, read off the wire.
#[derive(Debug, Clone)]
pub struct Call {
    /// As in a signature: `iam`, `aps`, `eks`, `ec2`, `sts`, `dynamodb`, `states`.
    pub service: String,
    /// As in IAM: `CreateRole`.
    pub action: String,
    /// Who is asked: an account, or `hub`.
    pub account: String,
    /// What stands behind the last slash of the path, percent-decoded.
    pub id: String,
    /// A form's fields, or the query's.
    pub fields: BTreeMap<String, String>,
    /// A JSON body.
    pub body: Value,
}

/// What AWS answers.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub error: Option<&'static str>,
    pub body: String,
}

/// Why AWS refuses: HTTP status, code, message.
#[derive(Debug, Clone)]
pub struct Refusal(pub u16, pub &'static str, pub String);

pub type Answered = Result<String, Refusal>;

/// All that AWS keeps.
#[derive(Debug)]
pub struct Cloud {
    pub region: String,
    /// IAM by account.
    pub iam: BTreeMap<String, iam::Iam>,
    pub amp: amp::Amp,
    /// The cluster's birth, in seconds since the epoch, by ARN.
    pub clusters: BTreeMap<String, f64>,
    pub turns: locks::Turns,
}

/// A request of the SDK.
struct OfTheSdk<'a> {
    request: &'a HttpRequest,
    target: String,
}

impl<'a> OfTheSdk<'a> {
    fn new(request: &'a HttpRequest) -> Self {
        let target = request.uri().splitn(4, '/').nth(3).unwrap_or_default();
        Self {
            request,
            target: format!("/{target}"),
        }
    }
}

impl wire::Request for OfTheSdk<'_> {
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
    /// Reads a request; one that nobody knows panics.
    pub fn read(request: &HttpRequest) -> Self {
        let signed = OfTheSdk::new(request);
        let scope = Scope::of(&signed).expect("a signed request");
        let (key, service) = (scope.access_key, scope.service);
        let narrow = key.strip_prefix(NARROW_KEY);
        let account = match key.strip_prefix(ASSUMED_KEY).or(narrow) {
            Some(account) => account.to_owned(),
            None if key == HUB_KEY => "hub".to_owned(),
            None => panic!("nobody has the key {key}"),
        };
        let bytes = request.body().bytes().unwrap_or_default();
        let uri = request.uri();
        let path_and_query = uri.splitn(4, '/').nth(3).unwrap_or_default();
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        let form = matches!(service, "iam" | "sts" | "ec2") || path.ends_with("/query");
        let encoded = if form { bytes } else { query.as_bytes() };
        let fields: BTreeMap<String, String> = form_urlencoded::parse(encoded).into_owned().collect();
        let body = match form || bytes.is_empty() {
            true => Value::Null,
            false => serde_json::from_slice(bytes).expect("JSON"),
        };
        let (_, id) = path.split_once('/').unwrap_or((path, ""));
        let action = wire::operation(service, &signed);
        assert!(!action.contains(' '), "an unknown call: {service} {action}");
        assert_eq!(
            narrow.is_some(),
            action == "QueryMetrics",
            "a narrow session's {action}"
        );
        Self {
            service: service.to_owned(),
            action,
            account,
            id: percent_decode_str(id).decode_utf8_lossy().into_owned(),
            fields,
            body,
        }
    }

    /// Whether it changes what people have; a turn's row is ours alone.
    pub fn writes(&self) -> bool {
        self.service != "dynamodb" && wire::writes(&self.action)
    }

    pub fn field(&self, name: &str) -> &str {
        self.fields
            .get(name)
            .unwrap_or_else(|| panic!("{} without {name}", self.action))
    }

    /// What it is about, for people.
    pub fn subject(&self) -> String {
        let named = self.fields.get("RoleName").or(self.fields.get("RoleArn")).cloned();
        named.unwrap_or_else(|| self.id.clone())
    }
}

impl Answer {
    pub fn of(service: &str, answered: Answered) -> Self {
        match answered {
            Ok(body) => Self {
                status: 200,
                error: None,
                body,
            },
            Err(refusal) => refused(service, &refusal),
        }
    }

    fn response(&self) -> HttpResponse {
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

/// A refusal in the service's own format.
pub fn refused(service: &str, Refusal(status, code, message): &Refusal) -> Answer {
    let (status, code) = (*status, *code);
    let (error, body) = match service {
        "iam" | "sts" => (
            None,
            format!(
                "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>\
                 <RequestId>r</RequestId></ErrorResponse>"
            ),
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
            // A failed condition carries the row as JSON behind its sentence.
            if let Some((sentence, row)) = message.split_once('\n') {
                body["message"] = json!(sentence);
                body["Item"] = serde_json::from_str(row).expect("a row");
            }
            (None, body.to_string())
        }
        _ => (Some(code), json!({ "message": message }).to_string()),
    };
    Answer { status, error, body }
}

impl Cloud {
    /// Does what a call asks for.
    pub fn take(&mut self, call: &Call, world: &World, random: &mut fastrand::Rng, now: Duration) -> Answered {
        let account = call.account.as_str();
        match call.service.as_str() {
            "sts" => Ok(assume_role(call, random)),
            "iam" => iam::take(&mut self.iam, call, &world.setup, random, now),
            "aps" if call.action == "QueryMetrics" => Ok(self.query(call, now)),
            "aps" => self.amp.take(call, &self.region, account, &world.setup, random, now),
            "eks" => eks_ec2::cluster(&self.clusters, &self.region, call),
            "ec2" => Ok(eks_ec2::ec2(call)),
            "dynamodb" => self.turns.put_item(call, now),
            "states" => locks::describe_execution(call, world, random, now),
            other => panic!("nobody knows the service {other}"),
        }
    }
}

impl Cloud {
    /// Counts the endpoints of a cluster whose samples reach a workspace: its scraper is ACTIVE, and both roles
    /// name it.
    fn query(&self, call: &Call, now: Duration) -> String {
        let (id, _) = call.id.split_once('/').expect("a workspace's API");
        let workspace = format!("arn:aws:aps:{}:{}:workspace/{id}", self.region, call.account);
        let cluster = call.field("query").split('"').nth(1).expect("a label");
        let pair = Pair {
            cluster: cluster.parse().expect("a cluster"),
            workspace: workspace.parse().expect("a workspace"),
        };
        let names = |account: &str, role: &str, scraper: &str| {
            let truth = self.iam.get(account).and_then(|iam| iam.truth(role));
            truth.is_some_and(|role| role.trust.to_string().contains(scraper))
        };
        let arrives = self.amp.there(now).any(|(scraper, state)| {
            state == "ACTIVE"
                && (scraper.cluster(), scraper.workspace.as_str()) == (cluster, workspace.as_str())
                && names(pair.cluster.account(), &pair.source_role_name(), &scraper.arn)
                && names(pair.workspace.account(), &pair.target_role_name(), &scraper.arn)
        });
        let found = arrives.then(|| json!({ "metric": {}, "value": [now.as_secs(), ENDPOINTS.to_string()] }));
        let data = json!({ "resultType": "vector", "result": found.into_iter().collect::<Vec<_>>() });
        json!({ "status": "success", "data": data }).to_string()
    }
}

/// Credentials that tell the account. Some end so soon that a function fetches others.
fn assume_role(call: &Call, random: &mut fastrand::Rng) -> String {
    let role = call.field("RoleArn");
    assert_eq!(call.account, "hub", "only the hub assumes provisioners");
    assert!(role.ends_with("-provisioner"), "{role}");
    let account = role.split(':').nth(4).expect("an account");
    let validity = if random.u8(..8) == 0 { 250 } else { 3600 };
    let ends = DateTime::from(SystemTime::now() + Duration::from_secs(validity));
    let ends = ends.fmt(Format::DateTime).expect("a time");
    let key = match call.fields.get("Policy") {
        None => ASSUMED_KEY,
        Some(policy) => {
            assert!(policy.contains(r#""Action":"aps:QueryMetrics""#), "{policy}");
            NARROW_KEY
        }
    };
    format!(
        "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>{key}{account}</AccessKeyId>\
         <SecretAccessKey>secret</SecretAccessKey><SessionToken>token</SessionToken><Expiration>{ends}</Expiration>\
         </Credentials></AssumeRoleResult></AssumeRoleResponse>"
    )
}

/// What the hub's functions sign with.
pub fn hub_credentials() -> aws_credential_types::Credentials {
    aws_credential_types::Credentials::new(HUB_KEY, "secret", None, None, "simulation")
}

/// The connection of one sandbox to the simulated AWS.
#[derive(Clone)]
pub struct Connection {
    pub world: Weak<World>,
    /// What the sandbox is serving now.
    pub serves: Arc<Mutex<Option<Arc<Invocation>>>>,
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
        let call = Call::read(&request);
        let world = self.world.upgrade().expect("the world lasts longer than its functions");
        let invocation = self.serves.lock().unwrap().clone().expect("an invocation");
        HttpConnectorFuture::new(async move {
            match world.converse(&invocation, call).await {
                Some(answer) => Ok(answer.response()),
                None => Err(ConnectorError::io(BoxError::from("the connection was lost"))),
            }
        })
    }
}
