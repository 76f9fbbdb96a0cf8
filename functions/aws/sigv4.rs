//! Sends calls for which no generated client is used, with the parts of generated clients: signing, retries, timeouts,
//! connection.

use super::request_log::RequestLog;
use crate::arn::Partition;
use aws_config::SdkConfig;
use aws_runtime::auth::{SigV4OperationSigningConfig, SigningOptions, sigv4};
use aws_runtime::retries::classifiers::AwsErrorCodeClassifier;
use aws_runtime::user_agent::{ApiMetadata, UserAgentInterceptor};
use aws_smithy_runtime::client::{
    orchestrator::operation::Operation,
    retries::classifiers::{HttpStatusCodeClassifier, TransientErrorClassifier},
};
use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        auth::{
            AuthSchemeOptionResolverParams, SharedAuthScheme, SharedAuthSchemeOptionResolver,
            static_resolver::StaticAuthSchemeOptionResolver,
        },
        identity::SharedIdentityResolver,
        orchestrator::{HttpRequest, HttpResponse, OrchestratorError},
        result::SdkError,
        runtime_components::RuntimeComponentsBuilder,
        runtime_plugin::StaticRuntimePlugin,
    },
};
use aws_smithy_types::{
    body::SdkBody,
    config_bag::Layer,
    error::{ErrorMetadata, metadata::ProvideErrorMetadata},
    retry::RetryConfig,
};
use aws_types::{SigningName, region::SigningRegion};
use std::{fmt, marker::PhantomData};

/// The fields of a form.
pub type Form = Vec<(String, String)>;

/// The parts of a request that differ between calls.
#[derive(Debug, Clone)]
pub struct Message {
    /// What precedes the host name of the service, such as `<bucket>.`. Not used with an endpoint of its own.
    pub host_prefix: String,
    /// The HTTP method.
    pub method: &'static str,
    /// The path and the query.
    pub path: String,
    /// The headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Message {
    /// A form that is sent with POST.
    pub fn form(path: &str, form: &Form) -> Self {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        Self {
            host_prefix: String::new(),
            method: "POST",
            path: path.to_owned(),
            headers: vec![("content-type", "application/x-www-form-urlencoded".to_owned())],
            body: body.into_bytes(),
        }
    }
}

/// A call.
pub trait Call: fmt::Debug + Send + Sync + 'static {
    /// The name of the service in signatures.
    const SERVICE: &'static str;
    /// The first label of the host name.
    const HOST: &'static str;
    /// The version of the API.
    const VERSION: &'static str;
    /// The action, as in IAM.
    const ACTION: &'static str;
    /// The parsed response.
    type Output: fmt::Debug + Send + Sync + 'static;
    /// Parses the response.
    ///
    /// # Errors
    /// A parse error if it is not a response of this call.
    fn parse(response: &HttpResponse) -> Result<Self::Output, BoxError>;
    /// How requests are signed.
    fn signing() -> SigningOptions {
        SigningOptions::default()
    }
    /// The code and the message of an error response. It may have neither, such as the page of a proxy.
    fn error_metadata(response: &HttpResponse) -> ErrorMetadata;
}

/// The error response to a call.
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

/// The error of a call.
pub type CallError<C> = SdkError<Failure<C>, HttpResponse>;

/// Sends a call with the credentials, Region and HTTP client of a configuration.
///
/// # Errors
/// An error response, or no response.
pub(super) async fn send<C: Call>(
    config: &SdkConfig,
    log: &RequestLog,
    message: Message,
) -> Result<C::Output, CallError<C>> {
    let region = config.region().map_or("", AsRef::as_ref).to_owned();
    let endpoint = endpoint::<C>(config, &region, &message.host_prefix);
    let mut layer = Layer::new(C::SERVICE);
    layer.store_put(AuthSchemeOptionResolverParams::new(()));
    layer.store_put(SigV4OperationSigningConfig {
        region: Some(SigningRegion::from(aws_config::Region::new(region))),
        name: Some(SigningName::from_static(C::SERVICE)),
        signing_options: C::signing(),
        ..Default::default()
    });
    // The user agent of generated clients.
    layer.store_put(ApiMetadata::new(C::SERVICE, C::VERSION));
    if let Some(app_name) = config.app_name() {
        layer.store_put(app_name.clone());
    }
    let mut components = RuntimeComponentsBuilder::new(C::SERVICE)
        .with_interceptor(UserAgentInterceptor::new())
        .with_interceptor(log.clone())
        .with_auth_scheme(SharedAuthScheme::new(sigv4::SigV4AuthScheme::new()))
        .with_auth_scheme_option_resolver(Some(SharedAuthSchemeOptionResolver::new(
            StaticAuthSchemeOptionResolver::new(vec![sigv4::SCHEME_ID]),
        )))
        .with_sleep_impl(config.sleep_impl());
    if let Some(credentials) = config.credentials_provider() {
        components.set_identity_resolver(sigv4::SCHEME_ID, SharedIdentityResolver::new(credentials));
    }
    components.set_http_client(config.http_client());
    let timeouts = config.timeout_config().cloned();
    Operation::builder()
        .service_name(C::SERVICE)
        .operation_name(C::ACTION)
        .behavior_version(aws_config::BehaviorVersion::latest())
        .runtime_plugin(
            StaticRuntimePlugin::new()
                .with_config(layer.freeze())
                .with_runtime_components(components),
        )
        .endpoint_url(&endpoint)
        .standard_retry(&config.retry_config().cloned().unwrap_or_else(RetryConfig::standard))
        .retry_classifier(TransientErrorClassifier::<Failure<C>>::new())
        .retry_classifier(AwsErrorCodeClassifier::<Failure<C>>::new())
        .retry_classifier(HttpStatusCodeClassifier::default())
        .timeout_config(timeouts.unwrap_or_else(aws_smithy_types::timeout::TimeoutConfig::disabled))
        .serializer(request)
        .deserializer(|response: &HttpResponse| output::<C>(response))
        .build()
        .invoke(message)
        .await
}

/// The endpoint that generated clients would use: that of the configuration, or one for a Region, FIPS and dual stack
/// (endpoint rules of EC2, AMP and S3 in the AWS SDKs; AWS general reference, "Amazon Managed Service for Prometheus
/// endpoints and quotas"). `prefix` precedes the name of the host.
fn endpoint<C: Call>(config: &SdkConfig, region: &str, prefix: &str) -> String {
    if let Some(url) = config.endpoint_url() {
        return url.to_owned();
    }
    let dual_stack = config.use_dual_stack() == Some(true);
    // In AWS GovCloud, the usual endpoint of EC2 is the FIPS endpoint.
    let usual_is_fips = C::SERVICE == "ec2" && !dual_stack && Partition::of_region(region) == Partition::AwsUsGov;
    let fips = match config.use_fips() == Some(true) && !usual_is_fips {
        true => "-fips",
        false => "",
    };
    let (dual_stack, domain) = match (dual_stack, C::SERVICE) {
        (true, "s3") => (".dualstack", "amazonaws.com"),
        (true, _) => ("", "api.aws"),
        (false, _) => ("", "amazonaws.com"),
    };
    format!("https://{prefix}{}{fips}{dual_stack}.{region}.{domain}", C::HOST)
}

fn request(message: Message) -> Result<HttpRequest, BoxError> {
    let mut request = HttpRequest::new(SdkBody::from(message.body));
    request.set_method(message.method)?;
    request.set_uri(message.path)?;
    for (name, value) in message.headers {
        request.headers_mut().try_insert(name, value)?;
    }
    Ok(request)
}

fn output<C: Call>(response: &HttpResponse) -> Result<C::Output, OrchestratorError<Failure<C>>> {
    if response.status().is_success() {
        return C::parse(response).map_err(OrchestratorError::other);
    }
    Err(OrchestratorError::operation(Failure(
        C::error_metadata(response),
        PhantomData,
    )))
}
