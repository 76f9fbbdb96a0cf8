//! The step `Prepare cluster`: makes the changes of a cluster that the request allows and that a scraper needs.
//!
//! The rules are EKS's: a request contains one type of update, one update at a time is in progress, and the
//! authentication mode cannot be reverted (EKS API reference, UpdateClusterConfig; EKS user guide, "Change authentication
//! mode to use access entries"). A change is never reverted here, because others may depend on it by then.

use crate::{
    arn::ClusterArn, cluster::describe, difference::Difference, error::Error, names, request::Preparation, task::Task,
};
use aws_sdk_eks::{
    Client,
    types::{
        AuthenticationMode, Cluster, ClusterStatus, Update, UpdateAccessConfigRequest, UpdateStatus, UpdateType,
        VpcConfigRequest,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Values from earlier steps.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    /// The changes that the cluster needs. The first one that the cluster does not have is made.
    pub preparations: Vec<Preparation>,
    /// The update that this execution started last, if any.
    pub update_id: Option<String>,
}

/// What [`prepare`] did.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// The update that this execution started last, if any.
    pub update_id: Option<String>,
}

impl Preparation {
    /// Whether a cluster has the change.
    pub(crate) fn is_done(self, cluster: &Cluster) -> bool {
        match self {
            Self::PrivateEndpoint => cluster
                .resources_vpc_config()
                .is_some_and(|vpc| vpc.endpoint_private_access()),
            Self::AccessEntries => matches!(
                cluster.access_config().and_then(|access| access.authentication_mode()),
                Some(AuthenticationMode::Api | AuthenticationMode::ApiAndConfigMap)
            ),
        }
    }

    /// What differs while a cluster does not have the change.
    pub(crate) fn difference(self) -> Difference {
        match self {
            Self::PrivateEndpoint => Difference {
                path: "private endpoint access",
                before: json!(false),
                after: json!(true),
            },
            Self::AccessEntries => Difference {
                path: "authentication mode",
                before: json!(AuthenticationMode::ConfigMap.as_str()),
                after: json!(AuthenticationMode::ApiAndConfigMap.as_str()),
            },
        }
    }

    /// The type of EKS's update.
    fn update_type(self) -> UpdateType {
        match self {
            Self::PrivateEndpoint => UpdateType::EndpointAccessUpdate,
            Self::AccessEntries => UpdateType::AccessConfigUpdate,
        }
    }
}

/// Makes the first change that the cluster does not have, if no update is in progress. Call it again until the cluster has
/// all of them.
///
/// # Errors
/// `NotReady` if EKS could not make the last change, or if the cluster is being deleted; and those of the calls to EKS.
pub async fn prepare(eks: &Client, task: &Task<Input>) -> Result<Output, Error> {
    let cluster = &task.pair.cluster;
    let last = match &task.input.update_id {
        Some(id) => last_update(eks, cluster, id).await?,
        None => None,
    };
    let waiting = || Output {
        update_id: task.input.update_id.clone(),
    };
    if last.as_ref().and_then(Update::status) == Some(&UpdateStatus::InProgress) {
        return Ok(waiting());
    }
    let described = describe(eks, cluster).await?;
    let missing = task
        .input
        .preparations
        .iter()
        .find(|change| !change.is_done(&described));
    match missing {
        // EKS does not show the last change yet.
        Some(next) if last.as_ref().and_then(Update::r#type) == Some(&next.update_type()) => Ok(waiting()),
        // If no update is known and one is in progress, it may be ours: the response of an earlier call was lost.
        Some(next) if last.is_none() || described.status() == Some(&ClusterStatus::Active) => {
            Ok(start(eks, task, *next).await?.unwrap_or_else(waiting))
        }
        _ => Ok(waiting()),
    }
}

/// The last update. One that EKS did not complete is an error.
async fn last_update(eks: &Client, cluster: &ClusterArn, id: &str) -> Result<Option<Update>, Error> {
    let request = eks.describe_update().name(cluster.id()).update_id(id);
    let update = request.send().await?.update;
    match update.as_ref().and_then(Update::status) {
        Some(status @ (UpdateStatus::Failed | UpdateStatus::Cancelled)) => {
            let errors = update.as_ref().map_or(&[][..], Update::errors);
            let reasons = errors.iter().filter_map(|error| error.error_message());
            let reasons: Vec<&str> = reasons.collect();
            Err(Error::NotReady(format!(
                "EKS did not update the cluster {cluster}: its update {id} is {status}. {} Correct the cause, then start \
                 again.",
                reasons.join(" ")
            )))
        }
        _ => Ok(update),
    }
}

/// Starts a change. `None`: another update is in progress, or the cluster has the change already.
async fn start(eks: &Client, task: &Task<Input>, change: Preparation) -> Result<Option<Output>, Error> {
    let cluster = &task.pair.cluster;
    // EKS returns the same update to a call that is repeated.
    let token = names::hash(&[&task.execution.to_string(), change.as_str()], 64);
    let request = eks
        .update_cluster_config()
        .name(cluster.id())
        .client_request_token(token);
    let request = match change {
        Preparation::PrivateEndpoint => {
            request.resources_vpc_config(VpcConfigRequest::builder().endpoint_private_access(true).build())
        }
        Preparation::AccessEntries => request.access_config(
            UpdateAccessConfigRequest::builder()
                .authentication_mode(AuthenticationMode::ApiAndConfigMap)
                .build(),
        ),
    };
    match request.send().await {
        Ok(output) => Ok(Some(Output {
            update_id: output.update.and_then(|update| update.id),
        })),
        // Another update is in progress: the transition of the cluster to UPDATING is eventually consistent.
        Err(error)
            if error
                .as_service_error()
                .is_some_and(|e| e.is_resource_in_use_exception()) =>
        {
            Ok(None)
        }
        // EKS refuses a change that the cluster already has: someone made it since the cluster was described.
        Err(error)
            if error
                .as_service_error()
                .is_some_and(|e| e.is_invalid_parameter_exception())
                && change.is_done(&describe(eks, cluster).await?) =>
        {
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}
