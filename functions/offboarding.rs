//! Offboarding: what a person asks to take away, and which pairs that is.

use crate::{
    arn::{ClusterArn, WorkspaceArn},
    error::Error,
    input::Fields,
    pair::Pair,
    request::same_place,
    roles, scraper,
};
use serde::Serialize;
use serde_json::Value;

/// The least that works, for messages.
const LEAST: &str = r#"{"clusterArn": "…"}"#;

/// What one execution of the offboarding is asked to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// The cluster. Required; it need not exist any more.
    pub cluster_arn: ClusterArn,
    /// The workspace; absent: every workspace that ampxa connected the cluster to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace_arn: Option<WorkspaceArn>,
}

/// The request, as every later step is given it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Output {
    /// The request.
    pub request: Request,
}

/// The pairs that are to go.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Pairs {
    /// Each a request of its own.
    pub pairs: Vec<Request>,
}

impl TryFrom<Value> for Request {
    type Error = Error;

    /// Reads `{"request": {"clusterArn": …}}`, and refuses by field what is wrong.
    fn try_from(input: Value) -> Result<Self, Error> {
        let fields = Fields::of(&input["request"], &["clusterArn", "workspaceArn"], LEAST)?;
        let cluster_arn = fields.arn("clusterArn", "arn:<partition>:eks:<region>:<account>:cluster/<name>")?;
        let workspace_arn = fields.optional_arn("workspaceArn")?;
        if let Some(workspace_arn) = &workspace_arn {
            same_place(&cluster_arn, workspace_arn)?;
        }
        Ok(Self {
            cluster_arn,
            workspace_arn,
        })
    }
}

/// Parses and refuses; touches nothing.
///
/// # Errors
/// None: what is wrong was refused when it was read.
pub fn check(request: Request) -> Result<Output, Error> {
    Ok(Output { request })
}

/// Finds the pairs of a cluster: the one that is named, or all whose scraper or source role is there.
///
/// # Errors
/// As AWS answers.
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
    let mut pairs = scraper::ours_of_cluster(&scraper::list(call).await?, cluster);
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
