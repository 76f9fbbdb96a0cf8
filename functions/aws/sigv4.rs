//! Sends calls for which no generated client is used, with the parts of generated clients: signing, retries, timeouts,
//! connection.

use super::request_log::RequestLog;
use crate::arn::Partition;
use aws_config::SdkConfig;
use aws_runtime::auth::{SigV4OperationSigningConfig, sigv4};
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

/// A call: its request is a form that is sent with POST.
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
    fn parse(body: &[u8]) -> Result<Self::Output, BoxError>;
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
    path: String,
    form: Form,
) -> Result<C::Output, CallError<C>> {
    let region = config.region().map_or("", AsRef::as_ref).to_owned();
    let endpoint = endpoint::<C>(config, &region);
    let mut layer = Layer::new(C::SERVICE);
    layer.store_put(AuthSchemeOptionResolverParams::new(()));
    layer.store_put(SigV4OperationSigningConfig {
        region: Some(SigningRegion::from(aws_config::Region::new(region))),
        name: Some(SigningName::from_static(C::SERVICE)),
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
        .serializer(|(path, form): (String, Form)| request(&path, &form))
        .deserializer(|response: &HttpResponse| output::<C>(response))
        .build()
        .invoke((path, form))
        .await
}

/// The endpoint that generated clients would use: that of the configuration, or one for a Region, FIPS and dual stack
/// (endpoint rules of EC2 and AMP in the AWS SDKs; AWS general reference, "Amazon Managed Service for Prometheus
/// endpoints and quotas").
fn endpoint<C: Call>(config: &SdkConfig, region: &str) -> String {
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
    let domain = match dual_stack {
        true => "api.aws",
        false => "amazonaws.com",
    };
    format!("https://{}{fips}.{region}.{domain}", C::HOST)
}

fn request(path: &str, form: &Form) -> Result<HttpRequest, BoxError> {
    let body = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(form)
        .finish();
    let mut request = HttpRequest::new(SdkBody::from(body));
    request.set_method("POST")?;
    request.set_uri(path)?;
    request
        .headers_mut()
        .insert("content-type", "application/x-www-form-urlencoded");
    Ok(request)
}

fn output<C: Call>(response: &HttpResponse) -> Result<C::Output, OrchestratorError<Failure<C>>> {
    if response.status().is_success() {
        return C::parse(response.body().bytes().unwrap_or_default()).map_err(OrchestratorError::other);
    }
    Err(OrchestratorError::operation(Failure(
        C::error_metadata(response),
        PhantomData,
    )))
}
