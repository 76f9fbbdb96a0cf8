//! Orphans: scrapers of ours whose cluster does not exist any more.
//!
//! A cluster must be missing in two consecutive reconciliations before it is offboarded. The first one only tags its
//! scrapers with [`ORPHAN_TAG`].

use super::clusters;
use crate::{
    arn::{ClusterArn, ScraperArn},
    aws::unless,
    error::Error,
    input::{Fields, text},
    tags::ORPHAN_TAG,
};
use serde::Serialize;
use serde_json::{Value, json};

/// A cluster that is missing, or was missing and exists again.
#[derive(Debug)]
pub struct Input {
    /// The cluster.
    pub cluster: ClusterArn,
    /// Its scrapers.
    pub scrapers: Vec<ScraperArn>,
    /// Whether `find-clusters` did not list it.
    pub missing: bool,
    /// The ARN of the reconciliation that marked the scrapers, by their tag.
    pub orphan_since: Option<String>,
    /// The ARN of this reconciliation.
    pub reconciliation: String,
}

impl TryFrom<Value> for Input {
    type Error = Error;

    /// Reads an item of the output of `find-clusters`, and the reconciliation.
    fn try_from(input: Value) -> Result<Self, Error> {
        let known = [
            "clusterArn",
            "scraperArns",
            "missing",
            "orphanSince",
            "reconciliation",
            "execution",
        ];
        let least = r#"{"clusterArn": "…", "scraperArns": […], "missing": true, "reconciliation": "…"}"#;
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
            missing: input["missing"]
                .as_bool()
                .ok_or_else(|| Error::invalid("missing", "expected true or false"))?,
            orphan_since: fields.text("orphanSince")?.map(str::to_owned),
            reconciliation: clusters::reconciliation(&fields)?,
        })
    }
}

/// What to do about a cluster that is missing.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "UPPERCASE")]
pub enum Output {
    /// Two reconciliations did not find it: offboard it.
    Offboard {
        /// The name of the execution.
        name: String,
        /// The input of the execution.
        request: Value,
    },
    /// This reconciliation is the first that does not find it.
    Wait,
    /// It exists.
    Recovered,
}

/// Tags the scrapers of a cluster that is missing, or removes the tag if the cluster exists.
///
/// Idempotent: the same reconciliation gets the same answer again.
///
/// # Errors
/// Those of the calls to EKS and AMP.
pub async fn mark(eks: &aws_sdk_eks::Client, amp: &aws_sdk_amp::Client, input: &Input) -> Result<Output, Error> {
    if !input.missing || exists(eks, &input.cluster).await? {
        for scraper in &input.scrapers {
            let untag = amp
                .untag_resource()
                .resource_arn(scraper.to_string())
                .tag_keys(ORPHAN_TAG);
            // A scraper that was deleted meanwhile has no tags.
            unless(untag.send().await, |e| e.is_resource_not_found_exception())?;
        }
        return Ok(Output::Recovered);
    }
    if input
        .orphan_since
        .as_ref()
        .is_some_and(|first| *first != input.reconciliation)
    {
        return Ok(Output::Offboard {
            name: clusters::execution_name("reconcile-orphan", &input.reconciliation, &input.cluster),
            request: json!({ "clusterArn": input.cluster }),
        });
    }
    for scraper in &input.scrapers {
        let tag = amp.tag_resource().resource_arn(scraper.to_string());
        let tagged = tag.tags(ORPHAN_TAG, &input.reconciliation).send().await;
        unless(tagged, |e| e.is_resource_not_found_exception())?;
    }
    Ok(Output::Wait)
}

/// Describes the cluster itself: a list may lack a page, a description does not.
async fn exists(eks: &aws_sdk_eks::Client, cluster: &ClusterArn) -> Result<bool, Error> {
    let answer = eks.describe_cluster().name(cluster.id()).send().await;
    Ok(unless(answer, |e| e.is_resource_not_found_exception())?.is_some())
}
