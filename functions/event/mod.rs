//! Parses EventBridge events: a cluster was created or deleted, or an account was vended.
//!
//! EKS sends no event when a cluster is created or deleted, so the events of CloudTrail are used. Only the EventBridge
//! envelope is trusted: the account and Region in `detail` must match it.

use crate::{
    arn::{AccountId, ClusterArn, Partition},
    error::Error,
    input::{self, json_type, shown},
    names,
};
use serde_json::Value;
use std::collections::BTreeMap;

/// The maximum length of the name of an execution, in characters (Step Functions API reference, StartExecution).
const MAX_NAME_LENGTH: usize = 80;

/// An event that starts an execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A cluster is being created.
    ClusterCreated {
        /// The cluster.
        cluster: ClusterArn,
        /// Its tags.
        tags: BTreeMap<String, String>,
        /// The id of the event. A repeated event has the same id.
        id: String,
    },
    /// A cluster is being deleted.
    ClusterDeleted {
        /// The cluster.
        cluster: ClusterArn,
        /// The id of the event.
        id: String,
    },
    /// An account was vended, enrolled or updated.
    AccountVended {
        /// The account.
        account: AccountId,
        /// The workspace that was chosen when the account was vended: an id or an ARN.
        workspace: Option<String>,
        /// The id of the event.
        id: String,
    },
}

/// A parsed event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// It starts an execution.
    Recognized(Event),
    /// It starts no execution, for this reason.
    Ignored(String),
}

impl TryFrom<Value> for Reading {
    type Error = Error;

    /// Parses an event in EventBridge's envelope.
    ///
    /// `detail` is a CloudTrail record (CloudTrail user guide, "CloudTrail record contents"). The events of Control
    /// Tower and AWS Organizations are service events within such a record.
    fn try_from(envelope: Value) -> Result<Self, Error> {
        let detail = &envelope["detail"];
        let source = text(&envelope["source"]);
        let event_name = text(&detail["eventName"]);
        match [source, text(&detail["eventSource"]), event_name] {
            ["aws.eks", "eks.amazonaws.com", "CreateCluster" | "DeleteCluster"] => cluster_event(&envelope),
            ["aws.controltower", "controltower.amazonaws.com", "CreateManagedAccount"] => {
                account_event(&envelope, "createManagedAccountStatus", "/account/accountId")
            }
            ["aws.controltower", "controltower.amazonaws.com", "UpdateManagedAccount"] => {
                account_event(&envelope, "updateManagedAccountStatus", "/account/accountId")
            }
            [
                "aws.organizations",
                "organizations.amazonaws.com",
                "CreateAccountResult",
            ] => account_event(&envelope, "createAccountStatus", "/accountId"),
            ["ampxa.aft", ..] => aft_event(&envelope),
            _ => Ok(Self::Ignored(format!(
                "ampxa does not handle the event {} of {}",
                shown(event_name),
                shown(source)
            ))),
        }
    }
}

fn cluster_event(envelope: &Value) -> Result<Reading, Error> {
    let detail = &envelope["detail"];
    if !detail["errorCode"].is_null() {
        let why = format!("the call failed with {}", shown(text(&detail["errorCode"])));
        return Ok(Reading::Ignored(why));
    }
    let (account, region) = (text(&envelope["account"]), text(&envelope["region"]));
    let response = &detail["responseElements"]["cluster"];
    let request = &detail["requestParameters"];
    let arn = match text(&response["arn"]) {
        "" => {
            // CloudTrail uses either field for the name of the cluster.
            let name = [&request["name"], &request["clusterName"]].into_iter().map(text);
            let name = name.into_iter().find(|name| !name.is_empty()).unwrap_or_default();
            let partition = Partition::of_region(region);
            format!("arn:{partition}:eks:{region}:{account}:cluster/{name}")
        }
        arn => arn.to_owned(),
    };
    let cluster: ClusterArn = arn
        .parse()
        .map_err(|why| Error::invalid("detail.responseElements.cluster.arn", why))?;
    if (&**cluster.account(), &**cluster.region()) != (account, region) {
        return Err(Error::invalid(
            "detail.responseElements.cluster.arn",
            format!(
                "{cluster} is not in the account {} and the Region {} that sent the event; an account can only report \
                 its own clusters",
                shown(account),
                shown(region)
            ),
        ));
    }
    let id = id(envelope)?;
    Ok(Reading::Recognized(match text(&detail["eventName"]) {
        "CreateCluster" => Event::ClusterCreated {
            cluster,
            tags: tags(&request["tags"]).or(tags(&response["tags"])).unwrap_or_default(),
            id,
        },
        _ => Event::ClusterDeleted { cluster, id },
    }))
}

/// Parses an account vending by Control Tower or AWS Organizations. Only a successful one has an account.
fn account_event(envelope: &Value, status: &str, account: &str) -> Result<Reading, Error> {
    let status_path = format!("detail.serviceEventDetails.{status}");
    let status = &envelope["detail"]["serviceEventDetails"][status];
    match text(&status["state"]) {
        "SUCCEEDED" => {}
        "" => {
            return Err(Error::invalid(
                &status_path,
                "expected an object with the field \"state\"",
            ));
        }
        state => {
            return Ok(Reading::Ignored(format!(
                "the state of the account vending is {}",
                shown(state)
            )));
        }
    }
    let path = format!("{status_path}{}", account.replace('/', "."));
    let account = status.pointer(account).map_or("", text);
    account_vended(&path, account, None, id(envelope)?)
}

/// Parses the event of `infra/aft`. AFT's custom fields are a string that contains JSON.
fn aft_event(envelope: &Value) -> Result<Reading, Error> {
    const FIELDS: &str = "detail.customFields";
    let detail = &envelope["detail"];
    let fields = match &detail["customFields"] {
        Value::Null => Value::Null,
        Value::String(text) if text.trim().is_empty() => Value::Null,
        Value::String(text) => input::json_text(text)
            .map_err(|why| Error::invalid(FIELDS, format!("expected a string that contains JSON: {why}")))?,
        other => other.clone(),
    };
    let workspace = match &fields["amp_workspace"] {
        Value::Null => None,
        Value::String(workspace) if workspace.is_empty() => None,
        Value::String(workspace) => Some(workspace.clone()),
        other => {
            let why = format!("expected the id or ARN of a workspace, not {}", json_type(other));
            return Err(Error::invalid(&format!("{FIELDS}.amp_workspace"), why));
        }
    };
    account_vended("detail.account", text(&detail["account"]), workspace, id(envelope)?)
}

fn account_vended(path: &str, account: &str, workspace: Option<String>, id: String) -> Result<Reading, Error> {
    Ok(Reading::Recognized(Event::AccountVended {
        account: account.parse().map_err(|why| Error::invalid(path, why))?,
        workspace,
        id,
    }))
}

/// The id of the event: that of CloudTrail, which a repeated event keeps, or else that of EventBridge.
fn id(envelope: &Value) -> Result<String, Error> {
    let id = [&envelope["detail"]["eventID"], &envelope["id"]].into_iter().map(text);
    match id.into_iter().find(|id| !id.is_empty()) {
        Some(id) => Ok(id.to_owned()),
        None => Err(Error::invalid(
            "detail.eventID",
            "missing; expected the id by which a repeated event is recognized",
        )),
    }
}

fn tags(value: &Value) -> Option<BTreeMap<String, String>> {
    let tags = value.as_object()?.iter();
    Some(tags.map(|(key, value)| (key.clone(), text(value).to_owned())).collect())
}

/// The string in a value; empty if it is not a string.
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

impl Event {
    /// The name of the execution that the event starts. A repeated event has the same name.
    pub fn execution_name(&self) -> String {
        let (action, subject, id) = match self {
            Self::ClusterCreated { cluster, id, .. } => ("create", cluster.id(), id),
            Self::ClusterDeleted { cluster, id } => ("delete", cluster.id(), id),
            Self::AccountVended { account, id, .. } => ("account", &**account, id),
        };
        let valid = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        let id = match id.len() <= 40 && id.chars().all(valid) {
            true => id.clone(),
            false => names::hash(&[id], 32),
        };
        execution_name(action, subject, &id)
    }
}

/// The name `<prefix>-<subject>-<id>`. The subject is shortened to the maximum length of a name.
pub(crate) fn execution_name(prefix: &str, subject: &str, id: &str) -> String {
    let room = MAX_NAME_LENGTH - prefix.len() - id.len() - 2;
    let subject: String = subject.chars().take(room).collect();
    format!("{prefix}-{subject}-{id}")
}

#[cfg(test)]
mod tests;
