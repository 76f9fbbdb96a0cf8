//! Determines which workspace a cluster belongs to, if any.

use super::clusters;
use crate::{
    arn::{ClusterArn, ExecutionArn, WorkspaceArn},
    cluster,
    error::Error,
    input,
    pair::Pair,
    roles,
    routing::{self, Route, Settings},
    tags, telemetry,
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
    /// The workspaces that an event or a reconciliation connected the cluster to.
    #[serde(default)]
    pub routed_workspaces: Vec<WorkspaceArn>,
    /// Whether to offboard those of them that the routing table no longer names.
    #[serde(default)]
    pub remove_unrouted: bool,
}

impl TryFrom<Value> for Input {
    type Error = Error;

    /// Parses `{"clusterArn": "…", "organizationalUnits": […], "workspace": "…", "reconciliation": "…"}`.
    fn try_from(input: Value) -> Result<Self, Error> {
        input::of_machine(&input)
    }
}

/// What to do about a cluster and its pairs.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Output {
    /// What to do about the cluster.
    #[serde(flatten)]
    pub decision: Decision,
    /// Pairs that the routing table no longer names: to report.
    pub unrouted: Vec<Unrouted>,
    /// Pairs that the routing table no longer names: to offboard.
    pub removals: Vec<Unrouted>,
}

/// A pair that an event or a reconciliation connected, and that the routing table no longer names.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unrouted {
    /// The cluster.
    pub cluster_arn: ClusterArn,
    /// The workspace.
    pub workspace_arn: WorkspaceArn,
    /// The name of the execution that offboards the pair.
    pub name: String,
}

/// What to do about a cluster.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "UPPERCASE")]
pub enum Decision {
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

/// Determines the workspace of a cluster, by its tags and the routing table, and its pairs that the routing table no
/// longer names. Read-only.
///
/// A cluster that is being deleted, or whose tag is not valid, has no such pairs, and neither has a reconciliation whose
/// field `workspace` overrides the table.
///
/// # Errors
/// `InvalidRequest` if the routing table is not valid, or if the reconciliation chooses a workspace that is not open to
/// the cluster's account; and those of the calls.
pub async fn route(
    ssm: &aws_sdk_ssm::Client,
    eks: &aws_sdk_eks::Client,
    iam: &aws_sdk_iam::Client,
    settings: &Settings,
    input: &Input,
) -> Result<Output, Error> {
    let skip = |reason: &str, unrouted: Vec<Unrouted>| {
        let reason = reason.to_owned();
        Ok(input.output(Decision::Skip { reason }, unrouted))
    };
    let Some(described) = cluster::find(eks, &input.cluster).await? else {
        return skip("it was deleted meanwhile", Vec::new());
    };
    if described.status() == Some(&ClusterStatus::Deleting) {
        return skip("it is being deleted", Vec::new());
    }
    let cluster_tags = described.tags.unwrap_or_default().into_iter().collect();
    let cluster = routing::Cluster {
        arn: &input.cluster,
        tags: &cluster_tags,
        organizational_units: &input.organizational_units,
        workspace: input.workspace.as_deref(),
    };
    let routes = routing::read(ssm, settings).await?;
    // The units were read before the routing table. If it names units only since then, they are not known.
    let unknown_units = routes.uses_organizational_units() && input.organizational_units.is_empty();
    let unrouted = async |workspace: Option<&WorkspaceArn>| match unknown_units {
        true => Ok(Vec::new()),
        false => input.unrouted(iam, workspace).await,
    };
    match routes.route(&cluster)? {
        Route::Ignore(why) => skip(&why, unrouted(None).await?),
        Route::InvalidChoice(why) => {
            telemetry::record_invalid_choice(&settings.hub, &input.cluster);
            skip(&why, Vec::new())
        }
        Route::Onboard(onboarding) => {
            let decision = Decision::Onboard {
                name: clusters::execution_name(input.name_prefix(), &input.reconciliation, &input.cluster),
                request: routing::request(ssm, &input.cluster, &onboarding).await?,
            };
            Ok(input.output(decision, unrouted(Some(&onboarding.workspace)).await?))
        }
    }
}

impl Input {
    /// How the name of the onboarding begins. A pair whose workspace the reconciliation chooses is one of its request, not
    /// of the routing table ([`tags`]).
    fn name_prefix(&self) -> &'static str {
        match self.workspace {
            Some(_) => tags::CHOICE_PREFIX,
            None => "reconcile",
        }
    }

    /// The routed pairs with another workspace than that of the cluster's route. A scraper that was created again has the
    /// origin of its last onboarding, so the source role must have the same origin.
    async fn unrouted(
        &self,
        iam: &aws_sdk_iam::Client,
        workspace: Option<&WorkspaceArn>,
    ) -> Result<Vec<Unrouted>, Error> {
        let mut unrouted = Vec::new();
        if self.workspace.is_some() {
            return Ok(unrouted);
        }
        for routed in self
            .routed_workspaces
            .iter()
            .filter(|routed| workspace != Some(*routed))
        {
            let pair = Pair {
                cluster: self.cluster.clone(),
                workspace: routed.clone(),
            };
            if roles::is_routed(iam, &pair).await? {
                unrouted.push(Unrouted {
                    cluster_arn: self.cluster.clone(),
                    workspace_arn: routed.clone(),
                    name: clusters::removal_name(&self.reconciliation, &self.cluster, routed),
                });
            }
        }
        Ok(unrouted)
    }

    fn output(&self, decision: Decision, unrouted: Vec<Unrouted>) -> Output {
        let (unrouted, removals) = match self.remove_unrouted {
            true => (Vec::new(), unrouted),
            false => (unrouted, Vec::new()),
        };
        Output {
            decision,
            unrouted,
            removals,
        }
    }
}
