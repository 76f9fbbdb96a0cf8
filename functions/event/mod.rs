//! What happened, as EventBridge tells it: a cluster was made or deleted, an account was vended.
//!
//! EKS sends no event of its own when a cluster is made or deleted; CloudTrail's are what there is.
//! The envelope's account and Region are EventBridge's word; the rest is the caller's, so what an event
//! says about another account or Region than its envelope's is refused.

use crate::{
    arn::{ClusterArn, Partition, is_account},
    error::Error,
    input::{kind, shown},
    names,
};
use serde_json::Value;
use std::collections::BTreeMap;

/// The longest name that an execution may have, in characters (Step Functions API reference,
/// StartExecution).
const LONGEST_NAME: usize = 80;

/// Something that starts an execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A cluster is being made.
    ClusterCreated {
        /// The cluster.
        cluster: ClusterArn,
        /// Its tags.
        tags: BTreeMap<String, String>,
        /// The event's id; the same when the event is told again.
        id: String,
    },
    /// A cluster is being deleted.
    ClusterDeleted {
        /// The cluster.
        cluster: ClusterArn,
        /// The event's id.
        id: String,
    },
    /// An account was vended, enrolled or customized again.
    AccountVended {
        /// The account, 12 digits.
        account: String,
        /// The workspace it was vended with, by id or ARN.
        workspace: Option<String>,
        /// The event's id.
        id: String,
    },
}

/// An event as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// It starts something.
    Recognized(Event),
    /// It starts nothing, for this reason.
    Ignored(String),
}

impl TryFrom<Value> for Reading {
    type Error = Error;

    /// Reads an event in EventBridge's envelope.
    ///
    /// CloudTrail's record of a call is as AWS documents it (CloudTrail user guide, "CloudTrail record
    /// contents"); Control Tower's and AWS Organizations' events are service events within such a record.
    fn try_from(envelope: Value) -> Result<Self, Error> {
        let detail = &envelope["detail"];
        let source = text(&envelope["source"]);
        let told = [source, text(&detail["eventSource"]), text(&detail["eventName"])];
        match told {
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
                "it tells of {} of {}, which starts nothing",
                shown(told[2]),
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
    let said = &detail["responseElements"]["cluster"];
    let asked = &detail["requestParameters"];
    let arn = match text(&said["arn"]) {
        "" => {
            // CloudTrail writes the name under either word.
            let name = [&asked["name"], &asked["clusterName"]].into_iter().map(text);
            let name = name.into_iter().find(|name| !name.is_empty()).unwrap_or_default();
            let partition = Partition::of_region(region);
            format!("arn:{partition}:eks:{region}:{account}:cluster/{name}")
        }
        arn => arn.to_owned(),
    };
    let cluster: ClusterArn = arn
        .parse()
        .map_err(|why| Error::invalid("detail.responseElements.cluster.arn", why))?;
    if (cluster.account(), cluster.region()) != (account, region) {
        return Err(Error::invalid(
            "detail.responseElements.cluster.arn",
            format!(
                "{cluster} is not of the account {} and the Region {} that the event comes from; an account may tell of \
                 its own clusters only",
                shown(account),
                shown(region)
            ),
        ));
    }
    let id = id(envelope)?;
    Ok(Reading::Recognized(match text(&detail["eventName"]) {
        "CreateCluster" => Event::ClusterCreated {
            cluster,
            tags: tags(&asked["tags"]).or(tags(&said["tags"])).unwrap_or_default(),
            id,
        },
        _ => Event::ClusterDeleted { cluster, id },
    }))
}

/// Account vending by Control Tower or AWS Organizations: only what succeeded has an account.
fn account_event(envelope: &Value, status: &str, account: &str) -> Result<Reading, Error> {
    let status_path = format!("detail.serviceEventDetails.{status}");
    let status = &envelope["detail"]["serviceEventDetails"][status];
    match text(&status["state"]) {
        "SUCCEEDED" => {}
        "" => return Err(Error::invalid(&status_path, "expected an object with a state")),
        state => return Ok(Reading::Ignored(format!("the account's vending is {}", shown(state)))),
    }
    let path = format!("{status_path}{}", account.replace('/', "."));
    let account = status.pointer(account).map_or("", text);
    vended(&path, account, None, id(envelope)?)
}

/// The event of `infra/aft`, which carries AFT's custom fields as they are: a text that holds JSON.
fn aft_event(envelope: &Value) -> Result<Reading, Error> {
    const FIELDS: &str = "detail.customFields";
    let detail = &envelope["detail"];
    let fields = match &detail["customFields"] {
        Value::Null => Value::Null,
        Value::String(text) if text.trim().is_empty() => Value::Null,
        Value::String(text) => serde_json::from_str(text)
            .map_err(|why| Error::invalid(FIELDS, format!("expected a text that holds JSON: {why}")))?,
        other => other.clone(),
    };
    let workspace = match &fields["amp_workspace"] {
        Value::Null => None,
        Value::String(workspace) if workspace.is_empty() => None,
        Value::String(workspace) => Some(workspace.clone()),
        other => {
            let why = format!("expected a workspace's id or ARN, not {}", kind(other));
            return Err(Error::invalid(&format!("{FIELDS}.amp_workspace"), why));
        }
    };
    vended("detail.account", text(&detail["account"]), workspace, id(envelope)?)
}

fn vended(path: &str, account: &str, workspace: Option<String>, id: String) -> Result<Reading, Error> {
    if !is_account(account) {
        let why = format!("{} is no account; expected 12 digits", shown(account));
        return Err(Error::invalid(path, why));
    }
    Ok(Reading::Recognized(Event::AccountVended {
        account: account.to_owned(),
        workspace,
        id,
    }))
}

/// CloudTrail's own id of the call, which stays when the event is told again; else EventBridge's.
fn id(envelope: &Value) -> Result<String, Error> {
    let id = [&envelope["detail"]["eventID"], &envelope["id"]].into_iter().map(text);
    let id = id.into_iter().find(|id| !id.is_empty()).map(str::to_owned);
    id.ok_or_else(|| {
        Error::invalid(
            "detail.eventID",
            "missing; without it, a repeated event cannot be known",
        )
    })
}

fn tags(value: &Value) -> Option<BTreeMap<String, String>> {
    let tags = value.as_object()?.iter();
    Some(tags.map(|(key, value)| (key.clone(), text(value).to_owned())).collect())
}

/// A text, or nothing.
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

impl Event {
    /// The name of the execution that the event starts: the same whenever the same event is told.
    pub fn execution_name(&self) -> String {
        let (what, of, id) = match self {
            Self::ClusterCreated { cluster, id, .. } => ("create", cluster.id(), id),
            Self::ClusterDeleted { cluster, id } => ("delete", cluster.id(), id),
            Self::AccountVended { account, id, .. } => ("account", account.as_str(), id),
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        let id = match id.len() <= 40 && id.chars().all(plain) {
            true => id.clone(),
            false => names::hash(&[id], 32),
        };
        execution_name(what, of, &id)
    }
}

/// `<what>-<of, shortened>-<id>`, as long as an execution's name may be.
pub(crate) fn execution_name(what: &str, of: &str, id: &str) -> String {
    let room = LONGEST_NAME - what.len() - id.len() - 2;
    let of: String = of.chars().take(room).collect();
    format!("{what}-{of}-{id}")
}

#[cfg(test)]
mod tests;
