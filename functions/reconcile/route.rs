//! Determines which workspace a cluster belongs to, if any.

use super::clusters;
use crate::{
    arn::{ClusterArn, ExecutionArn},
    cluster,
    error::Error,
    input,
    routing::{self, Route, Settings},
};
use aws_sdk_eks::types::ClusterStatus;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The cluster to route.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    /// The cluster.
    #[serde(rename = "clusterArn")]
    pub cluster: ClusterArn,
    /// The organizational units above its account.
    #[serde(default)]
    pub organizational_units: Vec<String>,
    /// The field `workspace` of the reconciliation: an id or an ARN.
    pub workspace: Option<String>,
    /// The ARN of the reconciliation. The name of the execution that it starts follows from it.
    pub reconciliation: ExecutionArn,
}

impl TryFrom<Value> for Input {
    type Error = Error;

    /// Parses `{"clusterArn": "…", "organizationalUnits": […], "workspace": "…", "reconciliation": "…"}`.
    fn try_from(input: Value) -> Result<Self, Error> {
        input::of_machine(&input)
    }
}

/// What to do about a cluster.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "UPPERCASE")]
pub enum Output {
    /// Onboard it.
    Onboard {
        /// The name of the execution.
        name: String,
        /// The input of the execution.
        request: Value,
    },
    /// Skip it.
    Skip {
        /// Why.
        reason: String,
    },
}

/// Determines the workspace of a cluster, by its tags and the routing table. Read-only.
///
/// # Errors
/// `InvalidRequest` if the routing table is not valid, or if the chosen workspace is not open to the cluster's account;
/// and those of the calls.
pub async fn route(
    ssm: &aws_sdk_ssm::Client,
    eks: &aws_sdk_eks::Client,
    settings: &Settings,
    input: &Input,
) -> Result<Output, Error> {
    let skip = |reason: &str| {
        Ok(Output::Skip {
            reason: reason.to_owned(),
        })
    };
    let Some(described) = cluster::find(eks, &input.cluster).await? else {
        return skip("it was deleted meanwhile");
    };
    if described.status() == Some(&ClusterStatus::Deleting) {
        return skip("it is being deleted");
    }
    let tags = described.tags.unwrap_or_default().into_iter().collect();
    let cluster = routing::Cluster {
        arn: &input.cluster,
        tags: &tags,
        organizational_units: &input.organizational_units,
        workspace: input.workspace.as_deref(),
    };
    match routing::read(ssm, settings).await?.route(&cluster)? {
        Route::Ignore(why) => skip(&why),
        Route::Onboard(onboarding) => Ok(Output::Onboard {
            name: clusters::execution_name("reconcile", &input.reconciliation, &input.cluster),
            request: routing::request(ssm, &input.cluster, &onboarding).await?,
        }),
    }
}
