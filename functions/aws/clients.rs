//! Clients of AWS services, created once for each process of a function.
//!
//! They omit two defaults of the SDK that take most of a cold start: the chain of credential providers (Lambda sets
//! credentials in the environment), and the certificate store of the system (AWS's endpoints chain to five certificate
//! authorities).

use super::request_log::RequestLog;
use crate::{
    arn::{ClusterArn, Partition, WorkspaceArn},
    environment,
    error::Error,
    names::{SOURCE_PROVISIONER, SOURCE_READER, TARGET_PROVISIONER, TARGET_READER, installation},
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
use aws_smithy_types::{error::metadata::ProvideErrorMetadata, retry::RetryConfig, timeout::TimeoutConfig};
use std::{
    collections::HashMap,
    env,
    sync::Mutex,
    time::{Duration, SystemTime},
};

/// The certificate authorities that AWS's endpoints chain to: Amazon Root CA 1 to 4 and Starfield Services Root CA G2
/// (<https://www.amazontrust.com/repository/>).
const AMAZON_ROOTS: &[u8] = include_bytes!("amazon-roots.pem");

/// Cached credentials that expire sooner than this are not used. A step takes seconds.
const MIN_VALIDITY: Duration = Duration::from_secs(300);

/// Creates the clients of a function, with its own role, or with the reader or provisioner of an account. Caches the
/// sessions of these roles.
#[derive(Debug)]
pub struct Aws {
    config: SdkConfig,
    step: &'static str,
    writes: bool,
    assumed: Mutex<HashMap<String, Credentials>>,
}

/// The clients of one account and Region.
#[derive(Debug, Clone)]
pub struct Account {
    config: SdkConfig,
    log: RequestLog,
}

/// Why STS denies to assume the role of an account: the account is closed or has left the organization, or its stack is
/// deleted or does not trust this hub. STS does not tell them apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreachable(pub String);

impl From<Unreachable> for Error {
    fn from(unreachable: Unreachable) -> Self {
        Self::AccessDenied(unreachable.0)
    }
}

/// A client of a generated crate, with the log of calls.
macro_rules! client {
    ($sdk:ident, $config:expr, $log:expr) => {
        $sdk::Client::from_conf($sdk::config::Builder::from($config).interceptor($log.clone()).build())
    };
}

/// A configuration with timeouts and retries, but without Region, credentials and HTTP client.
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
    /// Reads the configuration from the environment of Lambda. Makes no call.
    ///
    /// `AMPXA_TRUST=SYSTEM` trusts the certificate authorities of the system instead of AWS's, for networks behind an
    /// inspecting proxy. `AWS_USE_FIPS_ENDPOINT` and `AWS_USE_DUALSTACK_ENDPOINT` choose the endpoints, and
    /// `AWS_ENDPOINT_URL` overrides the endpoints, as in the AWS CLI.
    ///
    /// # Errors
    /// [`environment::Missing`] if `AWS_REGION` or `AMPXA_TRUST` is not set.
    pub fn from_environment(step: &'static str) -> Result<Self, environment::Missing> {
        let region = environment::required("AWS_REGION")?;
        let system = environment::required("AMPXA_TRUST")? == "SYSTEM";
        let roots = if system {
            TrustStore::default()
        } else {
            TrustStore::empty().with_pem_certificate(AMAZON_ROOTS)
        };
        let mut tls = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring));
        // This cannot fail with valid certificates. If it did, the default trust store would be used.
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
        config.set_use_fips(Some(environment::flag("AWS_USE_FIPS_ENDPOINT")));
        config.set_use_dual_stack(Some(environment::flag("AWS_USE_DUALSTACK_ENDPOINT")));
        config.set_endpoint_url(env::var("AWS_ENDPOINT_URL").ok());
        Ok(Self::new(config.build(), step))
    }

    /// Uses the given configuration. `step` is the name of the step: the user agent of each call contains it, and
    /// CloudTrail records the user agent.
    pub fn new(config: SdkConfig, step: &'static str) -> Self {
        let mut config = config.into_builder();
        config.set_app_name(AppName::new(format!("ampxa-{step}")).ok());
        Self {
            config: config.build(),
            step,
            writes: false,
            assumed: Mutex::default(),
        }
    }

    /// Assumes the provisioners of accounts instead of the readers. The provisioners trust only functions whose role has
    /// the path `/ampxa/write/` (`infra/template.yaml`).
    #[must_use]
    pub fn writing(self) -> Self {
        Self { writes: true, ..self }
    }

    /// The Region of the hub.
    fn region(&self) -> &str {
        self.config.region().map_or("", AsRef::as_ref)
    }

    /// The hub, with the role of the function.
    pub fn hub(&self) -> Account {
        Account::new(self.config.clone())
    }

    /// The source account of the pair, with its reader or provisioner.
    ///
    /// # Errors
    /// `AccessDenied` if the role does not exist or does not trust this function; and those of the call to STS.
    pub async fn source<I>(&self, task: &Task<I>) -> Result<Account, Error> {
        self.source_of(&task.pair.cluster).await
    }

    /// As [`Self::source_of`]. A denial of STS is no error.
    ///
    /// # Errors
    /// Those of the call to STS, except `AccessDenied`.
    pub async fn source_if_reachable(&self, cluster: &ClusterArn) -> Result<Result<Account, Unreachable>, Error> {
        self.source_session(cluster.account(), cluster.region()).await
    }

    /// The account and Region of a cluster, with the reader or provisioner of the account.
    ///
    /// # Errors
    /// `AccessDenied` if the role does not exist or does not trust this function; and those of the call to STS.
    pub async fn source_of(&self, cluster: &ClusterArn) -> Result<Account, Error> {
        self.source_at(cluster.account(), cluster.region()).await
    }

    /// A source account in a Region, with its reader or provisioner.
    ///
    /// # Errors
    /// `AccessDenied` if the role does not exist or does not trust this function; and those of the call to STS.
    pub async fn source_at(&self, account: &str, region: &str) -> Result<Account, Error> {
        Ok(self.source_session(account, region).await??)
    }

    async fn source_session(&self, account: &str, region: &str) -> Result<Result<Account, Unreachable>, Error> {
        let partition = Partition::of_region(region);
        let name = if self.writes { SOURCE_PROVISIONER } else { SOURCE_READER };
        let role = format!("arn:{partition}:iam::{account}:{}", installation().role(name));
        self.session(&role, None, region, "infra/source-account.yaml").await
    }

    /// The target account of the pair, with its reader or provisioner.
    ///
    /// # Errors
    /// `AccessDenied` if the role does not exist or does not trust this function; and those of the call to STS.
    pub async fn target<I>(&self, task: &Task<I>) -> Result<Account, Error> {
        self.target_of(&task.pair.workspace).await
    }

    /// The account and Region of a workspace, with the reader or provisioner of the account.
    ///
    /// # Errors
    /// `AccessDenied` if the role does not exist or does not trust this function; and those of the call to STS.
    pub async fn target_of(&self, workspace: &WorkspaceArn) -> Result<Account, Error> {
        Ok(self.target_if_reachable(workspace).await??)
    }

    /// As [`Self::target_of`]. A denial of STS is no error.
    ///
    /// # Errors
    /// Those of the call to STS, except `AccessDenied`.
    pub async fn target_if_reachable(&self, workspace: &WorkspaceArn) -> Result<Result<Account, Unreachable>, Error> {
        let name = if self.writes { TARGET_PROVISIONER } else { TARGET_READER };
        let (partition, account) = (workspace.partition(), workspace.account());
        let role = format!("arn:{partition}:iam::{account}:{}", installation().role(name));
        self.session(&role, None, workspace.region(), "infra/target-account.yaml")
            .await
    }

    /// The query API of the pair's workspace, with the reader of the target account. The session can only query this
    /// workspace.
    ///
    /// # Errors
    /// `AccessDenied` if the role does not exist or does not trust this function; and those of the call to STS.
    pub async fn query_client<I>(&self, task: &Task<I>) -> Result<super::aps::Client, Error> {
        let reader = task.pair.target_arn(&installation().role(TARGET_READER));
        let region = task.pair.workspace.region();
        let policy = policy::query_permissions(&task.pair.workspace).to_string();
        let account = self.session(&reader, Some(&policy), region, "infra/target-account.yaml");
        Ok(account.await??.query_client())
    }

    /// A session of a role, with a session policy if one is given. `template` is the file that creates the role, for
    /// messages.
    async fn session(
        &self,
        role: &str,
        policy: Option<&str>,
        region: &str,
        template: &str,
    ) -> Result<Result<Account, Unreachable>, Error> {
        let [hub, partition] = [self.region(), region].map(Partition::of_region);
        if hub != partition {
            return Err(Error::InvalidRequest(format!(
                "The role {role} is in the partition {partition}, this hub in the partition {hub}. No role can be \
                 assumed in another partition. Use a hub in the partition {partition}."
            )));
        }
        let key = format!("{role}{}", policy.unwrap_or_default());
        let credentials = match self.cached(&key) {
            Some(credentials) => credentials,
            None => match self.assume_role(role, policy, template).await? {
                Ok(credentials) => {
                    self.cache(key, &credentials);
                    credentials
                }
                Err(unreachable) => return Ok(Err(unreachable)),
            },
        };
        let config = self
            .config
            .to_builder()
            .region(Region::new(region.to_owned()))
            .credentials_provider(SharedCredentialsProvider::new(credentials));
        Ok(Ok(Account {
            config: config.build(),
            log: RequestLog {
                account: role.split(':').nth(4).map(str::to_owned),
            },
        }))
    }

    /// Credentials of a role, or the denial of STS. Other errors are not about the role, also if their HTTP status is
    /// 403: a disabled Region, or an expired token of the function (STS API reference, "Common errors").
    async fn assume_role(
        &self,
        role: &str,
        policy: Option<&str>,
        template: &str,
    ) -> Result<Result<Credentials, Unreachable>, Error> {
        let answer = client!(aws_sdk_sts, &self.config, RequestLog::default())
            .assume_role()
            .role_arn(role)
            .role_session_name(format!("ampxa-{}", self.step))
            .set_policy(policy.map(str::to_owned))
            .send()
            .await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                let code = error.code().unwrap_or_default();
                let (is_denied, is_region) = (code == "AccessDenied", code == "RegionDisabledException");
                let reason = match Error::from(error) {
                    Error::AccessDenied(reason) => reason,
                    other => return Err(other),
                };
                let advice = advice(self.region(), is_region, template);
                let why = format!("The role {role} cannot be assumed. {advice} {reason}");
                return match is_denied {
                    true => Ok(Err(Unreachable(why))),
                    false => Err(Error::AccessDenied(why)),
                };
            }
        };
        let session = answer
            .credentials
            .ok_or_else(|| Error::Transient(format!("sts:AssumeRole of {role} returned no credentials.")))?;
        Ok(Ok(Credentials::new(
            session.access_key_id,
            session.secret_access_key,
            Some(session.session_token),
            SystemTime::try_from(session.expiration).ok(),
            "ampxa",
        )))
    }

    fn cached(&self, key: &str) -> Option<Credentials> {
        let assumed = self.assumed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let credentials = assumed.get(key)?;
        let expiry = credentials.expiry()?;
        if expiry > SystemTime::now() + MIN_VALIDITY {
            Some(credentials.clone())
        } else {
            None
        }
    }

    fn cache(&self, key: String, credentials: &Credentials) {
        let mut assumed = self.assumed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        assumed.insert(key, credentials.clone());
    }
}

/// The Regions of the partition `aws` that are enabled in every account: those launched before March 20, 2019 (AWS
/// Account Management reference guide, "Enable or disable AWS Regions in your account").
const DEFAULT_REGIONS: [&str; 17] = [
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ca-central-1",
    "eu-central-1",
    "eu-north-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
];

/// What to do if a role cannot be assumed. `is_region`: STS says that the Region of the hub is the cause.
///
/// STS in an opt-in Region issues credentials only for roles of accounts that have enabled the Region (IAM user guide,
/// "Manage AWS STS in an AWS Region"). AWS does not document the error, so a denial in such a Region has two possible
/// causes.
fn advice(hub: &str, is_region: bool, template: &str) -> String {
    let deploy = format!("Deploy the current {template} in its account with the account id of this hub.");
    let enable = format!(
        "Enable {hub}, the Region of this hub, in its account, or move the hub to a Region that is enabled by default."
    );
    let is_opt_in = Partition::of_region(hub) == Partition::Aws && !DEFAULT_REGIONS.contains(&hub);
    match (is_opt_in, is_region) {
        (true, true) => enable,
        (false, true) => format!("Activate STS in {hub}, the Region of this hub, in the IAM settings of its account."),
        (true, false) => format!("Its account may lack the Region or the role. {enable} {deploy}"),
        (false, false) => deploy,
    }
}

impl Account {
    /// Clients with the given configuration.
    pub fn new(config: SdkConfig) -> Self {
        Self {
            config,
            log: RequestLog::default(),
        }
    }

    /// The query API of AMP workspaces.
    pub fn query_client(&self) -> super::aps::Client {
        super::aps::Client::new(&self.config, &self.log)
    }

    /// Identity and Access Management.
    pub fn iam(&self) -> aws_sdk_iam::Client {
        client!(aws_sdk_iam, &self.config, self.log)
    }

    /// Amazon Managed Service for Prometheus.
    pub fn amp(&self) -> aws_sdk_amp::Client {
        client!(aws_sdk_amp, &self.config, self.log)
    }

    /// DynamoDB.
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        client!(aws_sdk_dynamodb, &self.config, self.log)
    }

    /// Step Functions.
    pub fn sfn(&self) -> aws_sdk_sfn::Client {
        client!(aws_sdk_sfn, &self.config, self.log)
    }

    /// Systems Manager.
    pub fn ssm(&self) -> aws_sdk_ssm::Client {
        client!(aws_sdk_ssm, &self.config, self.log)
    }

    /// The bucket of the hub with this name.
    pub fn bucket(&self, name: &str) -> super::s3::Bucket {
        super::s3::Bucket::new(name, &self.config, &self.log)
    }

    /// AWS Organizations.
    pub fn organizations(&self) -> aws_sdk_organizations::Client {
        client!(aws_sdk_organizations, &self.config, self.log)
    }

    /// Elastic Kubernetes Service.
    pub fn eks(&self) -> aws_sdk_eks::Client {
        client!(aws_sdk_eks, &self.config, self.log)
    }

    /// The call to CloudWatch Logs that the hints need.
    pub fn logs(&self) -> super::logs::Client {
        super::logs::Client::new(&self.config, &self.log)
    }

    /// The calls to Elastic Compute Cloud that the checks need.
    pub fn ec2(&self) -> super::ec2::Client {
        super::ec2::Client::new(&self.config, &self.log)
    }
}
