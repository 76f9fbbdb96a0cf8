//! One account of AWS or of a local cloud, with somebody's credentials, and the clients of its services.

use anyhow::{Context, Result, bail};
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, SharedCredentialsProvider},
};
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_types::retry::RetryConfig;
use serde_json::Value;
use std::time::SystemTime;

const FORM: [(&str, &str); 1] = [("content-type", "application/x-www-form-urlencoded")];

/// An account in a Region.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its id: 12 digits. Empty where it was not looked up.
    pub id: String,
    /// The Region that regional calls go to.
    pub region: String,
    credentials: Credentials,
    config: SdkConfig,
    edge: ampxa::aws::Account,
}

impl Account {
    /// The root of an account of a local cloud, whose access key is the account's id.
    pub fn new(url: &str, id: &str, region: &str) -> Self {
        Self::with_credentials(url, id, region, Credentials::new(id, "test", None, None, "local cloud"))
    }

    /// The account of a person's credentials, found as every AWS tool finds them: environment, profile, `aws login`,
    /// IAM Identity Center, credential process. Its id stays empty.
    ///
    /// An endpoint's URL only says where the calls go: the credentials stay the person's.
    ///
    /// # Errors
    /// When there are no credentials.
    pub async fn of_person(endpoint_url: Option<&str>, region: &str) -> Result<Self> {
        let mut loader = configured().region(Region::new(region.to_owned()));
        if let Some(url) = endpoint_url {
            loader = loader.endpoint_url(url);
        }
        let config = loader.load().await;
        let none = "no AWS credentials were found: set AWS_PROFILE, or sign in with `aws login` or `aws sso login`";
        let provider = config.credentials_provider().context(none)?;
        let credentials = provider.provide_credentials().await.context(none)?;
        Ok(Self::reached("", config, credentials))
    }

    /// Another account, by assuming one of its roles.
    ///
    /// # Errors
    /// When the role may not be assumed.
    pub async fn assume(&self, id: &str, role: &str) -> Result<Self> {
        let partition = ampxa::arn::Partition::of_region(&self.region);
        let arn = format!("arn:{partition}:iam::{id}:role/{role}");
        let assume = self
            .sts()
            .assume_role()
            .role_arn(&arn)
            .role_session_name("ampxa-person");
        let answer = assume
            .send()
            .await
            .map_err(ampxa::Error::from)
            .with_context(|| format!("{arn} cannot be assumed"))?;
        let session = answer.credentials.context("no credentials were answered")?;
        let (key, secret, token) = (session.access_key_id, session.secret_access_key, session.session_token);
        let credentials = Credentials::new(key, secret, Some(token), None, "assumed role");
        let provider = SharedCredentialsProvider::new(credentials.clone());
        let config = self.config.to_builder().credentials_provider(provider).build();
        Ok(Self::reached(id, config, credentials))
    }

    /// The same account in another Region.
    #[must_use]
    pub fn at(&self, region: &str) -> Self {
        let config = self.config.to_builder().region(Region::new(region.to_owned())).build();
        Self::reached(&self.id, config, self.credentials.clone())
    }

    /// The query API of its workspaces.
    pub fn samples(&self) -> ampxa::aws::aps::Client {
        self.edge.samples()
    }

    /// An account reached with somebody's credentials.
    pub fn with_credentials(url: &str, id: &str, region: &str, credentials: impl Into<Credentials>) -> Self {
        let credentials = credentials.into();
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region.to_owned()))
            .endpoint_url(url)
            .credentials_provider(SharedCredentialsProvider::new(credentials.clone()))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
            .build();
        Self::reached(id, config, credentials)
    }

    fn reached(id: &str, config: SdkConfig, credentials: Credentials) -> Self {
        Self {
            id: id.to_owned(),
            region: config.region().map_or("", AsRef::as_ref).to_owned(),
            edge: ampxa::aws::Account::new(config.clone()),
            credentials,
            config,
        }
    }

    /// Identity and Access Management.
    pub fn iam(&self) -> aws_sdk_iam::Client {
        self.edge.iam()
    }

    /// Amazon Managed Service for Prometheus.
    pub fn amp(&self) -> aws_sdk_amp::Client {
        self.edge.amp()
    }

    /// Elastic Kubernetes Service.
    pub fn eks(&self) -> aws_sdk_eks::Client {
        self.edge.eks()
    }

    /// Security Token Service.
    pub fn sts(&self) -> aws_sdk_sts::Client {
        aws_sdk_sts::Client::new(&self.config)
    }

    /// CloudWatch Logs.
    pub fn logs(&self) -> aws_sdk_cloudwatchlogs::Client {
        aws_sdk_cloudwatchlogs::Client::new(&self.config)
    }

    /// Step Functions.
    pub fn sfn(&self) -> aws_sdk_sfn::Client {
        aws_sdk_sfn::Client::new(&self.config)
    }

    /// An EC2 call that only tests and demonstrations make, such as `DescribeSubnets` of all.
    ///
    /// # Errors
    /// When the cloud refuses it.
    pub fn ec2(&self, action: &str, parameters: &[(&str, &str)]) -> Result<String> {
        self.query_api("ec2", "2016-11-15", action, parameters)
    }

    /// A CloudFormation call: for stacks that are made by the thousand, where a process of the AWS
    /// CLI for each would take too long.
    ///
    /// # Errors
    /// When the cloud refuses it.
    pub fn cloudformation(&self, action: &str, parameters: &[(&str, &str)]) -> Result<String> {
        self.query_api("cloudformation", "2010-05-15", action, parameters)
    }

    /// A CloudWatch call.
    ///
    /// # Errors
    /// When the cloud refuses it.
    pub fn cloudwatch(&self, action: &str, parameters: &[(&str, &str)]) -> Result<String> {
        self.query_api("monitoring", "2010-08-01", action, parameters)
    }

    /// A call of an API that speaks JSON, by its target, such as `AmazonSSM.PutParameter`.
    ///
    /// # Errors
    /// When the cloud refuses it.
    pub fn json_api(&self, service: &str, target: &str, body: &Value) -> Result<Value> {
        let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target)];
        let text = self.signed(service, "/", &headers, &body.to_string())?;
        Ok(if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text)?
        })
    }

    /// Invokes a function with an event and waits; answers what it returned, or its error as an object with
    /// `errorType` and `errorMessage`.
    ///
    /// # Errors
    /// When the cloud refuses the call.
    pub fn invoke(&self, function: &str, event: &Value) -> Result<Value> {
        let path = format!("/2015-03-31/functions/{function}/invocations");
        let text = self.signed("lambda", &path, &[], &event.to_string())?;
        Ok(serde_json::from_str(&text)?)
    }

    fn query_api(&self, service: &str, version: &str, action: &str, parameters: &[(&str, &str)]) -> Result<String> {
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("Action", action)
            .append_pair("Version", version)
            .extend_pairs(parameters)
            .finish();
        self.signed(service, "/", &FORM, &body)
    }

    /// Asks a workspace of this account a PromQL question; answers the vector's elements.
    ///
    /// # Errors
    /// When the cloud refuses the question.
    pub fn query(&self, workspace_id: &str, promql: &str) -> Result<Vec<Value>> {
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("query", promql)
            .finish();
        let path = format!("/workspaces/{workspace_id}/api/v1/query");
        let text = self.signed("aps", &path, &FORM, &body)?;
        let answer: Value = serde_json::from_str(&text)?;
        let result = answer["data"]["result"]
            .as_array()
            .context("the query's answer has no result")?;
        Ok(result.clone())
    }

    /// Makes a bucket, or an object of one: `/bucket` or `/bucket/key`.
    ///
    /// # Errors
    /// When the cloud refuses it.
    pub fn put(&self, path: &str, content: Vec<u8>) -> Result<()> {
        self.send(
            "PUT",
            "s3",
            path,
            &[("x-amz-content-sha256", "UNSIGNED-PAYLOAD")],
            &content,
        )?;
        Ok(())
    }

    /// POSTs a signed request; answers what came back.
    fn signed(&self, service: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Result<String> {
        self.send("POST", service, path, headers, body.as_bytes())
    }

    fn send(&self, method: &str, service: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<String> {
        let url = format!("{}{path}", self.config.endpoint_url().unwrap_or_default());
        let identity = self.credentials.clone().into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(service)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()?
            .into();
        // Amazon S3 takes a payload without a digest, which functions of a hundred megabytes need not have.
        let body_to_sign = match service {
            "s3" => SignableBody::UnsignedPayload,
            _ => SignableBody::Bytes(body),
        };
        let request = SignableRequest::new(method, &url, headers.iter().copied(), body_to_sign)?;
        let (instructions, _) = sign(request, &parameters)?.into_parts();
        let mut call = ureq::http::Request::builder().method(method).uri(&url);
        for (name, value) in headers.iter().copied().chain(instructions.headers()) {
            call = call.header(name, value);
        }
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut answer = agent.run(call.body(body)?)?;
        let text = answer.body_mut().read_to_string()?;
        if !answer.status().is_success() {
            bail!("{service} {path} answered {}: {text}", answer.status());
        }
        Ok(text)
    }
}

/// The Region of the environment or the profile, if there is one.
pub async fn configured_region() -> Option<String> {
    let config = configured().load().await;
    config.region().map(ToString::to_string)
}

/// The configuration that every AWS tool finds, over this program's own connection.
fn configured() -> ConfigLoader {
    let tls =
        aws_smithy_http_client::tls::Provider::Rustls(aws_smithy_http_client::tls::rustls_provider::CryptoMode::Ring);
    let http = aws_smithy_http_client::Builder::new().tls_provider(tls).build_https();
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        // Many accounts are asked side by side, and IAM throttles.
        .retry_config(RetryConfig::standard().with_max_attempts(8))
}
