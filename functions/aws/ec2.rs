//! The three reads of EC2 that the checks need, on the SDK's own runtime.
//!
//! `aws-sdk-ec2` is the whole of EC2, and takes many times the compile time of all the other
//! clients together (ARCHITECTURE.md has the figures). What a generated client is made of, signing, retries,
//! timeouts, connection, are crates of their own; this module gives them three requests to send
//! and reads the answers with the SDK's own XML reader (EC2 API reference, version 2016-11-15).

use aws_config::SdkConfig;
use aws_runtime::auth::{SigV4OperationSigningConfig, sigv4};
use aws_runtime::retries::classifiers::AwsErrorCodeClassifier;
use aws_runtime::user_agent::{ApiMetadata, UserAgentInterceptor};
use aws_smithy_runtime::client::{
    orchestrator::operation::Operation,
    retries::classifiers::{HttpStatusCodeClassifier, TransientErrorClassifier},
};
use aws_smithy_runtime_api::client::{
    auth::{
        AuthSchemeOptionResolverParams, SharedAuthScheme, SharedAuthSchemeOptionResolver,
        static_resolver::StaticAuthSchemeOptionResolver,
    },
    identity::SharedIdentityResolver,
    orchestrator::{HttpRequest, HttpResponse, OrchestratorError},
    result::SdkError,
    runtime_components::RuntimeComponentsBuilder,
    runtime_plugin::StaticRuntimePlugin,
};
use aws_smithy_types::{
    body::SdkBody,
    config_bag::Layer,
    error::{ErrorMetadata, metadata::ProvideErrorMetadata},
    retry::RetryConfig,
};
use aws_smithy_xml::decode::{Document, XmlDecodeError, try_data};
use aws_types::{SigningName, region::SigningRegion};
use std::{collections::BTreeMap, fmt, marker::PhantomData};

/// The version of EC2's API that these calls speak.
const API_VERSION: &str = "2016-11-15";

/// A call of EC2's: what it is named and what it answers.
pub trait Call: fmt::Debug + Send + Sync + 'static {
    /// The action, as in IAM and on the wire.
    const ACTION: &'static str;
    /// What is read of the answer.
    type Answer: fmt::Debug + Send + Sync + 'static;
    /// Reads the answer.
    ///
    /// # Errors
    /// When it is not what EC2 answers this call with.
    fn read(xml: &[u8]) -> Result<Self::Answer, XmlDecodeError>;
}

/// Reads subnets.
#[derive(Debug)]
pub struct DescribeSubnets;

impl Call for DescribeSubnets {
    const ACTION: &'static str = "DescribeSubnets";
    type Answer = Vec<Subnet>;
    fn read(xml: &[u8]) -> Result<Vec<Subnet>, XmlDecodeError> {
        let subnet = |mut leaves: Leaves| {
            Ok(Subnet {
                subnet_id: take(&mut leaves, "subnetId")?,
                vpc_id: take(&mut leaves, "vpcId")?,
                availability_zone: take(&mut leaves, "availabilityZone")?,
                available_ip_address_count: take(&mut leaves, "availableIpAddressCount")?
                    .parse()
                    .map_err(XmlDecodeError::unhandled)?,
            })
        };
        items(xml, "subnetSet")?.into_iter().map(subnet).collect()
    }
}

/// Reads one attribute of a VPC.
#[derive(Debug)]
pub struct DescribeVpcAttribute;

impl Call for DescribeVpcAttribute {
    const ACTION: &'static str = "DescribeVpcAttribute";
    type Answer = bool;
    fn read(xml: &[u8]) -> Result<bool, XmlDecodeError> {
        let mut document = Document::try_from(xml)?;
        let mut root = document.root_element()?;
        while let Some(mut attribute) = root.next_tag() {
            if let Some(mut value) = attribute.next_tag() {
                return Ok(try_data(&mut value)? == "true");
            }
        }
        Err(XmlDecodeError::custom("the answer has no attribute"))
    }
}

/// Reads security groups.
#[derive(Debug)]
pub struct DescribeSecurityGroups;

impl Call for DescribeSecurityGroups {
    const ACTION: &'static str = "DescribeSecurityGroups";
    type Answer = Vec<SecurityGroup>;
    fn read(xml: &[u8]) -> Result<Vec<SecurityGroup>, XmlDecodeError> {
        let group = |mut leaves: Leaves| {
            Ok(SecurityGroup {
                group_id: take(&mut leaves, "groupId")?,
                vpc_id: leaves.remove("vpcId"),
            })
        };
        items(xml, "securityGroupInfo")?.into_iter().map(group).collect()
    }
}

/// A subnet, as far as a scraper cares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subnet {
    /// Its id.
    pub subnet_id: String,
    /// The VPC it lies in.
    pub vpc_id: String,
    /// The Availability Zone it lies in.
    pub availability_zone: String,
    /// How many of its addresses nobody uses.
    pub available_ip_address_count: u32,
}

/// A security group, as far as a scraper cares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityGroup {
    /// Its id.
    pub group_id: String,
    /// The VPC it lies in.
    pub vpc_id: Option<String>,
}

/// The texts right below an element, by name.
type Leaves = BTreeMap<String, String>;

/// The items of a list right below the answer's root, each as its leaves.
fn items(xml: &[u8], list: &str) -> Result<Vec<Leaves>, XmlDecodeError> {
    let mut document = Document::try_from(xml)?;
    let mut root = document.root_element()?;
    while let Some(mut element) = root.next_tag() {
        if !element.start_el().matches(list) {
            continue;
        }
        let mut items = Vec::new();
        while let Some(mut item) = element.next_tag() {
            let mut leaves = Leaves::new();
            while let Some(mut field) = item.next_tag() {
                let name = field.start_el().local().to_owned();
                // What is nested deeper is none of a scraper's business.
                if let Ok(text) = try_data(&mut field) {
                    leaves.insert(name, text.into_owned());
                }
            }
            items.push(leaves);
        }
        return Ok(items);
    }
    Err(XmlDecodeError::custom(format!("the answer has no {list}")))
}

fn take(leaves: &mut Leaves, name: &str) -> Result<String, XmlDecodeError> {
    let missing = || XmlDecodeError::custom(format!("an item has no {name}"));
    leaves.remove(name).ok_or_else(missing)
}

/// EC2's answer when it refuses a call of kind `C`.
#[derive(Debug)]
pub struct Failure<C>(ErrorMetadata, PhantomData<C>);

impl<C> fmt::Display for Failure<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<C: fmt::Debug> std::error::Error for Failure<C> {}

impl<C> ProvideErrorMetadata for Failure<C> {
    fn meta(&self) -> &ErrorMetadata {
        &self.0
    }
}

/// What a call of kind `C` may fail with.
pub type CallError<C> = SdkError<Failure<C>, HttpResponse>;

/// A client of EC2 in one account and Region.
#[derive(Debug, Clone)]
pub struct Client {
    config: SdkConfig,
}

impl Client {
    /// A client with this configuration's credentials, Region and connection.
    pub fn new(config: &SdkConfig) -> Self {
        Self { config: config.clone() }
    }

    /// Those of the subnets that exist, in no order.
    ///
    /// # Errors
    /// What EC2 refuses, and what is lost on the way.
    pub async fn subnets(&self, ids: &[String]) -> Result<Vec<Subnet>, CallError<DescribeSubnets>> {
        self.call::<DescribeSubnets>(filter("subnet-id", ids)).await
    }

    /// Those of the security groups that exist, in no order.
    ///
    /// # Errors
    /// What EC2 refuses, and what is lost on the way.
    pub async fn security_groups(
        &self,
        ids: &[String],
    ) -> Result<Vec<SecurityGroup>, CallError<DescribeSecurityGroups>> {
        self.call::<DescribeSecurityGroups>(filter("group-id", ids)).await
    }

    /// Whether a VPC's attribute, `enableDnsSupport` or `enableDnsHostnames`, is on.
    ///
    /// # Errors
    /// What EC2 refuses, and what is lost on the way.
    pub async fn vpc_attribute(&self, vpc: &str, attribute: &str) -> Result<bool, CallError<DescribeVpcAttribute>> {
        let parameters = vec![
            ("VpcId".to_owned(), vpc.to_owned()),
            ("Attribute".to_owned(), attribute.to_owned()),
        ];
        self.call::<DescribeVpcAttribute>(parameters).await
    }

    async fn call<C: Call>(&self, parameters: Vec<(String, String)>) -> Result<C::Answer, CallError<C>> {
        let config = &self.config;
        let region = config.region().map_or("", AsRef::as_ref).to_owned();
        let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
        let endpoint = match config.endpoint_url() {
            Some(url) => url.to_owned(),
            None => format!("https://ec2.{region}.amazonaws.com{suffix}"),
        };
        let mut layer = Layer::new("ec2");
        layer.store_put(AuthSchemeOptionResolverParams::new(()));
        layer.store_put(SigV4OperationSigningConfig {
            region: Some(SigningRegion::from(aws_config::Region::new(region))),
            name: Some(SigningName::from_static("ec2")),
            ..Default::default()
        });
        // The user agent, as generated clients send it.
        layer.store_put(ApiMetadata::new("ec2", API_VERSION));
        if let Some(app_name) = config.app_name() {
            layer.store_put(app_name.clone());
        }
        let mut parts = RuntimeComponentsBuilder::new("ec2")
            .with_interceptor(UserAgentInterceptor::new())
            .with_auth_scheme(SharedAuthScheme::new(sigv4::SigV4AuthScheme::new()))
            .with_auth_scheme_option_resolver(Some(SharedAuthSchemeOptionResolver::new(
                StaticAuthSchemeOptionResolver::new(vec![sigv4::SCHEME_ID]),
            )))
            .with_sleep_impl(config.sleep_impl());
        if let Some(credentials) = config.credentials_provider() {
            parts.set_identity_resolver(sigv4::SCHEME_ID, SharedIdentityResolver::new(credentials));
        }
        parts.set_http_client(config.http_client());
        let timeouts = config.timeout_config().cloned();
        Operation::builder()
            .service_name("ec2")
            .operation_name(C::ACTION)
            .behavior_version(aws_config::BehaviorVersion::latest())
            .runtime_plugin(
                StaticRuntimePlugin::new()
                    .with_config(layer.freeze())
                    .with_runtime_components(parts),
            )
            .endpoint_url(&endpoint)
            .standard_retry(&config.retry_config().cloned().unwrap_or_else(RetryConfig::standard))
            .retry_classifier(TransientErrorClassifier::<Failure<C>>::new())
            .retry_classifier(AwsErrorCodeClassifier::<Failure<C>>::new())
            .retry_classifier(HttpStatusCodeClassifier::default())
            .timeout_config(timeouts.unwrap_or_else(aws_smithy_types::timeout::TimeoutConfig::disabled))
            .serializer(|parameters: Vec<(String, String)>| request::<C>(&parameters))
            .deserializer(|response: &HttpResponse| answer::<C>(response))
            .build()
            .invoke(parameters)
            .await
    }
}

fn filter(name: &str, values: &[String]) -> Vec<(String, String)> {
    let numbered = values.iter().enumerate();
    std::iter::once(("Filter.1.Name".to_owned(), name.to_owned()))
        .chain(numbered.map(|(i, value)| (format!("Filter.1.Value.{}", i + 1), value.clone())))
        .collect()
}

fn request<C: Call>(parameters: &[(String, String)]) -> Result<HttpRequest, Box<dyn std::error::Error + Send + Sync>> {
    let body = form_urlencoded::Serializer::new(String::new())
        .append_pair("Action", C::ACTION)
        .append_pair("Version", API_VERSION)
        .extend_pairs(parameters)
        .finish();
    let mut request = HttpRequest::new(SdkBody::from(body));
    request.set_method("POST")?;
    request
        .headers_mut()
        .insert("content-type", "application/x-www-form-urlencoded");
    Ok(request)
}

fn answer<C: Call>(response: &HttpResponse) -> Result<C::Answer, OrchestratorError<Failure<C>>> {
    let xml = response.body().bytes().unwrap_or_default();
    if response.status().is_success() {
        return C::read(xml).map_err(OrchestratorError::other);
    }
    // An error that is not EC2's XML (a proxy's page, say) still has its status.
    let mut said = items(xml, "Errors")
        .unwrap_or_default()
        .into_iter()
        .next()
        .unwrap_or_default();
    let mut metadata = ErrorMetadata::builder();
    if let Some(code) = said.remove("Code") {
        metadata = metadata.code(code).message(said.remove("Message").unwrap_or_default());
    }
    Err(OrchestratorError::operation(Failure(metadata.build(), PhantomData)))
}
