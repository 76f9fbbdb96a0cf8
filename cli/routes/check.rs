//! Warnings about a valid routing table.

use ampxa::routing::{Match, Routes, Rule};

/// The warnings about a table, each with the path of its rule.
pub fn warnings(routes: &Routes) -> Vec<String> {
    let mut warnings = Vec::new();
    for (index, rule) in routes.rules.iter().enumerate() {
        let earlier = routes.rules[..index].iter().position(|earlier| covers(earlier, rule));
        if let Some(earlier) = earlier {
            warnings.push(format!(
                "rules[{index}]: no cluster reaches this rule, because rules[{earlier}] matches the same clusters; \
                 remove one of the two, or move the narrower rule up"
            ));
        }
        warnings.extend(other_region(index, rule));
    }
    if routes.rules.is_empty() && routes.default_workspace.is_none() {
        warnings.push(
            "rules: the table has no rule, so each cluster is skipped unless the hub has a default workspace; add a \
             rule"
                .to_owned(),
        );
    }
    if routes.uses_organizational_units() {
        warnings.push(
            "organizationalUnits: the hub needs the parameter OrganizationsAccess=yes to match organizational units"
                .to_owned(),
        );
    }
    warnings
}

/// A rule whose condition lists Regions without that of its workspace matches no cluster.
fn other_region(index: usize, rule: &Rule) -> Option<String> {
    let Rule::Onboard(condition, onboarding) = rule else {
        return None;
    };
    let (regions, workspace) = (condition.regions.as_ref()?, &onboarding.workspace);
    if regions.contains(workspace.region()) {
        let others = regions.iter().filter(|region| *region != workspace.region()).count();
        return (others > 0).then(|| {
            format!(
                "rules[{index}].match.regions: only {} can match, because the workspace is in this Region; remove the \
                 others",
                workspace.region()
            )
        });
    }
    Some(format!(
        "rules[{index}].match.regions: the rule matches no cluster, because its workspace is in {}; name a workspace in \
         one of its Regions",
        workspace.region()
    ))
}

/// Whether each cluster that `later` matches is matched by `earlier`. It can miss a case, but is never wrong.
fn covers(earlier: &Rule, later: &Rule) -> bool {
    let workspaces_allow = match (earlier, later) {
        (Rule::Ignore(..), _) => true,
        (Rule::Onboard(_, first), Rule::Onboard(_, second)) => {
            let (first, second) = (&first.workspace, &second.workspace);
            (first.partition(), first.region()) == (second.partition(), second.region())
        }
        (Rule::Onboard(..), Rule::Ignore(..)) => false,
    };
    workspaces_allow && contains(condition(earlier), condition(later))
}

/// The condition of a rule.
pub(super) fn condition(rule: &Rule) -> &Match {
    match rule {
        Rule::Onboard(condition, _) | Rule::Ignore(condition, _) => condition,
    }
}

/// Whether each field of the wider condition is absent, or contains that of the narrower one.
fn contains(wider: &Match, narrower: &Match) -> bool {
    list_contains(&wider.accounts, &narrower.accounts)
        && list_contains(&wider.organizational_units, &narrower.organizational_units)
        && list_contains(&wider.regions, &narrower.regions)
        && list_contains(&wider.cluster_names, &narrower.cluster_names)
        && wider
            .tags
            .iter()
            .all(|(key, value)| narrower.tags.get(key) == Some(value))
}

fn list_contains<T: PartialEq>(wider: &Option<Vec<T>>, narrower: &Option<Vec<T>>) -> bool {
    match (wider, narrower) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(wider), Some(narrower)) => narrower.iter().all(|item| wider.contains(item)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::{parse, settings};
    use serde_json::{Value, json};

    fn of(table: Value) -> Vec<String> {
        warnings(&parse(Some(&table.to_string()), &settings("ampxa"), "file").unwrap())
    }

    const WORKSPACE: &str = "arn:aws:aps:us-west-2:333333333333:workspace/ws-1";

    #[test]
    fn a_rule_that_no_cluster_reaches_is_reported() {
        let rule = |accounts: &[&str]| json!({ "match": { "accounts": accounts }, "workspaceArn": WORKSPACE });
        let table = json!({ "rules": [rule(&["222222222222", "444444444444"]), rule(&["222222222222"])] });
        let warnings = of(table);
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].starts_with("rules[1]: no cluster reaches this rule, because rules[0]"));
        assert!(of(json!({ "rules": [rule(&["222222222222"]), rule(&["444444444444"])] })).is_empty());
        let after_all = of(json!({ "rules": [{ "ignore": "closed" }, rule(&["222222222222"])] }));
        assert_eq!(after_all.len(), 1);
        // A rule with a workspace does not cover one that ignores clusters of all Regions.
        let ignore = json!({ "match": { "accounts": ["222222222222"] }, "ignore": "x" });
        assert!(of(json!({ "rules": [rule(&["222222222222"]), ignore] })).is_empty());
    }

    #[test]
    fn regions_without_that_of_the_workspace_are_reported() {
        let rule = |regions: &[&str]| {
            let condition = json!({ "accounts": ["222222222222"], "regions": regions });
            of(json!({ "rules": [{ "match": condition, "workspaceArn": WORKSPACE }] }))
        };
        assert!(rule(&["us-west-2"]).is_empty());
        assert!(rule(&["eu-west-1"])[0].contains("matches no cluster, because its workspace is in us-west-2"));
        assert!(rule(&["us-west-2", "eu-west-1"])[0].contains("only us-west-2 can match"));
    }

    #[test]
    fn an_empty_table_and_organizational_units_are_reported() {
        assert!(of(json!({ "rules": [] }))[0].starts_with("rules: the table has no rule"));
        let units = json!({ "organizationalUnits": ["ou-a1b2-c3d4e5f6"] });
        let warnings = of(json!({ "rules": [{ "match": units, "ignore": "x" }] }));
        assert!(warnings[0].contains("OrganizationsAccess=yes"), "{warnings:?}");
    }
}
