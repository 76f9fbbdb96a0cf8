//! Clusters that are gone while scrapers of ours still serve them.
//!
//! One look may err. So the first sweep that misses a cluster only tags its scrapers, and another one
//! that misses it again has it offboarded.

use super::clusters;
use crate::{
    arn::{ClusterArn, ScraperArn},
    aws::unless,
    error::Error,
    input::{Fields, text},
    tags::GONE_TAG,
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
            // A scraper that went meanwhile took its tags with it.
            unless(untag.send().await, |e| e.is_resource_not_found_exception())?;
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
        let tagged = tag.tags(GONE_TAG, &missed.sweep).send().await;
        unless(tagged, |e| e.is_resource_not_found_exception())?;
    }
    Ok(Noted::Wait)
}

/// Asks for the cluster itself: a list may be a page short, a name is not.
async fn is_there(eks: &aws_sdk_eks::Client, cluster: &ClusterArn) -> Result<bool, Error> {
    let answer = eks.describe_cluster().name(cluster.id()).send().await;
    Ok(unless(answer, |e| e.is_resource_not_found_exception())?.is_some())
}
