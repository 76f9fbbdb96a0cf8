//! Handles orphans: scrapers of ampxa whose cluster does not exist any more.
//!
//! A cluster must be missing in two consecutive reconciliations before it is offboarded. The first one only tags its
//! scrapers with [`ORPHAN_TAG`].

use super::clusters;
use crate::{
    arn::{ClusterArn, ExecutionArn, ScraperArn},
    aws::none_if,
    error::Error,
    input,
    tags::{ORPHAN_TAG, RECOVERED},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A cluster that is missing, or was missing and exists again.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    /// The cluster.
    #[serde(rename = "clusterArn")]
    pub cluster: ClusterArn,
    /// Its scrapers.
    #[serde(rename = "scraperArns")]
    pub scrapers: Vec<ScraperArn>,
    /// Whether `find-clusters` did not list it.
    pub missing: bool,
    /// The ARN of the reconciliation that tagged the scrapers, from their tag.
    pub orphan_since: Option<String>,
    /// The ARN of this reconciliation.
    pub reconciliation: ExecutionArn,
}

impl TryFrom<Value> for Input {
    type Error = Error;

    /// Parses an item of the output of `find-clusters`, and the reconciliation.
    fn try_from(input: Value) -> Result<Self, Error> {
        input::of_machine(&input)
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

/// Tags the scrapers of a cluster that is missing, or removes the tag if the cluster exists. If AWS does not remove the
/// tag, its value is replaced by [`RECOVERED`].
///
/// Idempotent: a repeated call in the same reconciliation returns the same output.
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
            if none_if(untag.send().await, |e| e.is_resource_not_found_exception()).is_err() {
                // The tag must not count when the cluster is missing again. TagResource is another permission.
                write_tag(amp, scraper, RECOVERED).await?;
            }
        }
        return Ok(Output::Recovered);
    }
    if input
        .orphan_since
        .as_ref()
        .is_some_and(|first| input.reconciliation != **first)
    {
        return Ok(Output::Offboard {
            name: clusters::execution_name("reconcile-orphan", &input.reconciliation, &input.cluster),
            request: json!({ "clusterArn": input.cluster }),
        });
    }
    for scraper in &input.scrapers {
        write_tag(amp, scraper, &input.reconciliation).await?;
    }
    Ok(Output::Wait)
}

/// Writes the tag of a scraper, if the scraper exists.
async fn write_tag(amp: &aws_sdk_amp::Client, scraper: &ScraperArn, value: &str) -> Result<(), Error> {
    let tag = amp.tag_resource().resource_arn(scraper.to_string());
    let tagged = tag.tags(ORPHAN_TAG, value).send().await;
    none_if(tagged, |e| e.is_resource_not_found_exception())?;
    Ok(())
}

/// Whether a cluster exists. It is described, because a list may lack a page. Any response but "not found" counts as
/// existing, because what follows is an offboarding.
async fn exists(eks: &aws_sdk_eks::Client, cluster: &ClusterArn) -> Result<bool, Error> {
    let answer = eks.describe_cluster().name(cluster.id()).send().await;
    Ok(none_if(answer, |e| e.is_resource_not_found_exception())?.is_some())
}
