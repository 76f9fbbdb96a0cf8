//! Offboarding: the request, and the pairs to disconnect.

use crate::{
    arn::{ClusterArn, WorkspaceArn},
    error::Error,
    input::Fields,
    pair::Pair,
    request::check_same_region,
    roles, scraper,
};
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
}

/// The output of [`check`].
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Output {
    /// The request.
    pub request: Request,
}

/// The pairs to disconnect.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Pairs {
    /// One request for each pair.
    pub pairs: Vec<Request>,
}

impl TryFrom<Value> for Request {
    type Error = Error;

    /// Reads `{"request": {"clusterArn": …}}`. An error names the field.
    fn try_from(input: Value) -> Result<Self, Error> {
        let fields = Fields::of(&input["request"], &["clusterArn", "workspaceArn"], MINIMAL)?;
        let cluster_arn = fields.arn("clusterArn", "arn:<partition>:eks:<region>:<account>:cluster/<name>")?;
        let workspace_arn = fields.optional_arn("workspaceArn")?;
        if let Some(workspace_arn) = &workspace_arn {
            check_same_region(&cluster_arn, workspace_arn)?;
        }
        Ok(Self {
            cluster_arn,
            workspace_arn,
        })
    }
}

/// Returns the request, which is valid once it has been read. Makes no call to AWS.
///
/// # Errors
/// None.
pub fn check(request: Request) -> Result<Output, Error> {
    Ok(Output { request })
}

/// Finds the pairs of a cluster: that of the request, or all pairs with a scraper or a source role.
///
/// # Errors
/// Those of the calls to AMP and IAM.
pub async fn find_pairs(
    amp: &aws_sdk_amp::Client,
    iam: &aws_sdk_iam::Client,
    request: &Request,
) -> Result<Pairs, Error> {
    let cluster = &request.cluster_arn;
    if request.workspace_arn.is_some() {
        return Ok(Pairs {
            pairs: vec![request.clone()],
        });
    }
    let call = amp.list_scrapers().filters("sourceArn", vec![cluster.to_string()]);
    let mut pairs = scraper::pairs_of_cluster(&scraper::list(call).await?, cluster);
    pairs.extend(roles::pairs_of(iam, Some(cluster)).await?);
    pairs.sort_by_key(Pair::source_role_name);
    pairs.dedup();
    Ok(Pairs {
        pairs: pairs
            .into_iter()
            .map(|pair| Request {
                cluster_arn: pair.cluster,
                workspace_arn: Some(pair.workspace),
            })
            .collect(),
    })
}
