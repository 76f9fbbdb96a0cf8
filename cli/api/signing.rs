//! Where a call is sent, and how it is signed.

use super::{Request, Service, service::S3};
use crate::account::Account;
use anyhow::Result;
use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::{
    http_request::{PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use std::time::SystemTime;

impl Account {
    /// The endpoint and the path. With an endpoint of its own, the bucket is part of the path.
    pub(super) fn address(&self, service: Service, bucket: Option<&str>, path: &str) -> (String, String) {
        let own = std::env::var(format!("AWS_ENDPOINT_URL_{}", service.variable)).ok();
        let own = own.filter(|url| !url.is_empty());
        match (own.as_deref().or(self.endpoint_url()), bucket) {
            (Some(url), Some(bucket)) => (url.trim_end_matches('/').to_owned(), format!("/{bucket}{path}")),
            (Some(url), None) => (url.trim_end_matches('/').to_owned(), path.to_owned()),
            (None, bucket) => {
                let bucket = bucket.map(|bucket| format!("{bucket}.")).unwrap_or_default();
                let fips = match self.config().use_fips() {
                    Some(true) => "-fips",
                    _ => "",
                };
                let host = format!("{bucket}{}{fips}.{}.amazonaws.com", service.name, self.region);
                (format!("https://{host}"), path.to_owned())
            }
        }
    }

    pub(super) async fn signed_headers(
        &self,
        service: Service,
        url: &str,
        request: &Request<'_>,
    ) -> Result<Vec<(String, String)>> {
        let credentials = match self.config().credentials_provider() {
            Some(provider) => provider.provide_credentials().await?,
            None => self.credentials().clone(),
        };
        let mut settings = SigningSettings::default();
        if service.name == S3.name {
            // S3 signs the path as it is, and the hash of the body in a header (S3 API reference, "Signature
            // calculations").
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        let identity = credentials.into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(service.name)
            .time(SystemTime::now())
            .settings(settings)
            .build()?
            .into();
        let headers = request.headers.iter().map(|(name, value)| (*name, value.as_str()));
        let body = SignableBody::Bytes(&request.body);
        let signable = SignableRequest::new(request.method, url, headers.clone(), body)?;
        let (instructions, _) = sign(signable, &parameters)?.into_parts();
        let all = headers.chain(instructions.headers());
        Ok(all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }
}
