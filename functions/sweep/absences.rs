//! Clusters that are gone while scrapers of ours still serve them.
//!
//! One look may err. So the first sweep that misses a cluster only tags its scrapers, and another one
//! that misses it again has it offboarded.

use super::clusters;
use crate::{
    arn::{ClusterArn, ScraperArn},
    error::Error,
    request::{Fields, text},
    scraper::GONE_TAG,
};
use serde::Serialize;
use serde_json::{Value, json};

/// A cluster that is missed, or was missed and is there.
#[derive(Debug)]
pub struct Missed {
    /// The cluster.
    pub cluster: ClusterArn,
    /// Its scrapers.
    pub scrapers: Vec<ScraperArn>,
    /// Whether it is gone.
    pub absent: bool,
    /// The sweep that saw it gone before.
    pub seen_by: Option<String>,
    /// The sweep that asks.
    pub sweep: String,
}

impl TryFrom<Value> for Missed {
    type Error = Error;

    /// Reads what `find-clusters` said of the cluster, and the sweep.
    fn try_from(input: Value) -> Result<Self, Error> {
        let known = ["clusterArn", "scraperArns", "absent", "seenBy", "sweep", "execution"];
        let least = r#"{"clusterArn": "…", "scraperArns": […], "absent": true, "sweep": "…"}"#;
        let fields = Fields::of(&input, &known, least)?;
        let scraper = |path: &str, item| text(path, item)?.parse().map_err(|why| Error::invalid(path, why));
        let scrapers = fields.list(
            "scraperArns",
            "\"arn:<partition>:aps:<region>:<account>:scraper/<id>\"",
            scraper,
        )?;
        Ok(Self {
            cluster: fields.arn("clusterArn", "arn:<partition>:eks:<region>:<account>:cluster/<name>")?,
            scrapers: scrapers.unwrap_or_default(),
            absent: input["absent"]
                .as_bool()
                .ok_or_else(|| Error::invalid("absent", "expected true or false"))?,
            seen_by: fields.text("seenBy")?.map(str::to_owned),
            sweep: clusters::sweep(&fields)?,
        })
    }
}

/// What becomes of a cluster that is missed.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "UPPERCASE")]
pub enum Noted {
    /// Two sweeps missed it: what connects it goes.
    Offboard {
        /// The execution's name.
        name: String,
        /// The execution's input.
        request: Value,
    },
    /// This sweep is the first that misses it.
    Wait,
    /// It is there.
    Back,
}

/// Tags the scrapers of a cluster that is gone, or takes the tag away from those of one that is back.
///
/// Safe to repeat: a sweep that asks again is told the same.
///
/// # Errors
/// As AWS answers.
pub async fn note(eks: &aws_sdk_eks::Client, amp: &aws_sdk_amp::Client, missed: &Missed) -> Result<Noted, Error> {
    if !missed.absent || is_there(eks, &missed.cluster).await? {
        for scraper in &missed.scrapers {
            let untag = amp
                .untag_resource()
                .resource_arn(scraper.to_string())
                .tag_keys(GONE_TAG);
            match untag.send().await {
                Ok(_) => {}
                // The scraper went meanwhile, and its tags with it.
                Err(error)
                    if error
                        .as_service_error()
                        .is_some_and(|e| e.is_resource_not_found_exception()) => {}
                Err(error) => return Err(error.into()),
            }
        }
        return Ok(Noted::Back);
    }
    if missed.seen_by.as_ref().is_some_and(|sweep| *sweep != missed.sweep) {
        return Ok(Noted::Offboard {
            name: clusters::name("sweep-gone", &missed.sweep, &missed.cluster),
            request: json!({ "clusterArn": missed.cluster }),
        });
    }
    for scraper in &missed.scrapers {
        let tag = amp.tag_resource().resource_arn(scraper.to_string());
        match tag.tags(GONE_TAG, &missed.sweep).send().await {
            Ok(_) => {}
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|e| e.is_resource_not_found_exception()) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Noted::Wait)
}

/// Asks for the cluster itself: a list may be a page short, a name is not.
async fn is_there(eks: &aws_sdk_eks::Client, cluster: &ClusterArn) -> Result<bool, Error> {
    match eks.describe_cluster().name(cluster.id()).send().await {
        Ok(_) => Ok(true),
        Err(error)
            if error
                .as_service_error()
                .is_some_and(|e| e.is_resource_not_found_exception()) =>
        {
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}
