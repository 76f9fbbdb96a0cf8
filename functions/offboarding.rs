//! Offboarding: the request, and the pairs to disconnect.

use crate::{
    VERSION,
    arn::{ClusterArn, WorkspaceArn},
    aws::Account,
    cluster,
    error::Error,
    input::Fields,
    pair::Pair,
    request::{Mode, check_same_region, expected_plan},
    roles, scraper,
};
use aws_sdk_eks::types::ClusterStatus;
use serde::Serialize;
use serde_json::Value;

/// A minimal request, for messages.
const MINIMAL: &str = r#"{"clusterArn": "…"}"#;

/// The request of an offboarding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// The cluster. Required. It need not exist.
    pub cluster_arn: ClusterArn,
    /// The workspace. Absent: all workspaces that ampxa connected the cluster to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace_arn: Option<WorkspaceArn>,
    /// What the request follows from.
    #[serde(skip_serializing_if = "Origin::is_default")]
    pub origin: Origin,
    /// Whether the execution makes changes.
    #[serde(skip_serializing_if = "Mode::is_default")]
    pub mode: Mode,
    /// The fingerprint of a plan. The execution makes no change if the plan has changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_plan: Option<String>,
}

/// What a request follows from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Origin {
    /// A person, or a reconciliation which has checked twice that the cluster does not exist.
    #[default]
    Request,
    /// An event about the deletion of the cluster. It may arrive late, when a cluster of this name exists again.
    Event,
    /// A reconciliation that removes a pair which the routing table no longer names. It stops if an account cannot be
    /// reached: the next reconciliation must find the pair again.
    Reconciliation,
}

impl Origin {
    /// Whether this is the default, which the JSON of a request omits: the steps that remove a pair read a request
    /// without this field.
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The output of [`check`].
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Output {
    /// The request.
    pub request: Request,
    /// The version of ampxa.
    pub version: &'static str,
}

/// The pairs to disconnect.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pairs {
    /// One request for each pair.
    pub pairs: Vec<Request>,
    /// Why the cluster is skipped. There are then no pairs.
    pub skip_reason: Option<String>,
}

impl TryFrom<Value> for Request {
    type Error = Error;

    /// Reads `{"request": {"clusterArn": …}}`. An error names the field.
    fn try_from(input: Value) -> Result<Self, Error> {
        let fields = Fields::of(
            &input["request"],
            &["clusterArn", "workspaceArn", "origin", "mode", "expectedPlan"],
            MINIMAL,
        )?;
        let cluster_arn = fields.arn("clusterArn", "arn:<partition>:eks:<region>:<account>:cluster/<name>")?;
        let workspace_arn = fields.optional_arn("workspaceArn")?;
        if let Some(workspace_arn) = &workspace_arn {
            check_same_region(&cluster_arn, workspace_arn)?;
        }
        Ok(Self {
            cluster_arn,
            workspace_arn,
            origin: fields.choice(
                "origin",
                [
                    ("REQUEST", Origin::Request),
                    ("EVENT", Origin::Event),
                    ("RECONCILIATION", Origin::Reconciliation),
                ],
            )?,
            mode: fields.choice("mode", Mode::ALL)?,
            expected_plan: expected_plan(&fields)?,
        })
    }
}

/// Returns the request, which is valid once it has been read. Makes no call to AWS.
///
/// # Errors
/// None.
pub fn check(request: Request) -> Result<Output, Error> {
    Ok(Output {
        request,
        version: VERSION,
    })
}

/// Finds the pairs of a cluster: that of the request, or all pairs with a scraper or a source role. Read-only. The pair
/// of a request needs no search, so the source account is not assumed for it: it may be closed.
///
/// If the request follows from an event and the cluster exists, there are none. The event is then late: the cluster was
/// deleted and created again.
///
/// # Errors
/// Those of the source account and of the calls to EKS, AMP and IAM.
pub async fn find_pairs(source: impl AsyncFn() -> Result<Account, Error>, request: &Request) -> Result<Pairs, Error> {
    let cluster = &request.cluster_arn;
    let pair = |workspace_arn| Request {
        cluster_arn: cluster.clone(),
        workspace_arn: Some(workspace_arn),
        origin: Origin::default(),
        mode: Mode::default(),
        expected_plan: None,
    };
    if request.origin == Origin::Event
        && let Some(skip_reason) = reason_to_skip(&source().await?.eks(), cluster).await?
    {
        return Ok(Pairs {
            pairs: Vec::new(),
            skip_reason: Some(skip_reason),
        });
    }
    if let Some(workspace) = &request.workspace_arn {
        return Ok(Pairs {
            pairs: vec![pair(workspace.clone())],
            skip_reason: None,
        });
    }
    let source = source().await.map_err(with_the_other_request)?;
    let call = source
        .amp()
        .list_scrapers()
        .filters("sourceArn", vec![cluster.to_string()]);
    let mut pairs = scraper::pairs_of_cluster(&scraper::list(call).await?, cluster);
    pairs.extend(roles::pairs_of(&source.iam(), Some(cluster)).await?);
    pairs.sort_by_key(Pair::source_role_name);
    pairs.dedup();
    Ok(Pairs {
        pairs: pairs.into_iter().map(|found| pair(found.workspace)).collect(),
        skip_reason: None,
    })
}

/// Adds to an account that cannot be reached the request that does not need it.
fn with_the_other_request(error: Error) -> Error {
    match error {
        Error::AccessDenied(why) => Error::AccessDenied(format!(
            "{why} The pairs of the cluster are only known in this account. If it is closed or has left the \
             organization, add the workspace to the request, {{\"clusterArn\": …, \"workspaceArn\": …}}: then the target \
             role is removed without this account."
        )),
        other => other,
    }
}

/// Why an event about the deletion of a cluster is no reason to disconnect it, if so: the cluster exists, and is not
/// being deleted.
async fn reason_to_skip(eks: &aws_sdk_eks::Client, cluster: &ClusterArn) -> Result<Option<String>, Error> {
    let status = match cluster::find(eks, cluster).await? {
        Some(found) => found.status,
        None => return Ok(None),
    };
    if status == Some(ClusterStatus::Deleting) {
        return Ok(None);
    }
    let status = status.as_ref().map_or("not known", ClusterStatus::as_str);
    Ok(Some(format!(
        "The event about the deletion of the cluster {cluster} is late: a cluster of this name exists, and its status is \
         {status}. Nothing was removed. If the cluster is to be disconnected, start an offboarding without \"origin\"."
    )))
}
