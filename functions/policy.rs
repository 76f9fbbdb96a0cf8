//! The policy documents of both roles, as pure functions of the pair, and what it means for two
//! documents to say the same.

use crate::{
    arn::{ScraperArn, WorkspaceArn},
    pair::Pair,
};
use serde_json::{Map, Value, json};

/// The service principal that AMP's collector assumes the source role as (AMP user guide,
/// "Cross-account setup").
pub const SCRAPER_SERVICE: &str = "scraper.aps.amazonaws.com";

/// Whether a role may be worn yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate<'a> {
    /// The scraper is not known or not ready: the placeholder stands in its place.
    Placeholder,
    /// This scraper, and nothing else, may wear the role.
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

/// Who may assume the source role: AMP's collector on behalf of the scraper.
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

/// Who may assume the target role: the source role, naming the scraper as external id.
pub fn target_trust(pair: &Pair, gate: Gate<'_>) -> Value {
    document(json!({
        "Effect": "Allow",
        "Principal": { "AWS": pair.source_role_arn() },
        "Action": "sts:AssumeRole",
        "Condition": { "StringEquals": { "sts:ExternalId": gate.scraper(pair) } },
    }))
}

/// What the source role may do: assume the target role.
pub fn source_permissions(pair: &Pair) -> Value {
    document(json!({
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Resource": pair.target_role_arn(),
    }))
}

/// What narrows AWS's managed policy on the target role to this pair's workspace.
pub fn target_permissions(pair: &Pair) -> Value {
    document(json!({
        "Effect": "Deny",
        "Action": "aps:RemoteWrite",
        "NotResource": pair.workspace.to_string(),
    }))
}

/// What a session that only looks for samples may do.
pub fn queries(workspace: &WorkspaceArn) -> Value {
    document(json!({
        "Effect": "Allow",
        "Action": "aps:QueryMetrics",
        "Resource": workspace.to_string(),
    }))
}

fn document(statement: Value) -> Value {
    json!({ "Version": "2012-10-17", "Statement": [statement] })
}

/// Whether two policy documents mean the same.
///
/// IAM may give back a string as a list of one, a lone statement as a list, and lists in another
/// order; none of that changes what a policy allows.
pub fn same_meaning(a: &Value, b: &Value) -> bool {
    normal(a) == normal(b)
}

fn normal(document: &Value) -> Value {
    let Value::Object(document) = document else {
        return document.clone();
    };
    let mut document = document.clone();
    let statements = document.remove("Statement").map(|statements| {
        sorted(match statements {
            Value::Array(list) => list.iter().map(normal_statement).collect(),
            one => vec![normal_statement(&one)],
        })
    });
    document.extend(statements.map(|statements| ("Statement".to_owned(), statements)));
    Value::Object(document)
}

fn normal_statement(statement: &Value) -> Value {
    let Value::Object(statement) = statement else {
        return statement.clone();
    };
    let two_deep = |value: &Value| nested(value, &|inner| nested(inner, &set));
    statement
        .iter()
        .map(|(key, value)| {
            let value = match key.as_str() {
                "Action" | "NotAction" | "Resource" | "NotResource" => set(value),
                "Principal" | "NotPrincipal" => nested(value, &set),
                "Condition" => two_deep(value),
                _ => value.clone(),
            };
            (key.clone(), value)
        })
        .collect::<Map<_, _>>()
        .into()
}

fn nested(value: &Value, inner: &dyn Fn(&Value) -> Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (key.clone(), inner(value)))
            .collect::<Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

/// A string or a list of them, as a sorted list.
fn set(value: &Value) -> Value {
    match value {
        Value::Array(list) => sorted(list.clone()),
        one => json!([one]),
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
    fn order_and_shape_do_not_change_the_meaning() {
        let ours = target_trust(&pair(), Gate::Placeholder);
        let theirs = json!({
            "Statement": {
                "Condition": { "StringEquals": { "sts:ExternalId": [pair().placeholder()] } },
                "Action": ["sts:AssumeRole"],
                "Principal": { "AWS": [pair().source_role_arn()] },
                "Effect": "Allow",
            },
            "Version": "2012-10-17",
        });
        assert!(same_meaning(&ours, &theirs));
    }

    #[test]
    fn one_word_more_is_another_meaning() {
        let ours = source_trust(&pair(), Gate::Placeholder);
        let mut wider = ours.clone();
        wider["Statement"][0]["Action"] = json!(["sts:AssumeRole", "sts:TagSession"]);
        let mut bare = ours.clone();
        bare["Statement"][0]["Condition"] = json!({});
        let mut twice = ours.clone();
        twice["Statement"] =
            json!([ours["Statement"][0], { "Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole" }]);
        for other in [wider, bare, twice, json!(null), json!({}), json!([])] {
            assert!(!same_meaning(&ours, &other), "{other}");
        }
    }

    #[test]
    fn the_id_of_a_deleted_principal_is_another_meaning() {
        let ours = target_trust(&pair(), Gate::Placeholder);
        let mut broken = ours.clone();
        broken["Statement"][0]["Principal"]["AWS"] = json!("AROAEXAMPLEID12345678");
        assert!(!same_meaning(&ours, &broken));
    }
}
