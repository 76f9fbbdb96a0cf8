//! Hints that a workspace itself gives: a resource policy that denies writes, limits of active series, and a key that
//! its owner manages.

use super::Input;
use crate::{Error, aws::none_if, pair::Pair, policy, routing::glob, scrape_configuration, task::Task};
use aws_sdk_amp::{Client, types::LimitsPerLabelSet};
use serde_json::Value;
use std::collections::BTreeMap;

/// The action of a role that writes samples.
const WRITE: &str = "aps:RemoteWrite";

/// The possible causes that were read.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Statements that deny writing.
    pub denials: Vec<String>,
    /// What can be a cause: limits, the key, and what could not be read.
    pub others: Vec<String>,
}

/// Reads the workspace of the pair, and returns only what applies to it. A read that fails is a hint. Read-only.
pub(super) async fn hints(amp: &Client, task: &Task<Input>) -> Found {
    let pair = &task.pair;
    let labels = scrape_configuration::labels(&pair.cluster, &task.request.external_labels);
    let mut found = Found::default();
    match denials(amp, pair).await {
        Ok(denials) => found.denials = denials,
        Err(error) => found.others.push(unread(
            &format!(
                "The resource policy of the workspace {} must not deny {WRITE}",
                pair.workspace
            ),
            &error,
        )),
    }
    match limits(amp, pair, &labels).await {
        Ok(limits) => found.others.extend(limits),
        Err(error) => found.others.push(unread(
            &format!(
                "The limits of active series of the workspace {} must not be reached",
                pair.workspace
            ),
            &error,
        )),
    }
    match key(amp, pair).await {
        Ok(key) => found.others.extend(key),
        Err(error) => found.others.push(unread(
            &format!(
                "A key that encrypts the workspace {} must be usable by AMP",
                pair.workspace
            ),
            &error,
        )),
    }
    found
}

fn unread(requirement: &str, error: &Error) -> String {
    let advice = match error {
        Error::AccessDenied(_) => " Deploy the current infra/target-account.yaml in the target account.",
        _ => "",
    };
    format!("{requirement}, but could not be read: {error}{advice}")
}

/// The statements of the workspace's resource policy that deny writing. Whether a statement applies to the target role
/// depends on its principal and its conditions too, which a person has to compare.
async fn denials(amp: &Client, pair: &Pair) -> Result<Vec<String>, Error> {
    let workspace = &pair.workspace;
    let answer = amp.describe_resource_policy().workspace_id(workspace.id()).send().await;
    let Some(policy) = none_if(answer, |error| error.is_resource_not_found_exception())? else {
        return Ok(Vec::new());
    };
    let document: Value = serde_json::from_str(&policy.policy_document).map_err(|error| {
        Error::InvalidRequest(format!(
            "aps:DescribeResourcePolicy returned a policy that is not JSON: {error}."
        ))
    })?;
    let hint = |statement: String| {
        format!(
            "The resource policy of the workspace {workspace} denies {WRITE} in {statement}. It must not deny it to the \
             role {}: compare principal and conditions of the statement.",
            pair.target_role_arn()
        )
    };
    Ok(denying_statements(&document).into_iter().map(hint).collect())
}

/// The statements of a policy that deny writing, by their `Sid` or their number.
fn denying_statements(document: &Value) -> Vec<String> {
    let statements = match &document["Statement"] {
        Value::Array(all) => all.iter().collect(),
        one => vec![one],
    };
    let denying = statements.into_iter().enumerate().filter(|(_, statement)| {
        let names_write = |field: &str| policy::texts(&statement[field]).any(matches_write);
        statement["Effect"] == "Deny"
            && match statement.get("NotAction") {
                Some(_) => !names_write("NotAction"),
                None => names_write("Action"),
            }
    });
    denying
        .map(|(index, statement)| match statement["Sid"].as_str() {
            Some(sid) if !sid.is_empty() => format!("the statement {sid}"),
            _ => format!("statement {}", index + 1),
        })
        .collect()
}

/// Whether a pattern of a policy matches the action. Actions are not case-sensitive (IAM user guide, "IAM JSON policy
/// elements: Action").
fn matches_write(pattern: &str) -> bool {
    glob::matches(&pattern.to_ascii_lowercase(), &WRITE.to_ascii_lowercase())
}

/// The limits of active series that apply to the samples of the cluster.
async fn limits(amp: &Client, pair: &Pair, labels: &BTreeMap<String, String>) -> Result<Vec<String>, Error> {
    let (workspace, cluster) = (&pair.workspace, &pair.cluster);
    let answer = amp
        .describe_workspace_configuration()
        .workspace_id(workspace.id())
        .send()
        .await;
    let configuration = none_if(answer, |error| error.is_resource_not_found_exception())?
        .and_then(|answer| answer.workspace_configuration);
    let sets = configuration.and_then(|configuration| configuration.limits_per_label_set);
    let applying = applying_limits(&sets.unwrap_or_default(), labels);
    let hint = |(set, max): (BTreeMap<String, String>, i64)| {
        let set: Vec<String> = set.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        format!(
            "The workspace {workspace} limits the active series with the labels {{{}}} to {max}, which includes those of \
             the cluster {cluster}. AMP rejects new series if the limit is reached. Compare it with the metrics of the \
             workspace in CloudWatch, and raise it or drop series.",
            set.join(", ")
        )
    };
    Ok(applying.into_iter().map(hint).collect())
}

/// The limits that apply to all series with these labels. Zero is no limit (AMP API reference, LimitsPerLabelSetEntry).
/// The empty label set is the default: it applies to series that match no other set.
fn applying_limits(
    sets: &[LimitsPerLabelSet],
    labels: &BTreeMap<String, String>,
) -> Vec<(BTreeMap<String, String>, i64)> {
    let matches = |set: &&LimitsPerLabelSet| {
        set.label_set()
            .iter()
            .all(|(name, value)| labels.get(name) == Some(value))
    };
    let (defaults, named): (Vec<_>, Vec<_>) = sets.iter().filter(matches).partition(|set| set.label_set().is_empty());
    let applying = if named.is_empty() { defaults } else { named };
    applying
        .into_iter()
        .filter_map(|set| {
            let max = set.limits().and_then(|limits| limits.max_series())?;
            let label_set = set.label_set().clone().into_iter().collect();
            (max > 0).then_some((label_set, max))
        })
        .collect()
}

/// What the policy of a key must allow, if the owner of the workspace manages the key.
async fn key(amp: &Client, pair: &Pair) -> Result<Option<String>, Error> {
    let workspace = &pair.workspace;
    let answer = amp.describe_workspace().workspace_id(workspace.id()).send().await?;
    let Some(key) = answer.workspace.and_then(|workspace| workspace.kms_key_arn) else {
        return Ok(None);
    };
    Ok(Some(format!(
        "The workspace {workspace} is encrypted with the key {key}. The key must be enabled, and AMP's grants for it must \
         exist. AWS does not document whether AMP uses the key with the permissions of the writer: if it does, the key \
         policy must allow the role {} the actions kms:Decrypt and kms:GenerateDataKey, with the condition \
         kms:ViaService = aps.{}.amazonaws.com.",
        pair.target_role_arn(),
        workspace.region()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scrape_configuration::IDENTITY_LABEL;
    use aws_sdk_amp::types::LimitsPerLabelSetEntry;
    use serde_json::json;

    #[test]
    fn a_statement_denies_writing_if_its_actions_match() {
        let deny = |actions: Value| json!({ "Effect": "Deny", "Principal": "*", "Action": actions, "Resource": "*" });
        for (statement, denies) in [
            (deny(json!("aps:RemoteWrite")), true),
            (deny(json!("APS:remotewrite")), true),
            (deny(json!(["aps:QueryMetrics", "aps:*"])), true),
            (deny(json!("*")), true),
            (deny(json!("aps:Remote?rite")), true),
            (deny(json!(["aps:QueryMetrics", "aps:Get*"])), false),
            (deny(json!([])), false),
            (json!({ "Effect": "Allow", "Action": "*" }), false),
            (json!({ "Effect": "Deny", "NotAction": "aps:QueryMetrics" }), true),
            (json!({ "Effect": "Deny", "NotAction": ["aps:Remote*"] }), false),
            (json!({ "Effect": "Deny" }), false),
            (json!(null), false),
        ] {
            for statements in [statement.clone(), json!([statement])] {
                let found = denying_statements(&json!({ "Statement": statements }));
                assert_eq!(!found.is_empty(), denies, "{statements}");
            }
        }
        let both = json!({ "Statement": [
            { "Effect": "Deny", "Sid": "NoWrites", "Action": "aps:*" },
            { "Effect": "Deny", "Action": "*" },
        ] });
        assert_eq!(denying_statements(&both), ["the statement NoWrites", "statement 2"]);
    }

    #[test]
    fn a_limit_applies_if_the_cluster_has_all_labels_of_its_set() {
        let labels = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
        };
        let set = |pairs: &[(&str, &str)], max| {
            let limits = LimitsPerLabelSetEntry::builder().max_series(max).build();
            let set = LimitsPerLabelSet::builder().set_label_set(Some(labels(pairs).into_iter().collect()));
            set.limits(limits).build().unwrap()
        };
        let of_cluster = labels(&[(IDENTITY_LABEL, "arn"), ("team", "a")]);
        for (sets, expected) in [
            (vec![set(&[("team", "a")], 7)], vec![7]),
            (vec![set(&[("team", "a"), (IDENTITY_LABEL, "arn")], 7)], vec![7]),
            (vec![set(&[("team", "b")], 7)], vec![]),
            (vec![set(&[("team", "a"), ("namespace", "a")], 7)], vec![]),
            (vec![set(&[("team", "a")], 0)], vec![]),
            (vec![set(&[], 9)], vec![9]),
            (vec![set(&[], 9), set(&[("team", "b")], 7)], vec![9]),
            (vec![set(&[], 9), set(&[("team", "a")], 7)], vec![7]),
            (
                vec![set(&[("team", "a")], 7), set(&[(IDENTITY_LABEL, "arn")], 5)],
                vec![7, 5],
            ),
            (vec![], vec![]),
        ] {
            let found: Vec<i64> = applying_limits(&sets, &of_cluster)
                .into_iter()
                .map(|(_, max)| max)
                .collect();
            assert_eq!(found, expected, "{sets:?}");
        }
    }
}
