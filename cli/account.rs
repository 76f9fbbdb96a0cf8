//! An account of AWS or of a local cloud, with credentials, and the clients of its services.

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
    /// The account id, 12 digits; empty if it was not requested from STS.
    pub id: String,
    /// The Region of regional calls.
    pub region: String,
    credentials: Credentials,
    config: SdkConfig,
    clients: ampxa::aws::Account,
}

impl Account {
    /// The root user of an account of a local cloud, which accepts the account id as access key.
    pub fn new(url: &str, id: &str, region: &str) -> Self {
        Self::with_credentials(url, id, region, Credentials::new(id, "test", None, None, "local cloud"))
    }

    /// The account of the user's credentials, from the default provider chain: environment, profile, `aws login`,
    /// IAM Identity Center, credential process. Its id stays empty.
    ///
    /// An endpoint URL changes the destination of the calls, not the credentials.
    ///
    /// # Errors
    /// If no credentials are found.
    pub async fn of_user(endpoint_url: Option<&str>, region: &str) -> Result<Self> {
        let mut loader = configured().region(Region::new(region.to_owned()));
        if let Some(url) = endpoint_url {
            loader = loader.endpoint_url(url);
        }
        let config = loader.load().await;
        let none = "no AWS credentials were found: set AWS_PROFILE, or sign in with `aws login` or `aws sso login`";
        let provider = config.credentials_provider().context(none)?;
        let credentials = provider.provide_credentials().await.context(none)?;
        Ok(Self::from_config("", config, credentials))
    }

    /// Another account, entered by assuming one of its roles, such as `role/<name>`.
    ///
    /// # Errors
    /// If the role cannot be assumed.
    pub async fn assume(&self, id: &str, role: &str) -> Result<Self> {
        let partition = ampxa::arn::Partition::of_region(&self.region);
        let arn = format!("arn:{partition}:iam::{id}:{role}");
        let assume = self
            .sts()
            .assume_role()
            .role_arn(&arn)
            .role_session_name("ampxa-person");
        let response = assume
            .send()
            .await
            .map_err(ampxa::Error::from)
            .with_context(|| format!("{arn} cannot be assumed"))?;
        let session = response.credentials.context("STS returned no credentials")?;
        let (key, secret, token) = (session.access_key_id, session.secret_access_key, session.session_token);
        let credentials = Credentials::new(key, secret, Some(token), None, "assumed role");
        let provider = SharedCredentialsProvider::new(credentials.clone());
        let config = self.config.to_builder().credentials_provider(provider).build();
        Ok(Self::from_config(id, config, credentials))
    }

    /// The same account in another Region.
    #[must_use]
    pub fn at(&self, region: &str) -> Self {
        let config = self.config.to_builder().region(Region::new(region.to_owned())).build();
        Self::from_config(&self.id, config, self.credentials.clone())
    }

    /// The credentials.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// The endpoint URL, if it is not that of AWS.
    pub fn endpoint_url(&self) -> Option<&str> {
        self.config.endpoint_url()
    }

    /// The configuration of the clients.
    pub(crate) fn config(&self) -> &SdkConfig {
        &self.config
    }

    /// The query API of AMP workspaces.
    pub fn samples(&self) -> ampxa::aws::aps::Client {
        self.clients.query_client()
    }

    /// An account of a local cloud, with the given credentials.
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
        Self::from_config(id, config, credentials)
    }

    fn from_config(id: &str, config: SdkConfig, credentials: Credentials) -> Self {
        Self {
            id: id.to_owned(),
            region: config.region().map_or("", AsRef::as_ref).to_owned(),
            clients: ampxa::aws::Account::new(config.clone()),
            credentials,
            config,
        }
    }

    /// A bucket.
    pub fn bucket(&self, name: &str) -> ampxa::aws::s3::Bucket {
        self.clients.bucket(name)
    }

    /// Identity and Access Management.
    pub fn iam(&self) -> aws_sdk_iam::Client {
        self.clients.iam()
    }

    /// Amazon Managed Service for Prometheus.
    pub fn amp(&self) -> aws_sdk_amp::Client {
        self.clients.amp()
    }

    /// Elastic Kubernetes Service.
    pub fn eks(&self) -> aws_sdk_eks::Client {
        self.clients.eks()
    }

    /// Security Token Service.
    pub fn sts(&self) -> aws_sdk_sts::Client {
        aws_sdk_sts::Client::new(&self.config)
    }

    /// CloudWatch Logs.
    pub fn logs(&self) -> aws_sdk_cloudwatchlogs::Client {
        aws_sdk_cloudwatchlogs::Client::new(&self.config)
    }

    /// Systems Manager.
    pub fn ssm(&self) -> aws_sdk_ssm::Client {
        self.clients.ssm()
    }

    /// AWS Organizations.
    pub fn organizations(&self) -> aws_sdk_organizations::Client {
        self.clients.organizations()
    }

    /// Step Functions.
    pub fn sfn(&self) -> aws_sdk_sfn::Client {
        aws_sdk_sfn::Client::new(&self.config)
    }

    /// Makes a call of the EC2 query API that only tests and the demo need, such as `DescribeSubnets` without ids.
    ///
    /// # Errors
    /// If the call fails.
    pub fn ec2(&self, action: &str, parameters: &[(&str, &str)]) -> Result<String> {
        self.query_api("ec2", "2016-11-15", action, parameters)
    }

    /// Makes a CloudFormation call. For tests that create thousands of stacks: a process of the AWS CLI for each stack
    /// would be too slow.
    ///
    /// # Errors
    /// If the call fails.
    pub fn cloudformation(&self, action: &str, parameters: &[(&str, &str)]) -> Result<String> {
        self.query_api("cloudformation", "2010-05-15", action, parameters)
    }

    /// Makes a CloudWatch call.
    ///
    /// # Errors
    /// If the call fails.
    pub fn cloudwatch(&self, action: &str, parameters: &[(&str, &str)]) -> Result<String> {
        self.query_api("monitoring", "2010-08-01", action, parameters)
    }

    /// Calls an API of the AWS JSON protocol; `target` is the operation, such as `AmazonSSM.PutParameter`.
    ///
    /// # Errors
    /// If the call fails.
    pub fn json_api(&self, service: &str, target: &str, body: &Value) -> Result<Value> {
        let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target)];
        let text = self.signed(service, "/", &headers, &body.to_string())?;
        Ok(if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text)?
        })
    }

    /// Invokes a Lambda function and waits. Returns its output, or its error as an object with `errorType` and
    /// `errorMessage`.
    ///
    /// # Errors
    /// If the call fails.
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

    /// Sends a PromQL query to a workspace of this account; returns the elements of the result vector.
    ///
    /// # Errors
    /// If the query fails.
    pub fn query(&self, workspace_id: &str, promql: &str) -> Result<Vec<Value>> {
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("query", promql)
            .finish();
        let path = format!("/workspaces/{workspace_id}/api/v1/query");
        let text = self.signed("aps", &path, &FORM, &body)?;
        let response: Value = serde_json::from_str(&text)?;
        let result = response["data"]["result"]
            .as_array()
            .context("the response of the query has no result")?;
        Ok(result.clone())
    }

    /// Creates an S3 bucket or object: `/bucket` or `/bucket/key`.
    ///
    /// # Errors
    /// If the call fails.
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

    /// Sends a signed POST request; returns the body of the response.
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
        // Amazon S3 accepts an unsigned payload. That saves a digest over functions of a hundred megabytes.
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
        let mut response = agent.run(call.body(body)?)?;
        let text = response.body_mut().read_to_string()?;
        if !response.status().is_success() {
            bail!("{service} {path} answered {}: {text}", response.status());
        }
        Ok(text)
    }
}

/// The Region of the environment or the profile, if one is configured.
pub async fn configured_region() -> Option<String> {
    let config = configured().load().await;
    config.region().map(ToString::to_string)
}

/// The default configuration of AWS tools, with this program's HTTP client.
fn configured() -> ConfigLoader {
    let tls =
        aws_smithy_http_client::tls::Provider::Rustls(aws_smithy_http_client::tls::rustls_provider::CryptoMode::Ring);
    let http = aws_smithy_http_client::Builder::new().tls_provider(tls).build_https();
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        // Many accounts are read in parallel, and IAM throttles.
        .retry_config(RetryConfig::standard().with_max_attempts(8))
}
