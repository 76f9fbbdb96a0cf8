//! The calls that a step made, for its line in the log: AWS's support asks for their request ids.

use aws_smithy_runtime_api::client::{
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
    },
    orchestrator::{HttpRequest, HttpResponse},
    runtime_components::RuntimeComponents,
};
use serde::Serialize;
use std::sync::{Mutex, PoisonError};

/// A line holds so many calls at most; what comes after them is left out.
const MOST: usize = 50;

/// A call that was answered.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answered {
    /// The service, as in its signature.
    pub service: String,
    /// What was asked: the operation's name, and of a REST API the method and the kind of thing.
    pub call: String,
    /// The account that was entered for it; nothing for the function's own.
    pub account: Option<String>,
    /// The HTTP status.
    pub status: u16,
    /// AWS's id of the request.
    pub request_id: Option<String>,
}

/// Lambda gives a process one invocation at a time.
static MADE: Mutex<Vec<Answered>> = Mutex::new(Vec::new());

/// The calls since the last time that this was asked.
pub fn take() -> Vec<Answered> {
    std::mem::take(&mut *MADE.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A client that notes every answer of another one, in an account that was entered or in the function's own.
pub(super) fn noting(client: SharedHttpClient, account: Option<&str>) -> SharedHttpClient {
    SharedHttpClient::new(Noting(client, account.map(str::to_owned)))
}

#[derive(Debug)]
struct Noting<C>(C, Option<String>);

impl HttpClient for Noting<SharedHttpClient> {
    fn http_connector(&self, settings: &HttpConnectorSettings, parts: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Noting(self.0.http_connector(settings, parts), self.1.clone()))
    }
}

impl HttpConnector for Noting<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (service, call, account) = (service(&request), call(&request), self.1.clone());
        let answer = self.0.call(request);
        HttpConnectorFuture::new(async move {
            let answer = answer.await?;
            note(service, call, account, &answer);
            Ok(answer)
        })
    }
}

/// The operation: JSON services name it in a header, those that take a form in its first field. REST ones have a
/// method and a path, of which only the first part is kept: the rest names things.
fn call(request: &HttpRequest) -> String {
    if let Some(target) = request.headers().get("x-amz-target") {
        return target.rsplit('.').next().unwrap_or(target).to_owned();
    }
    let fields = form_urlencoded::parse(request.body().bytes().unwrap_or_default()).next();
    if let Some((_, action)) = fields.filter(|(name, _)| name == "Action") {
        return action.into_owned();
    }
    let uri = request.uri();
    let path = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    let path = path.split('?').next().unwrap_or_default();
    let mut parts = path.split('/').skip(1).filter(|part| !part.is_empty());
    let kind = parts.next().unwrap_or_default();
    let rest = if parts.next().is_some() { "/*" } else { "" };
    format!("{} /{kind}{rest}", request.method())
}

/// The service of a signature's scope, `Credential=<key>/<date>/<region>/<service>/aws4_request`; nothing else of
/// it is kept.
fn service(request: &HttpRequest) -> String {
    let signature = request.headers().get("authorization").unwrap_or_default();
    let scope = signature.split("Credential=").nth(1).unwrap_or_default();
    scope.split('/').nth(3).unwrap_or_default().to_owned()
}

fn note(service: String, call: String, account: Option<String>, answer: &HttpResponse) {
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if made.len() < MOST {
        let id = |name| answer.headers().get(name).map(str::to_owned);
        made.push(Answered {
            service,
            call,
            account,
            status: answer.status().as_u16(),
            request_id: id("x-amzn-requestid").or(id("x-amz-request-id")),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_smithy_runtime_api::client::runtime_components::RuntimeComponentsBuilder;
    use aws_smithy_types::body::SdkBody;

    /// Answers every request with a new id.
    #[derive(Debug, Clone)]
    struct Somebody;

    impl HttpClient for Somebody {
        fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
            SharedHttpConnector::new(self.clone())
        }
    }

    impl HttpConnector for Somebody {
        fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
            let mut answer = HttpResponse::new(403.try_into().unwrap(), SdkBody::from("the secret answer"));
            answer.headers_mut().insert("x-amzn-requestid", "id-1");
            HttpConnectorFuture::ready(Ok(answer))
        }
    }

    #[tokio::test]
    async fn an_answer_is_noted_once_and_no_secret_with_it() {
        let client = noting(SharedHttpClient::new(Somebody), Some("222222222222"));
        let parts = RuntimeComponentsBuilder::for_tests().build().unwrap();
        let connector = client.http_connector(&HttpConnectorSettings::builder().build(), &parts);
        for _ in 0..MOST + 1 {
            let mut request = HttpRequest::new(SdkBody::from("Action=GetRole&RoleName=secret"));
            let signature =
                "AWS4-HMAC-SHA256 Credential=AKIASECRET/20260101/us-west-2/iam/aws4_request, Signature=secret";
            request.headers_mut().insert("authorization", signature);
            connector.call(request).await.unwrap();
        }
        let made = take();
        assert_eq!(made.len(), MOST);
        let line = serde_json::to_string(&made[0]).unwrap();
        assert_eq!(
            line,
            r#"{"service":"iam","call":"GetRole","account":"222222222222","status":403,"requestId":"id-1"}"#
        );
        assert_eq!(take(), []);
    }

    #[test]
    fn a_call_is_named_as_its_service_names_it() {
        let asked = |method: &str, uri: &str, target: Option<&'static str>, body: &'static str| {
            let mut request = HttpRequest::new(SdkBody::from(body));
            request.set_method(method).unwrap();
            request.set_uri(uri).unwrap();
            if let Some(target) = target {
                request.headers_mut().insert("x-amz-target", target);
            }
            call(&request)
        };
        let states = Some("AWSStepFunctions.StartExecution");
        let host = "https://a.us-west-2.amazonaws.com";
        assert_eq!(asked("POST", host, states, "{}"), "StartExecution");
        assert_eq!(
            asked("POST", &format!("{host}/"), None, "Action=GetRole&X=Y"),
            "GetRole"
        );
        assert_eq!(
            asked("GET", &format!("{host}/scrapers?maxResults=3"), None, ""),
            "GET /scrapers"
        );
        assert_eq!(
            asked("GET", &format!("{host}/clusters/secret"), None, ""),
            "GET /clusters/*"
        );
        assert_eq!(
            asked("POST", "/workspaces/ws-1/api/v1/query", None, "query=up"),
            "POST /workspaces/*"
        );
    }
}
