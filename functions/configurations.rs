//! The scrape configurations in the hub's bucket: those that requests and routes name, and those that an execution
//! replaced.

use crate::{
    arn::ScraperArn,
    aws::s3::Bucket,
    error::Error,
    names,
    scrape_configuration::{self, MAX_BYTES},
};

/// The folder of the objects that requests and routes may name.
pub const FOLDER: &str = "configurations/";

/// The folder of replaced configurations.
const REPLACED: &str = "replaced/";

/// The field of a request or rule that names an object.
pub(crate) const OBJECT_FIELD: &str = "scrapeConfigurationObject";

/// The environment variable with the name of the bucket.
pub const BUCKET: &str = "AMPXA_BUCKET";

/// Which scrape configuration a request names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named<'a> {
    /// AMP's default configuration.
    Default,
    /// This YAML.
    Text(&'a str),
    /// An object in the hub's bucket, and its version.
    Object(&'a str, Option<&'a str>),
}

/// Whether a text is the key of an object that a request may name: [`FOLDER`], then letters, digits, `/`, `_`, `.` and
/// `-`, at most 256 characters. No part between slashes is `.` or `..`, which HTTP clients and proxies resolve.
pub fn is_key(text: &str) -> bool {
    text.len() <= 256
        && text.strip_prefix(FOLDER).is_some_and(|rest| !rest.is_empty())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/_.-".contains(&b))
        && !text.split('/').any(|segment| matches!(segment, "." | ".."))
}

/// Reads the object that a request names. Returns its YAML and the id of its version. Read-only.
///
/// # Errors
/// `InvalidRequest` if it does not exist or contains no configuration; and those of the call.
pub async fn read(bucket: &Bucket, key: &str, version: Option<&str>) -> Result<(String, String), Error> {
    let invalid = |why: &str| {
        Error::invalid(
            OBJECT_FIELD,
            format!("the object {key} of the bucket {} {why}", bucket.name),
        )
    };
    let object = match bucket.get(key, version).await? {
        Ok(object) => object,
        Err(why) => {
            let what = version.map_or(String::new(), |version| format!("in the version {version} "));
            let advice = "upload it, name another, or let this hub read it";
            return Err(invalid(&format!(
                "{what}does not exist, is empty, or cannot be read; {advice}: {why}"
            )));
        }
    };
    if object.content.len() > MAX_BYTES {
        return Err(invalid("is larger than 64 KiB; expected at most 64 KiB"));
    }
    let text = String::from_utf8(object.content).map_err(|_| invalid("is not UTF-8 text; expected YAML"))?;
    let yaml = scrape_configuration::decode(&text, OBJECT_FIELD)?;
    Ok((yaml, object.version))
}

/// A configuration that an execution replaces.
#[derive(Debug)]
pub(crate) struct Replaced<'a> {
    key: String,
    yaml: &'a str,
}

impl<'a> Replaced<'a> {
    /// The key follows from execution, scraper and text, so that a repeated call writes the same object.
    pub(crate) fn new(execution: &str, scraper: &ScraperArn, yaml: &'a str) -> Self {
        let hash = names::hash(&[execution, &scraper.to_string(), yaml], 16);
        let (account, region, id) = (scraper.account(), scraper.region(), scraper.id());
        let key = format!("{REPLACED}{account}/{region}/{id}/{hash}.yaml");
        Self { key, yaml }
    }

    /// Its location in the bucket: `s3://<bucket>/<key>`.
    pub(crate) fn location(&self, bucket: &Bucket) -> String {
        format!("s3://{}/{}", bucket.name, self.key)
    }

    /// Stores it. Idempotent.
    ///
    /// # Errors
    /// Those of the call.
    pub(crate) async fn store(&self, bucket: &Bucket) -> Result<(), Error> {
        bucket.put(&self.key, self.yaml).await
    }
}

/// Reads a replaced configuration from its [location](Replaced::location). Read-only.
///
/// # Errors
/// `InvalidRequest` if it is none of this bucket; and those of the call.
pub(crate) async fn read_replaced(bucket: &Bucket, location: &str) -> Result<String, Error> {
    let invalid = |why: &str| Error::invalid("replacedConfiguration", format!("{location} {why}"));
    let key = location
        .strip_prefix(&format!("s3://{}/", bucket.name))
        .filter(|key| key.starts_with(REPLACED))
        .ok_or_else(|| invalid("is not a replaced configuration of this hub"))?;
    String::from_utf8(bucket.read(key).await?).map_err(|_| invalid("is not UTF-8 text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_in_the_folder_and_needs_no_encoding() {
        for key in ["configurations/a", "configurations/team-a/Pods_v1.yaml"] {
            assert!(is_key(key), "{key}");
        }
        let long = format!("configurations/{}", "x".repeat(250));
        for key in [
            "",
            "configurations/",
            "replaced/a",
            "/configurations/a",
            "configurations/a b",
            "configurations/ä",
            "configurations/../replaced/a",
            "configurations/./a",
            &long,
        ] {
            assert!(!is_key(key), "{key}");
        }
    }
}
