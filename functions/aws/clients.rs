//! Clients, built once and kept between invocations.
//!
//! What is left out of the SDK's defaults is most of a cold start: the chain of credential
//! providers (Lambda gives credentials in its environment), and parsing a machine's hundreds of
//! certificate authorities (AWS's endpoints chain to five).

use super::request_log;
use crate::{
    arn::{ClusterArn, Partition},
    error::Error,
    names::{SOURCE_PROVISIONER, TARGET_PROVISIONER},
    policy,
    task::Task,
};
use aws_config::{AppName, BehaviorVersion, Region, SdkConfig, environment::EnvironmentVariableCredentialsProvider};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_types::{retry::RetryConfig, timeout::TimeoutConfig};
use std::{
    collections::HashMap,
    env,
    sync::Mutex,
    time::{Duration, SystemTime},
};

/// The certificate authorities that AWS's endpoints chain to: Amazon Root CA 1 to 4 and Starfield
/// Services Root CA G2 (<https://www.amazontrust.com/repository/>).
const AMAZON_ROOTS: &[u8] = include_bytes!("amazon-roots.pem");

/// Credentials that end sooner than this are not used again. A step takes seconds.
const LEAST_VALIDITY: Duration = Duration::from_secs(300);

/// The way to AWS from a function: its own credentials, and those of the provisioners it assumed.
#[derive(Debug)]
pub struct Aws {
    config: SdkConfig,
    http: Option<SharedHttpClient>,
    step: &'static str,
    assumed: Mutex<HashMap<String, Credentials>>,
}

/// The clients of one account and Region.
#[derive(Debug, Clone)]
pub struct Account(SdkConfig);

/// How long a call is waited for, and how often it is made: a configuration that lacks only whom to
/// call and as whom.
pub fn timeouts() -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
        .retry_config(RetryConfig::standard())
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(Duration::from_secs(3))
                .operation_attempt_timeout(Duration::from_secs(10))
                .build(),
        )
        .build()
}

impl Aws {
    /// Reads Lambda's environment; calls nobody.
    ///
    /// `AMPXA_TRUST=SYSTEM` trusts the system's certificate authorities instead of AWS's own: for
    /// networks behind an inspecting proxy. It is always so in China, where AWS's endpoints are
    /// operated by others. `AWS_ENDPOINT_URL` is honoured as in every AWS tool.
    pub fn from_environment(step: &'static str) -> Self {
        let region = env::var("AWS_REGION").unwrap_or_default();
        let system = env::var("AMPXA_TRUST").is_ok_and(|trust| trust == "SYSTEM") || region.starts_with("cn-");
        let roots = if system {
            TrustStore::default()
        } else {
            TrustStore::empty().with_pem_certificate(AMAZON_ROOTS)
        };
        let mut tls = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring));
        // A store of valid certificates always builds; without it the default stands.
        if let Ok(context) = TlsContext::builder().with_trust_store(roots).build() {
            tls = tls.tls_context(context);
        }
        let mut config = timeouts()
            .into_builder()
            .region(Region::new(region))
            .credentials_provider(SharedCredentialsProvider::new(
                EnvironmentVariableCredentialsProvider::new(),
            ))
            .http_client(tls.build_https());
        config.set_endpoint_url(env::var("AWS_ENDPOINT_URL").ok());
        Self::new(config.build(), step)
    }

    /// The way to AWS with a configuration of its own; [`Aws::from_environment`] makes the usual one.
    ///
    /// Every call says in its user agent which step made it: CloudTrail keeps that. Every answer is noted for the
    /// step's line in the log.
    pub fn new(config: SdkConfig, step: &'static str) -> Self {
        let http = config.http_client();
        let mut config = config.into_builder();
        config.set_app_name(AppName::new(format!("ampxa-{step}")).ok());
        config.set_http_client(http.clone().map(|http| request_log::noting(http, None)));
        Self {
            config: config.build(),
            http,
            step,
            assumed: Mutex::default(),
        }
    }

    /// The hub itself, as the function's own role.
    pub fn hub(&self) -> Account {
        Account(self.config.clone())
    }

    /// The pair's source account, as its provisioner.
    ///
    /// # Errors
    /// `AccessDenied` when the provisioner does not exist or does not trust this function.
    pub async fn source<K>(&self, task: &Task<K>) -> Result<Account, Error> {
        self.source_of(&task.pair.cluster).await
    }

    /// A cluster's account, as its provisioner.
    ///
    /// # Errors
    /// `AccessDenied` when the provisioner does not exist or does not trust this function.
    pub async fn source_of(&self, cluster: &ClusterArn) -> Result<Account, Error> {
        self.source_at(cluster.account(), cluster.region()).await
    }

    /// A source account in a Region, as its provisioner.
    ///
    /// # Errors
    /// `AccessDenied` when the provisioner does not exist or does not trust this function.
    pub async fn source_at(&self, account: &str, region: &str) -> Result<Account, Error> {
        let partition = Partition::of_region(region);
        let provisioner = format!("arn:{partition}:iam::{account}:role/{SOURCE_PROVISIONER}");
        self.assume(&provisioner, region, "infra/source-account.yaml").await
    }

    /// The pair's target account, as its provisioner.
    ///
    /// # Errors
    /// `AccessDenied` when the provisioner does not exist or does not trust this function.
    pub async fn target<K>(&self, task: &Task<K>) -> Result<Account, Error> {
        let provisioner = task.pair.target_arn("role", TARGET_PROVISIONER);
        let region = task.pair.workspace.region();
        self.assume(&provisioner, region, "infra/target-account.yaml").await
    }

    /// The pair's workspace, to be queried by a session of the target provisioner that may do nothing else.
    ///
    /// # Errors
    /// `AccessDenied` when the provisioner does not exist or does not trust this function.
    pub async fn samples<K>(&self, task: &Task<K>) -> Result<super::aps::Client, Error> {
        let provisioner = task.pair.target_arn("role", TARGET_PROVISIONER);
        let region = task.pair.workspace.region();
        let only = policy::queries(&task.pair.workspace).to_string();
        let account = self.session(&provisioner, Some(&only), region, "infra/target-account.yaml");
        Ok(account.await?.samples())
    }

    async fn assume(&self, provisioner: &str, region: &str, template: &str) -> Result<Account, Error> {
        self.session(provisioner, None, region, template).await
    }

    /// A session of a provisioner, narrowed by a policy if there is one.
    async fn session(
        &self,
        provisioner: &str,
        policy: Option<&str>,
        region: &str,
        template: &str,
    ) -> Result<Account, Error> {
        let key = format!("{provisioner}{}", policy.unwrap_or_default());
        let credentials = match self.kept(&key) {
            Some(credentials) => credentials,
            None => {
                let fresh = self.fresh(provisioner, policy).await.map_err(|error| match error {
                    Error::AccessDenied(why) => Error::AccessDenied(format!(
                        "The provisioner {provisioner} cannot be assumed. Deploy {template} in its account, \
                         with this hub's account id. {why}"
                    )),
                    other => other,
                })?;
                self.keep(key, &fresh);
                fresh
            }
        };
        let mut config = self
            .config
            .to_builder()
            .region(Region::new(region.to_owned()))
            .credentials_provider(SharedCredentialsProvider::new(credentials));
        let account = provisioner.split(':').nth(4);
        config.set_http_client(self.http.clone().map(|http| request_log::noting(http, account)));
        Ok(Account(config.build()))
    }

    async fn fresh(&self, provisioner: &str, policy: Option<&str>) -> Result<Credentials, Error> {
        let session = aws_sdk_sts::Client::new(&self.config)
            .assume_role()
            .role_arn(provisioner)
            .role_session_name(format!("ampxa-{}", self.step))
            .set_policy(policy.map(str::to_owned))
            .send()
            .await?
            .credentials
            .ok_or_else(|| {
                Error::Transient(format!("sts:AssumeRole of {provisioner} answered without credentials."))
            })?;
        Ok(Credentials::new(
            session.access_key_id,
            session.secret_access_key,
            Some(session.session_token),
            SystemTime::try_from(session.expiration).ok(),
            "ampxa",
        ))
    }

    fn kept(&self, session: &str) -> Option<Credentials> {
        let assumed = self.assumed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let credentials = assumed.get(session)?;
        let ends = credentials.expiry()?;
        (ends > SystemTime::now() + LEAST_VALIDITY).then(|| credentials.clone())
    }

    fn keep(&self, session: String, credentials: &Credentials) {
        let mut assumed = self.assumed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        assumed.insert(session, credentials.clone());
    }
}

impl Account {
    /// An account that is reached with an existing configuration: for tests.
    pub fn new(config: SdkConfig) -> Self {
        Self(config)
    }

    /// The query API of workspaces.
    pub fn samples(&self) -> super::aps::Client {
        super::aps::Client::new(&self.0)
    }

    /// Identity and Access Management.
    pub fn iam(&self) -> aws_sdk_iam::Client {
        aws_sdk_iam::Client::new(&self.0)
    }

    /// Amazon Managed Service for Prometheus.
    pub fn amp(&self) -> aws_sdk_amp::Client {
        aws_sdk_amp::Client::new(&self.0)
    }

    /// DynamoDB.
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        aws_sdk_dynamodb::Client::new(&self.0)
    }

    /// Step Functions.
    pub fn sfn(&self) -> aws_sdk_sfn::Client {
        aws_sdk_sfn::Client::new(&self.0)
    }

    /// Systems Manager.
    pub fn ssm(&self) -> aws_sdk_ssm::Client {
        aws_sdk_ssm::Client::new(&self.0)
    }

    /// AWS Organizations.
    pub fn organizations(&self) -> aws_sdk_organizations::Client {
        aws_sdk_organizations::Client::new(&self.0)
    }

    /// Elastic Kubernetes Service.
    pub fn eks(&self) -> aws_sdk_eks::Client {
        aws_sdk_eks::Client::new(&self.0)
    }

    /// Elastic Compute Cloud: the few calls that are needed of it.
    pub fn ec2(&self) -> super::ec2::Client {
        super::ec2::Client::new(&self.0)
    }
}
