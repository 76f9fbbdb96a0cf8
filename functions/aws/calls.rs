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

/// A client that notes every answer of another one.
pub(super) fn noting(client: SharedHttpClient) -> SharedHttpClient {
    SharedHttpClient::new(Noting(client))
}

#[derive(Debug)]
struct Noting<C>(C);

impl HttpClient for Noting<SharedHttpClient> {
    fn http_connector(&self, settings: &HttpConnectorSettings, parts: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Noting(self.0.http_connector(settings, parts)))
    }
}

impl HttpConnector for Noting<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let service = service(&request);
        let answer = self.0.call(request);
        HttpConnectorFuture::new(async move {
            let answer = answer.await?;
            note(service, &answer);
            Ok(answer)
        })
    }
}

/// The service of a signature's scope, `Credential=<key>/<date>/<region>/<service>/aws4_request`; nothing else of
/// it is kept.
fn service(request: &HttpRequest) -> String {
    let signature = request.headers().get("authorization").unwrap_or_default();
    let scope = signature.split("Credential=").nth(1).unwrap_or_default();
    scope.split('/').nth(3).unwrap_or_default().to_owned()
}

fn note(service: String, answer: &HttpResponse) {
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if made.len() < MOST {
        let id = |name| answer.headers().get(name).map(str::to_owned);
        made.push(Answered {
            service,
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
        let client = noting(SharedHttpClient::new(Somebody));
        let parts = RuntimeComponentsBuilder::for_tests().build().unwrap();
        let connector = client.http_connector(&HttpConnectorSettings::builder().build(), &parts);
        for _ in 0..MOST + 1 {
            let mut request = HttpRequest::new(SdkBody::from("the secret question"));
            let signature =
                "AWS4-HMAC-SHA256 Credential=AKIASECRET/20260101/us-west-2/iam/aws4_request, Signature=secret";
            request.headers_mut().insert("authorization", signature);
            connector.call(request).await.unwrap();
        }
        let made = take();
        assert_eq!(made.len(), MOST);
        let line = serde_json::to_string(&made[0]).unwrap();
        assert_eq!(line, r#"{"service":"iam","status":403,"requestId":"id-1"}"#);
        assert_eq!(take(), []);
    }
}
