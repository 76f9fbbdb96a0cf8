//! The policy documents of both roles, as pure functions of the pair, and the comparison of policy documents.

use crate::{
    arn::{ScraperArn, WorkspaceArn},
    pair::Pair,
};
use serde_json::{Map, Value, json};

/// The texts of a member of a policy: those of a list, or the only one.
pub(crate) fn texts(value: &Value) -> impl Iterator<Item = &str> {
    let all = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    all.iter().filter_map(Value::as_str)
}

/// The service principal that assumes the source role (AMP user guide, "Cross-account setup").
pub const SCRAPER_SERVICE: &str = "scraper.aps.amazonaws.com";

/// The scraper that the trust policies of a pair admit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate<'a> {
    /// The placeholder ([`Pair::placeholder`]), until the patch.
    Placeholder,
    /// This scraper only.
    Scraper(&'a ScraperArn),
}

impl Gate<'_> {
    fn scraper(self, pair: &Pair) -> String {
        match self {
            Self::Placeholder => pair.placeholder(),
            Self::Scraper(scraper) => scraper.to_string(),
        }
    }
}

/// The trust policy of the source role: AMP may assume it on behalf of the scraper.
pub fn source_trust(pair: &Pair, gate: Gate<'_>) -> Value {
    document(json!({
        "Effect": "Allow",
        "Principal": { "Service": SCRAPER_SERVICE },
        "Action": "sts:AssumeRole",
        "Condition": {
            "ArnEquals": { "aws:SourceArn": gate.scraper(pair) },
            "StringEquals": { "aws:SourceAccount": pair.cluster.account() },
        },
    }))
}

/// The trust policy of the target role: the source role may assume it with the scraper's ARN as external id.
pub fn target_trust(pair: &Pair, gate: Gate<'_>) -> Value {
    document(json!({
        "Effect": "Allow",
        "Principal": { "AWS": pair.source_role_arn() },
        "Action": "sts:AssumeRole",
        "Condition": { "StringEquals": { "sts:ExternalId": gate.scraper(pair) } },
    }))
}

/// The permissions of the source role: it may assume the target role.
pub fn source_permissions(pair: &Pair) -> Value {
    document(json!({
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Resource": pair.target_role_arn(),
    }))
}

/// The inline policy of the target role: restricts AWS's managed policy to the workspace of the pair.
pub fn target_permissions(pair: &Pair) -> Value {
    document(json!({
        "Effect": "Deny",
        "Action": "aps:RemoteWrite",
        "NotResource": pair.workspace.to_string(),
    }))
}

/// The session policy for the check of ingestion: queries of one workspace.
///
/// A session policy also limits what the policy of a KMS key allows the role (IAM user guide, "Session policies"). AWS
/// does not document whether AMP uses the key of a workspace with the permissions of the caller, so that is not denied.
/// The suffix of AMP's name depends on the partition.
pub fn query_permissions(workspace: &WorkspaceArn) -> Value {
    let query = json!({
        "Effect": "Allow",
        "Action": "aps:QueryMetrics",
        "Resource": workspace.to_string(),
    });
    let decrypt = json!({
        "Effect": "Allow",
        "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
        "Resource": "*",
        "Condition": { "StringLike": { "kms:ViaService": format!("aps.{}.*", workspace.region()) } },
    });
    json!({ "Version": "2012-10-17", "Statement": [query, decrypt] })
}

fn document(statement: Value) -> Value {
    json!({ "Version": "2012-10-17", "Statement": [statement] })
}

/// Whether two policy documents allow and deny the same.
///
/// IAM may return a string as a list with one item, a single statement as a list, and lists in another order. That does
/// not change what a policy allows.
pub fn same_meaning(a: &Value, b: &Value) -> bool {
    normalized(a) == normalized(b)
}

fn normalized(document: &Value) -> Value {
    let Value::Object(document) = document else {
        return document.clone();
    };
    let mut document = document.clone();
    let statements = document.remove("Statement").map(|statements| {
        sorted(match statements {
            Value::Array(list) => list.iter().map(normalized_statement).collect(),
            single => vec![normalized_statement(&single)],
        })
    });
    document.extend(statements.map(|statements| ("Statement".to_owned(), statements)));
    Value::Object(document)
}

fn normalized_statement(statement: &Value) -> Value {
    let Value::Object(statement) = statement else {
        return statement.clone();
    };
    let map_of_maps = |value: &Value| map_values(value, &|inner| map_values(inner, &sorted_list));
    statement
        .iter()
        .map(|(key, value)| {
            let value = match key.as_str() {
                "Action" | "NotAction" | "Resource" | "NotResource" => sorted_list(value),
                "Principal" | "NotPrincipal" => map_values(value, &sorted_list),
                "Condition" => map_of_maps(value),
                _ => value.clone(),
            };
            (key.clone(), value)
        })
        .collect::<Map<_, _>>()
        .into()
}

/// Applies a function to the values of an object.
fn map_values(value: &Value, function: &dyn Fn(&Value) -> Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (key.clone(), function(value)))
            .collect::<Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

/// A string, or a list of strings, as a sorted list.
fn sorted_list(value: &Value) -> Value {
    match value {
        Value::Array(list) => sorted(list.clone()),
        single => json!([single]),
    }
}

fn sorted(mut list: Vec<Value>) -> Value {
    list.sort_by_cached_key(Value::to_string);
    list.dedup();
    list.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> Pair {
        Pair {
            cluster: "arn:aws:eks:us-west-2:222222222222:cluster/demo".parse().unwrap(),
            workspace: "arn:aws:aps:us-west-2:333333333333:workspace/ws-1".parse().unwrap(),
        }
    }

    #[test]
    fn documents_that_differ_in_order_and_shape_have_the_same_meaning() {
        let ours = target_trust(&pair(), Gate::Placeholder);
        let returned = json!({
            "Statement": {
                "Condition": { "StringEquals": { "sts:ExternalId": [pair().placeholder()] } },
                "Action": ["sts:AssumeRole"],
                "Principal": { "AWS": [pair().source_role_arn()] },
                "Effect": "Allow",
            },
            "Version": "2012-10-17",
        });
        assert!(same_meaning(&ours, &returned));
    }

    #[test]
    fn a_wider_document_has_another_meaning() {
        let ours = source_trust(&pair(), Gate::Placeholder);
        let mut wider = ours.clone();
        wider["Statement"][0]["Action"] = json!(["sts:AssumeRole", "sts:TagSession"]);
        let mut unconditional = ours.clone();
        unconditional["Statement"][0]["Condition"] = json!({});
        let mut two_statements = ours.clone();
        two_statements["Statement"] =
            json!([ours["Statement"][0], { "Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole" }]);
        for other in [wider, unconditional, two_statements, json!(null), json!({}), json!([])] {
            assert!(!same_meaning(&ours, &other), "{other}");
        }
    }

    #[test]
    fn a_document_with_the_id_of_a_deleted_principal_has_another_meaning() {
        let ours = target_trust(&pair(), Gate::Placeholder);
        let mut broken = ours.clone();
        broken["Statement"][0]["Principal"]["AWS"] = json!("AROAEXAMPLEID12345678");
        assert!(!same_meaning(&ours, &broken));
    }
}
