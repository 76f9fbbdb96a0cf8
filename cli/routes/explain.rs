//! Which rule of a routing table routes a cluster, and why each other rule does not.

use super::check::condition;
use ampxa::{
    arn::ClusterArn,
    routing::{Cluster, Match, Route, Routes, Rule},
    tags::{CHOICE_TAG, ONBOARD_TAG},
};
use serde::Serialize;
use std::collections::BTreeMap;

/// Why a cluster gets its route.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The ARN of the cluster.
    pub cluster_arn: String,
    /// `ONBOARD`, `SKIP` or `INVALID_CHOICE`.
    pub outcome: &'static str,
    /// The ARN of the workspace, if the cluster is onboarded.
    pub workspace_arn: Option<String>,
    /// Why.
    pub reason: String,
    /// The rules, in order.
    pub rules: Vec<Explained>,
}

/// A rule and a cluster.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explained {
    /// What the rule does: its workspace, or its reason to ignore clusters.
    pub rule: String,
    /// Whether the rule matches the cluster.
    pub matches: bool,
    /// Why it does not.
    pub because: Vec<String>,
}

/// Explains the route of a cluster.
pub fn explain(routes: &Routes, cluster: &Cluster<'_>) -> Explanation {
    let rules: Vec<Explained> = routes.rules.iter().map(|rule| explained(rule, cluster)).collect();
    let first = rules.iter().position(|rule| rule.matches);
    let (outcome, workspace, reason) = match routes.route(cluster) {
        Ok(Route::Onboard(onboarding)) => {
            let reason = match (cluster.tags.get(CHOICE_TAG), first) {
                (Some(chosen), _) => format!("its tag {CHOICE_TAG} chooses {chosen}"),
                (None, Some(index)) => format!("rules[{index}] is the first rule that matches"),
                (None, None) => "no rule matches, so it gets the hub's default workspace".to_owned(),
            };
            ("ONBOARD", Some(onboarding.workspace.to_string()), reason)
        }
        Ok(Route::Ignore(reason)) => ("SKIP", None, reason),
        Ok(Route::InvalidChoice(reason)) => ("INVALID_CHOICE", None, reason),
        Err(error) => ("INVALID_CHOICE", None, error.to_string()),
    };
    Explanation {
        cluster_arn: cluster.arn.to_string(),
        outcome,
        workspace_arn: workspace,
        reason,
        rules,
    }
}

fn explained(rule: &Rule, cluster: &Cluster<'_>) -> Explained {
    let mut because = Vec::new();
    let name = match rule {
        Rule::Onboard(_, onboarding) => {
            let workspace = &onboarding.workspace;
            if (workspace.partition(), workspace.region()) != (cluster.arn.partition(), cluster.arn.region()) {
                because.push(format!("its workspace is in {}", workspace.region()));
            }
            workspace.to_string()
        }
        Rule::Ignore(_, reason) => format!("ignore: {reason}"),
    };
    because.extend(mismatches(condition(rule), cluster));
    Explained {
        rule: name,
        matches: because.is_empty(),
        because,
    }
}

/// The fields of a condition that do not match, each with the value of the cluster.
fn mismatches(condition: &Match, cluster: &Cluster<'_>) -> Vec<String> {
    let mut all = Vec::new();
    let (account, region) = (cluster.arn.account(), cluster.arn.region());
    if let Some(accounts) = condition.accounts.as_ref().filter(|all| !all.contains(account)) {
        all.push(format!(
            "the account {account} is not in accounts ({})",
            joined(accounts)
        ));
    }
    let above = |unit: &String| cluster.organizational_units.contains(unit);
    if let Some(units) = condition
        .organizational_units
        .as_ref()
        .filter(|units| !units.iter().any(above))
    {
        let known = match cluster.organizational_units.is_empty() {
            true => "none given".to_owned(),
            false => cluster.organizational_units.join(", "),
        };
        let units = joined(units);
        all.push(format!(
            "no unit of its account ({known}) is in organizationalUnits ({units})"
        ));
    }
    if let Some(regions) = condition.regions.as_ref().filter(|all| !all.contains(region)) {
        all.push(format!("the Region {region} is not in regions ({})", joined(regions)));
    }
    if let Some(patterns) = &condition.cluster_names {
        let names = Match {
            cluster_names: Some(patterns.clone()),
            ..Match::default()
        };
        if !matches(names, cluster.arn, BTreeMap::new()) {
            let name = cluster.arn.id();
            all.push(format!(
                "the name {name} matches none of clusterNames ({})",
                joined(patterns)
            ));
        }
    }
    for (key, pattern) in &condition.tags {
        match cluster.tags.get(key) {
            None => all.push(format!("the cluster has no tag {key}")),
            Some(value) if !value_matches(pattern, value, cluster.arn) => {
                all.push(format!("the tag {key}={value} does not match {pattern}"));
            }
            Some(_) => {}
        }
    }
    all
}

/// Whether a pattern matches a value. The tag has a name that means nothing to ampxa.
fn value_matches(pattern: &str, value: &str, cluster: &ClusterArn) -> bool {
    let tag = |value: &str| BTreeMap::from([("value".to_owned(), value.to_owned())]);
    let tags = Match {
        tags: tag(pattern),
        ..Match::default()
    };
    matches(tags, cluster, tag(value))
}

/// Whether a condition matches, by the route of a table with one rule.
fn matches(condition: Match, cluster: &ClusterArn, tags: BTreeMap<String, String>) -> bool {
    debug_assert!(!tags.contains_key(ONBOARD_TAG));
    let routes = Routes {
        rules: vec![Rule::Ignore(condition, "matches".to_owned())],
        ..Routes::default()
    };
    let cluster = Cluster {
        arn: cluster,
        tags: &tags,
        organizational_units: &[],
        workspace: None,
    };
    matches!(routes.route(&cluster), Ok(Route::Ignore(reason)) if reason.starts_with("rules[0] "))
}

fn joined<T: ToString>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

impl Explanation {
    /// The explanation as text.
    pub fn text(&self) -> String {
        let mut lines = vec![self.cluster_arn.clone()];
        lines.push(match &self.workspace_arn {
            Some(workspace) => format!("is onboarded to {workspace}: {}.\n", self.reason),
            None => format!("is skipped: {}.\n", self.reason),
        });
        let first = self.rules.iter().position(|rule| rule.matches);
        for (index, rule) in self.rules.iter().enumerate() {
            lines.push(format!("rules[{index}]  {}", rule.rule));
            match rule.matches {
                true if first == Some(index) => lines.push("  is the first rule that matches".to_owned()),
                true => lines.push("  matches, but an earlier rule matches first".to_owned()),
                false => lines.extend(rule.because.iter().map(|why| format!("  does not match: {why}"))),
            }
        }
        if self.rules.is_empty() {
            lines.push("The table has no rule.".to_owned());
        }
        crate::style::printable(lines.join("\n").trim_end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::{parse, settings};
    use serde_json::json;

    fn explanation(tags: &[(&str, &str)], units: &[&str]) -> Explanation {
        let workspace = |region: &str, id: &str| format!("arn:aws:aps:{region}:333333333333:workspace/ws-{id}");
        let table = json!({ "rules": [
            { "match": { "accounts": ["444444444444"], "clusterNames": ["dev-*"] }, "ignore": "sandbox" },
            { "match": { "accounts": ["222222222222"] }, "workspaceArn": workspace("eu-west-1", "eu") },
            { "match": { "organizationalUnits": ["ou-a1b2-prod0000"], "tags": { "team": "pay*" } },
              "workspaceArn": workspace("us-west-2", "1") },
            { "match": { "accounts": ["222222222222"], "regions": ["us-west-2"] },
              "workspaceArn": workspace("us-west-2", "2") },
        ] });
        let routes = parse(Some(&table.to_string()), &settings("ampxa"), "file").unwrap();
        let tags = tags
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let units: Vec<String> = units.iter().map(|unit| (*unit).to_owned()).collect();
        let arn = "arn:aws:eks:us-west-2:222222222222:cluster/payments-prod"
            .parse()
            .unwrap();
        let cluster = Cluster {
            arn: &arn,
            tags: &tags,
            organizational_units: &units,
            workspace: None,
        };
        explain(&routes, &cluster)
    }

    #[test]
    fn each_rule_is_explained() {
        let expected = "\
arn:aws:eks:us-west-2:222222222222:cluster/payments-prod
is onboarded to arn:aws:aps:us-west-2:333333333333:workspace/ws-2: rules[3] is the first rule that matches.

rules[0]  ignore: sandbox
  does not match: the account 222222222222 is not in accounts (444444444444)
  does not match: the name payments-prod matches none of clusterNames (dev-*)
rules[1]  arn:aws:aps:eu-west-1:333333333333:workspace/ws-eu
  does not match: its workspace is in eu-west-1
rules[2]  arn:aws:aps:us-west-2:333333333333:workspace/ws-1
  does not match: no unit of its account (none given) is in organizationalUnits (ou-a1b2-prod0000)
  does not match: the tag team=search does not match pay*
rules[3]  arn:aws:aps:us-west-2:333333333333:workspace/ws-2
  is the first rule that matches";
        assert_eq!(explanation(&[("team", "search")], &[]).text(), expected);
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let explanation = explanation(&[("team", "payments")], &["ou-a1b2-prod0000"]);
        assert_eq!(
            explanation.workspace_arn.as_deref(),
            Some("arn:aws:aps:us-west-2:333333333333:workspace/ws-1")
        );
        assert!(
            explanation
                .text()
                .ends_with("  matches, but an earlier rule matches first")
        );
    }

    #[test]
    fn tags_of_ampxa_decide_before_the_rules() {
        let skipped = explanation(&[("ampxa:onboard", "no")], &[]);
        assert_eq!(
            (skipped.outcome, skipped.reason.as_str()),
            ("SKIP", "its tag ampxa:onboard has the value no")
        );
        let chosen = explanation(&[("ampxa:workspace", "ws-2")], &[]);
        assert_eq!(chosen.reason, "its tag ampxa:workspace chooses ws-2");
        assert_eq!(
            explanation(&[("ampxa:workspace", "ws-9")], &[]).outcome,
            "INVALID_CHOICE"
        );
    }
}
