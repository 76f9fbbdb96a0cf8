//! The two calls to S3 that the steps need, without `aws-sdk-s3`, which would be the largest of all clients.
//!
//! This module defines two calls, which [`sigv4`] sends (S3 API reference, GetObject and PutObject). Keys contain only
//! characters that a URI needs no encoding for.

use super::{
    request_log::RequestLog,
    sigv4::{self, Call, Message},
};
use crate::{error::Error, scrape_configuration::MAX_BYTES};
use aws_config::SdkConfig;
use aws_runtime::auth::SigningOptions;
use aws_smithy_runtime_api::{box_error::BoxError, client::orchestrator::HttpResponse};
use aws_smithy_types::error::ErrorMetadata;
use aws_smithy_xml::decode::{Document, try_data};

/// An object of a bucket with versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// The content.
    pub content: Vec<u8>,
    /// The id of the version.
    pub version: String,
}

/// The call GetObject.
#[derive(Debug)]
pub struct GetObject;

/// The call PutObject.
#[derive(Debug)]
pub struct PutObject;

impl Call for GetObject {
    const SERVICE: &'static str = "s3";
    const HOST: &'static str = "s3";
    const VERSION: &'static str = API_VERSION;
    const ACTION: &'static str = "GetObject";
    type Output = Object;
    fn parse(response: &HttpResponse) -> Result<Object, BoxError> {
        // `null` is the version of an object of a bucket without versions.
        let version = response.headers().get("x-amz-version-id").unwrap_or("null");
        Ok(Object {
            content: response.body().bytes().unwrap_or_default().to_vec(),
            version: version.to_owned(),
        })
    }
    fn error_metadata(response: &HttpResponse) -> ErrorMetadata {
        error_of(response)
    }
    fn signing() -> SigningOptions {
        signing()
    }
}

impl Call for PutObject {
    const SERVICE: &'static str = "s3";
    const HOST: &'static str = "s3";
    const VERSION: &'static str = API_VERSION;
    const ACTION: &'static str = "PutObject";
    type Output = ();
    fn parse(_: &HttpResponse) -> Result<(), BoxError> {
        Ok(())
    }
    fn error_metadata(response: &HttpResponse) -> ErrorMetadata {
        error_of(response)
    }
    fn signing() -> SigningOptions {
        signing()
    }
}

/// The version of S3's API.
const API_VERSION: &str = "2006-03-01";

/// S3 signs the hash of the body in a header, and the path as it is (S3 API reference, "Signature calculations").
fn signing() -> SigningOptions {
    let mut options = SigningOptions::default();
    options.double_uri_encode = false;
    options.content_sha256_header = true;
    options.normalize_uri_path = false;
    options
}

/// The code and message of an error response (S3 API reference, "REST error responses").
fn error_of(response: &HttpResponse) -> ErrorMetadata {
    let read = || {
        let mut document = Document::try_from(response.body().bytes()?).ok()?;
        let mut root = document.root_element().ok()?;
        let mut metadata = ErrorMetadata::builder();
        while let Some(mut field) = root.next_tag() {
            let name = field.start_el().local().to_owned();
            let text = try_data(&mut field).ok()?.into_owned();
            metadata = match name.as_str() {
                "Code" => metadata.code(text),
                "Message" => metadata.message(text),
                _ => metadata,
            };
        }
        Some(metadata.build())
    };
    read().unwrap_or_else(|| ErrorMetadata::builder().build())
}

/// A bucket of the hub.
#[derive(Debug, Clone)]
pub struct Bucket {
    /// The name.
    pub name: String,
    config: SdkConfig,
    log: RequestLog,
}

impl Bucket {
    pub(super) fn new(name: &str, config: &SdkConfig, log: &RequestLog) -> Self {
        Self {
            name: name.to_owned(),
            config: config.clone(),
            log: log.clone(),
        }
    }

    /// Reads the first [`MAX_BYTES`] of an object and one more byte: the given version, or the current one. The inner error is S3's reason why there is none: without
    /// the right to list the bucket, S3 does not tell an object that does not exist from one that may not be read.
    ///
    /// # Errors
    /// `Transient` if S3 throttles the call or does not respond.
    pub async fn get(&self, key: &str, version: Option<&str>) -> Result<Result<Object, String>, Error> {
        let query = version.map_or(String::new(), |version| format!("?versionId={version}"));
        let mut message = self.message("GET", &format!("{key}{query}"), Vec::new());
        // The range limits what an object of any size transfers.
        message.headers = vec![("range", format!("bytes=0-{MAX_BYTES}"))];
        let answer = sigv4::send::<GetObject>(&self.config, &self.log, message).await;
        Ok(match answer.map_err(Error::from) {
            Err(Error::Transient(why)) => return Err(Error::Transient(why)),
            answer => answer.map_err(|error| error.to_string()),
        })
    }

    /// Reads the whole object, of any size.
    ///
    /// # Errors
    /// Those of the call, also if there is no such object.
    pub async fn read(&self, key: &str) -> Result<Vec<u8>, Error> {
        let message = self.message("GET", key, Vec::new());
        let object = sigv4::send::<GetObject>(&self.config, &self.log, message).await?;
        Ok(object.content)
    }

    /// Writes an object.
    ///
    /// # Errors
    /// Those of the call.
    pub async fn put(&self, key: &str, content: &str) -> Result<(), Error> {
        let message = self.message("PUT", key, content.as_bytes().to_vec());
        Ok(sigv4::send::<PutObject>(&self.config, &self.log, message).await?)
    }

    /// With an endpoint of its own, such as a local one, the bucket is part of the path.
    fn message(&self, method: &'static str, key: &str, body: Vec<u8>) -> Message {
        let (host_prefix, path) = match self.config.endpoint_url() {
            Some(_) => (String::new(), format!("/{}/{key}", self.name)),
            None => (format!("{}.", self.name), format!("/{key}")),
        };
        Message {
            host_prefix,
            method,
            path,
            headers: Vec::new(),
            body,
        }
    }
}
