use super::*;
use crate::request::PatchTrust;
use proptest::prelude::*;

const CLUSTER: &str = "arn:aws:eks:us-west-2:222222222222:cluster/payments-prod";

fn settings() -> Settings {
    Settings {
        parameter: "/ampxa/routes".to_owned(),
        default_workspace: String::new(),
        organizations: true,
    }
}

fn workspace(id: &str) -> String {
    format!("arn:aws:aps:us-west-2:333333333333:workspace/ws-{id}")
}

fn table(table: Value) -> Routes {
    Routes::parse(Some(&table.to_string()), &settings()).unwrap()
}

fn refused(text: &str, settings: &Settings) -> String {
    let error = Routes::parse(Some(text), settings).unwrap_err();
    assert_eq!(error.name(), "InvalidRequest");
    error.to_string()
}

/// Routes [`CLUSTER`] with these tags, in an account below these organizational units.
fn route(routes: &Routes, tags: &[(&str, &str)], units: &[&str], of_account: Option<&str>) -> Result<Route, Error> {
    let tags = tags.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let units: Vec<String> = units.iter().map(ToString::to_string).collect();
    routes.route(&Cluster {
        arn: &CLUSTER.parse().unwrap(),
        tags: &tags,
        organizational_units: &units,
        workspace: of_account,
    })
}

/// The id of the workspace that [`CLUSTER`] gets, or the reason why it is skipped.
fn outcome(routes: &Routes, tags: &[(&str, &str)]) -> String {
    match route(routes, tags, &["ou-a1b2-prod0000", "ou-a1b2-top00000"], None).unwrap() {
        Route::Onboard(onboarding) => onboarding.workspace.id().to_owned(),
        Route::Ignore(why) => why,
    }
}

/// A table of one rule with this condition.
fn one_rule(condition: Value) -> Routes {
    table(json!({ "rules": [{ "match": condition, "workspaceArn": workspace("1") }] }))
}

#[test]
fn every_field_of_a_condition_must_match_and_one_item_of_a_list() {
    let none = "no rule matches it, and there is no default workspace";
    for (condition, matches) in [
        (json!({}), true),
        (json!(null), true),
        (json!({ "accounts": ["222222222222"] }), true),
        (json!({ "accounts": ["111111111111", "222222222222"] }), true),
        (json!({ "accounts": ["111111111111"] }), false),
        (json!({ "organizationalUnits": ["ou-a1b2-prod0000"] }), true),
        (json!({ "organizationalUnits": ["ou-a1b2-top00000"] }), true),
        (json!({ "organizationalUnits": ["ou-a1b2-other000"] }), false),
        (json!({ "regions": ["us-west-2"] }), true),
        (json!({ "regions": ["us-west-1"] }), false),
        (json!({ "clusterNames": ["*-prod"] }), true),
        (json!({ "clusterNames": ["prod", "pay*"] }), true),
        (json!({ "clusterNames": ["prod"] }), false),
        (json!({ "tags": { "team": "pay*" } }), true),
        (json!({ "tags": { "team": "pay*", "stage": "prod" } }), false),
        (json!({ "tags": { "Team": "payments" } }), false),
        (
            json!({ "accounts": ["222222222222"], "regions": ["us-west-2"], "clusterNames": ["x"] }),
            false,
        ),
    ] {
        let outcome = outcome(&one_rule(condition.clone()), &[("team", "payments")]);
        assert_eq!(outcome, if matches { "ws-1" } else { none }, "{condition}");
    }
}

#[test]
fn the_first_rule_that_matches_decides() {
    let routes = table(json!({ "rules": [
        { "match": { "tags": { "stage": "sandbox" } }, "ignore": "sandboxes are not scraped" },
        { "match": { "clusterNames": ["payments-*"] }, "workspaceArn": workspace("1") },
        { "workspaceArn": workspace("2") },
    ] }));
    assert_eq!(outcome(&routes, &[]), "ws-1");
    let reason = outcome(&routes, &[("stage", "sandbox")]);
    assert_eq!(reason, "rules[0] ignores it: sandboxes are not scraped");
}

#[test]
fn a_rule_with_a_workspace_in_another_region_or_partition_does_not_match() {
    let other_region = "arn:aws:aps:eu-west-1:333333333333:workspace/ws-e";
    let china = "arn:aws-cn:aps:cn-north-1:333333333333:workspace/ws-c";
    let rules = [other_region.to_owned(), china.to_owned(), workspace("1")].map(|arn| json!({ "workspaceArn": arn }));
    let rules = json!({ "rules": rules });
    assert_eq!(outcome(&table(rules), &[]), "ws-1");
    let only = json!({ "rules": [{ "workspaceArn": other_region }] });
    for (default, expected) in [
        (workspace("d"), "ws-d"),
        (
            other_region.to_owned(),
            "no rule matches it, and the default workspace arn:aws:aps:eu-west-1:333333333333:workspace/ws-e is in \
             another Region",
        ),
    ] {
        let settings = Settings {
            default_workspace: default,
            ..settings()
        };
        let routes = Routes::parse(Some(&only.to_string()), &settings).unwrap();
        assert_eq!(outcome(&routes, &[]), expected);
    }
}

#[test]
fn without_a_table_clusters_get_the_default_workspace() {
    let with_default = Settings {
        default_workspace: workspace("d"),
        ..settings()
    };
    let routes = Routes::parse(None, &with_default).unwrap();
    assert_eq!(outcome(&routes, &[]), "ws-d");
    let routes = Routes::parse(None, &settings()).unwrap();
    assert!(outcome(&routes, &[]).contains("there is no default workspace"));
    let not_an_arn = Settings {
        default_workspace: "ws-d".to_owned(),
        ..settings()
    };
    let error = Routes::parse(None, &not_an_arn).unwrap_err().to_string();
    assert!(error.starts_with("DefaultWorkspaceArn: "), "{error}");
}

#[test]
fn the_opt_out_tag_of_a_cluster_is_stronger_than_rules_and_choices() {
    let routes = one_rule(json!({}));
    let chosen = workspace("1");
    for tags in [
        &[("ampxa:onboard", "no")][..],
        &[("ampxa:onboard", "no"), ("ampxa:workspace", chosen.as_str())],
    ] {
        assert_eq!(outcome(&routes, tags), "its tag ampxa:onboard has the value no");
    }
    assert_eq!(outcome(&routes, &[("ampxa:onboard", "yes")]), "ws-1");
}

#[test]
fn a_cluster_chooses_among_the_workspaces_that_the_table_allows() {
    let with_default = Settings {
        default_workspace: workspace("d"),
        ..settings()
    };
    let json = json!({
        "rules": [
            { "workspaceArn": workspace("1") },
            { "workspaceArn": workspace("2"), "externalLabels": { "a": "b" } },
            { "match": { "accounts": ["111111111111"] }, "workspaceArn": workspace("3"), "patchTrust": "EARLY" },
        ],
        "workspaces": [workspace("4"), "arn:aws:aps:eu-west-1:333333333333:workspace/ws-5"],
    });
    let routes = Routes::parse(Some(&json.to_string()), &with_default).unwrap();
    for (chosen, expected) in [
        ("ws-2", "ws-2"),
        ("ws-3", "ws-3"),
        ("ws-4", "ws-4"),
        ("ws-d", "ws-d"),
        (workspace("4").as_str(), "ws-4"),
    ] {
        assert_eq!(outcome(&routes, &[("ampxa:workspace", chosen)]), expected);
    }
    for chosen in [
        "ws-9",
        "",
        "ws-5",
        "arn:aws:aps:us-west-2:444444444444:workspace/ws-4",
        "*",
    ] {
        let error = route(&routes, &[("ampxa:workspace", chosen)], &[], None).unwrap_err();
        assert_eq!(error.name(), "InvalidRequest");
        let error = error.to_string();
        assert!(error.starts_with("the cluster's tag ampxa:workspace: "), "{error}");
        assert!(
            error.contains("allows for the cluster") && error.len() < 1000,
            "{error}"
        );
    }
    let options = |chosen| match route(&routes, &[("ampxa:workspace", chosen)], &[], None) {
        Ok(Route::Onboard(onboarding)) => (onboarding.external_labels.len(), onboarding.patch_trust),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        options("ws-2"),
        (1, PatchTrust::Final),
        "expected the options of the rule that matches"
    );
    assert_eq!(
        options("ws-3"),
        (0, PatchTrust::Final),
        "expected no options of a rule that does not match"
    );
}

#[test]
fn the_workspace_of_a_vended_account_is_a_choice_and_weaker_than_that_of_the_cluster() {
    let routes =
        table(json!({ "rules": [{ "workspaceArn": workspace("1") }], "workspaces": [workspace("2"), workspace("3")] }));
    let outcome = |tags: &[(&str, &str)], of_account| match route(&routes, tags, &[], of_account) {
        Ok(Route::Onboard(onboarding)) => onboarding.workspace.id().to_owned(),
        Ok(Route::Ignore(reason)) => reason,
        Err(error) => error.to_string(),
    };
    assert_eq!(outcome(&[], Some("ws-2")), "ws-2");
    assert_eq!(outcome(&[("ampxa:workspace", "ws-3")], Some("ws-2")), "ws-3");
    assert!(
        outcome(&[], Some("ws-9"))
            .starts_with("the workspace that was chosen when the account was vended: \"ws-9\" is not a workspace")
    );
}

#[test]
fn a_rule_that_ignores_is_stronger_than_a_choice() {
    let routes = table(json!({ "rules": [{ "ignore": "not this account" }], "workspaces": [workspace("1")] }));
    assert!(outcome(&routes, &[("ampxa:workspace", "ws-1")]).starts_with("rules[0] ignores it"));
}

#[test]
fn a_workspace_id_that_exists_in_two_accounts_is_refused() {
    let twin = "arn:aws:aps:us-west-2:444444444444:workspace/ws-1";
    let routes = table(json!({ "workspaces": [workspace("1"), twin] }));
    let error = route(&routes, &[("ampxa:workspace", "ws-1")], &[], None).unwrap_err();
    assert!(error.to_string().contains("use the ARN"), "{error}");
    assert_eq!(outcome(&routes, &[("ampxa:workspace", twin)]), "ws-1");
}

#[test]
fn an_error_in_a_table_begins_with_the_path_of_the_field() {
    let rule = |rule: Value| json!({ "rules": [{ "ignore": "x" }, rule] }).to_string();
    let matching = |condition: Value| rule(json!({ "match": condition, "workspaceArn": workspace("1") }));
    for (text, expected) in [
        (
            "{".to_owned(),
            "routes: the parameter /ampxa/routes is not valid JSON: ",
        ),
        ("[]".to_owned(), "routes: expected an object"),
        (
            json!({ "rule": [] }).to_string(),
            "routes: rule: unknown field; did you mean rules?",
        ),
        (json!({ "rules": {} }).to_string(), "routes: rules: expected an array"),
        (
            json!({ "workspaces": [] }).to_string(),
            "routes: workspaces: the array is empty",
        ),
        (
            json!({ "workspaces": ["ws-1"] }).to_string(),
            "routes: workspaces[0]: \"ws-1\" is not a workspace ARN",
        ),
        (
            json!({ "workspaces": [workspace("1"), workspace("1")] }).to_string(),
            "routes: workspaces[1]: duplicate of routes: workspaces[0]",
        ),
        (rule(json!("x")), "routes: rules[1]: expected an object"),
        (rule(json!({})), "routes: rules[1].workspaceArn: missing"),
        (
            rule(json!({ "workspaceArn": "x" })),
            "routes: rules[1].workspaceArn: \"x\" is not a workspace ARN",
        ),
        (
            rule(json!({ "ignore": " " })),
            "routes: rules[1].ignore: expected a reason",
        ),
        (
            rule(json!({ "ignore": true })),
            "routes: rules[1].ignore: expected a string",
        ),
        (
            rule(json!({ "ignore": "x", "workspaceArn": workspace("1") })),
            "routes: rules[1].workspaceArn: not allowed in a rule with",
        ),
        (
            rule(json!({ "ignore": "x", "patchTrust": "EARLY" })),
            "routes: rules[1].patchTrust: not allowed in a rule with",
        ),
        (
            rule(json!({ "ignore": "x", "checkIngestion": "SKIP" })),
            "routes: rules[1].checkIngestion: not allowed in a rule with",
        ),
        (
            rule(json!({ "workspaceArn": workspace("1"), "checkIngestion": "NO" })),
            "routes: rules[1].checkIngestion: \"NO\" is not valid; expected \"REPORT\" or \"REQUIRE\" or \"SKIP\"",
        ),
        (
            rule(json!({ "workspaceArn": workspace("1"), "patchTrust": "early" })),
            "routes: rules[1].patchTrust: \"early\" is not valid; expected \"FINAL\" or \"EARLY\"",
        ),
        (
            rule(json!({ "workspaceArn": workspace("1"), "externalLabels": { "__a": "b" } })),
            "routes: rules[1].externalLabels.__a: not a valid label name",
        ),
        (
            rule(json!({ "workspaceArn": workspace("1"), "externalLabels": { "a": 1 } })),
            "routes: rules[1].externalLabels.a: expected a string",
        ),
        (
            rule(json!({ "workspaceArn": workspace("1"), "scrapeConfigurationParameter": "/other/x" })),
            "routes: rules[1].scrapeConfigurationParameter: \"/other/x\" is not valid; expected a parameter \
             /ampxa/<name>",
        ),
        (
            rule(json!({ "workspaceArn": workspace("1"), "scrapeConfigurationParameter": "/ampxax/x" })),
            "routes: rules[1].scrapeConfigurationParameter: ",
        ),
        (matching(json!([])), "routes: rules[1].match: expected an object"),
        (
            matching(json!({ "account": [] })),
            "routes: rules[1].match.account: unknown field; did you mean accounts?",
        ),
        (
            matching(json!({ "accounts": [] })),
            "routes: rules[1].match.accounts: the array is empty",
        ),
        (
            matching(json!({ "accounts": "222222222222" })),
            "routes: rules[1].match.accounts: expected an array such as [\"222222222222\"], not a string",
        ),
        (
            matching(json!({ "accounts": ["22222222222"] })),
            "routes: rules[1].match.accounts[0]: \"22222222222\" is not valid",
        ),
        (
            matching(json!({ "accounts": [222222222222_u64] })),
            "routes: rules[1].match.accounts[0]: expected a string",
        ),
        (
            matching(json!({ "organizationalUnits": ["Prod"] })),
            "routes: rules[1].match.organizationalUnits[0]: ",
        ),
        (
            matching(json!({ "regions": ["us-west-2", "oregon"] })),
            "routes: rules[1].match.regions[1]: \"oregon\" is not valid",
        ),
        (
            matching(json!({ "clusterNames": ["a.*"] })),
            "routes: rules[1].match.clusterNames[0]: ",
        ),
        (
            matching(json!({ "tags": {} })),
            "routes: rules[1].match.tags: it is empty",
        ),
        (
            matching(json!({ "tags": { "a": ["b"] } })),
            "routes: rules[1].match.tags.a: expected a string",
        ),
    ] {
        let error = refused(&text, &settings());
        assert!(
            error.starts_with(expected),
            "{error:?} does not begin with {expected:?}"
        );
    }
}

#[test]
fn organizational_units_need_access_to_organizations() {
    let text = json!({ "rules": [{ "match": { "organizationalUnits": ["ou-a1b2-c3d4e5f6"] }, "ignore": "x" }] });
    let without = Settings {
        organizations: false,
        ..settings()
    };
    let error = refused(&text.to_string(), &without);
    assert!(
        error.starts_with("routes: rules[0].match.organizationalUnits: ") && error.contains("OrganizationsAccess=yes"),
        "{error}"
    );
    assert!(table(text).uses_organizational_units());
    assert!(!one_rule(json!({})).uses_organizational_units());
}

#[test]
fn an_empty_table_is_valid() {
    for text in ["{}", r#"{"rules": []}"#, r#"{"rules": null}"#] {
        assert_eq!(Routes::parse(Some(text), &settings()), Ok(Routes::default()));
    }
}

proptest! {
    #[test]
    fn parsing_never_panics_and_fails_only_with_invalid_request(
        text in prop_oneof![
            any::<String>(),
            r#"\{"rules": \[\{"match": \{"(accounts|regions|tags|clusterNames)": [\["{}a0-9\]:]{0,12}\}, "ignore": "x"\}\]\}"#,
        ],
    ) {
        if let Err(error) = Routes::parse(Some(&text), &settings()) {
            prop_assert_eq!(error.name(), "InvalidRequest");
            prop_assert!(error.to_string().starts_with("routes: "));
        }
    }

    #[test]
    fn a_route_is_a_workspace_of_the_table_in_the_clusters_region(
        chosen in prop::option::of("ws-[0-9]"),
        of_account in prop::option::of("ws-[0-9]"),
        rules in prop::collection::vec(("[0-4]", prop::sample::select(vec!["us-west-2", "eu-west-1"]), any::<bool>()), 0..5),
    ) {
        let arn = |id: &str, region: &str| format!("arn:aws:aps:{region}:333333333333:workspace/ws-{id}");
        let named: Vec<String> = rules.iter().map(|(id, region, _)| arn(id, region)).collect();
        let json: Vec<Value> = rules.iter().zip(&named).map(|((_, _, matching), workspace)| {
            let account = if *matching { "222222222222" } else { "111111111111" };
            json!({ "match": { "accounts": [account] }, "workspaceArn": workspace })
        }).collect();
        let routes = table(json!({ "rules": json }));
        let tags: Vec<(&str, &str)> = chosen.iter().map(|chosen| ("ampxa:workspace", chosen.as_str())).collect();
        if let Ok(Route::Onboard(onboarding)) = route(&routes, &tags, &[], of_account.as_deref()) {
            prop_assert!(named.contains(&onboarding.workspace.to_string()));
            prop_assert_eq!(onboarding.workspace.region(), "us-west-2");
        }
    }
}
