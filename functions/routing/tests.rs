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

/// The demonstration cluster with these tags, in an account below these organizational units.
fn routed(routes: &Routes, tags: &[(&str, &str)], units: &[&str], vended: Option<&str>) -> Result<Route, Error> {
    let tags = tags.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let units: Vec<String> = units.iter().map(ToString::to_string).collect();
    routes.route(&Cluster {
        arn: &CLUSTER.parse().unwrap(),
        tags: &tags,
        organizational_units: &units,
        workspace: vended,
    })
}

fn led_to(routes: &Routes, tags: &[(&str, &str)]) -> String {
    match routed(routes, tags, &["ou-a1b2-prod0000", "ou-a1b2-top00000"], None).unwrap() {
        Route::Onboard(onboarding) => onboarding.workspace.id().to_owned(),
        Route::Ignore(why) => why,
    }
}

/// A table of one rule that matches this.
fn one(matches: Value) -> Routes {
    table(json!({ "rules": [{ "match": matches, "workspaceArn": workspace("1") }] }))
}

#[test]
fn all_that_a_rule_names_must_hold_and_of_a_list_one_thing() {
    let none = "no rule matches it, and there is no default workspace";
    for (matches, right) in [
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
        let led = led_to(&one(matches.clone()), &[("team", "payments")]);
        assert_eq!(led, if right { "ws-1" } else { none }, "{matches}");
    }
}

#[test]
fn the_first_rule_that_matches_decides() {
    let routes = table(json!({ "rules": [
        { "match": { "tags": { "stage": "sandbox" } }, "ignore": "sandboxes are not scraped" },
        { "match": { "clusterNames": ["payments-*"] }, "workspaceArn": workspace("1") },
        { "workspaceArn": workspace("2") },
    ] }));
    assert_eq!(led_to(&routes, &[]), "ws-1");
    let why = led_to(&routes, &[("stage", "sandbox")]);
    assert_eq!(why, "rules[0] ignores it: sandboxes are not scraped");
}

#[test]
fn a_workspace_of_another_region_or_partition_is_nobodys() {
    let elsewhere = "arn:aws:aps:eu-west-1:333333333333:workspace/ws-e";
    let china = "arn:aws-cn:aps:cn-north-1:333333333333:workspace/ws-c";
    let rules = json!({ "rules": [{ "workspaceArn": elsewhere }, { "workspaceArn": china }, { "workspaceArn": workspace("1") }] });
    assert_eq!(led_to(&table(rules), &[]), "ws-1");
    let only = json!({ "rules": [{ "workspaceArn": elsewhere }] });
    for (default, says) in [
        (workspace("d"), "ws-d"),
        (
            elsewhere.to_owned(),
            "no rule matches it, and the default workspace arn:aws:aps:eu-west-1:333333333333:workspace/ws-e lies in \
             another Region",
        ),
    ] {
        let settings = Settings {
            default_workspace: default,
            ..settings()
        };
        let routes = Routes::parse(Some(&only.to_string()), &settings).unwrap();
        assert_eq!(led_to(&routes, &[]), says);
    }
}

#[test]
fn without_a_table_the_default_decides() {
    let with_default = Settings {
        default_workspace: workspace("d"),
        ..settings()
    };
    let routes = Routes::parse(None, &with_default).unwrap();
    assert_eq!(led_to(&routes, &[]), "ws-d");
    let routes = Routes::parse(None, &settings()).unwrap();
    assert!(led_to(&routes, &[]).contains("there is no default workspace"));
    let wrong = Settings {
        default_workspace: "ws-d".to_owned(),
        ..settings()
    };
    let why = Routes::parse(None, &wrong).unwrap_err().to_string();
    assert!(why.starts_with("DefaultWorkspaceArn: "), "{why}");
}

#[test]
fn a_cluster_may_opt_out_and_nothing_brings_it_back() {
    let routes = one(json!({}));
    let chosen = workspace("1");
    for tags in [
        &[("ampxa:onboard", "no")][..],
        &[("ampxa:onboard", "no"), ("ampxa:workspace", chosen.as_str())],
    ] {
        assert_eq!(led_to(&routes, tags), "its tag ampxa:onboard says no");
    }
    assert_eq!(led_to(&routes, &[("ampxa:onboard", "yes")]), "ws-1");
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
    for (wanted, led) in [
        ("ws-2", "ws-2"),
        ("ws-3", "ws-3"),
        ("ws-4", "ws-4"),
        ("ws-d", "ws-d"),
        (workspace("4").as_str(), "ws-4"),
    ] {
        assert_eq!(led_to(&routes, &[("ampxa:workspace", wanted)]), led);
    }
    for wanted in [
        "ws-9",
        "",
        "ws-5",
        "arn:aws:aps:us-west-2:444444444444:workspace/ws-4",
        "*",
    ] {
        let why = routed(&routes, &[("ampxa:workspace", wanted)], &[], None).unwrap_err();
        assert_eq!(why.name(), "InvalidRequest");
        let why = why.to_string();
        assert!(why.starts_with("the cluster's tag ampxa:workspace: "), "{why}");
        assert!(why.contains("allows for the cluster") && why.len() < 1000, "{why}");
    }
    let with_options = |wanted| match routed(&routes, &[("ampxa:workspace", wanted)], &[], None) {
        Ok(Route::Onboard(onboarding)) => (onboarding.external_labels.len(), onboarding.patch_trust),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        with_options("ws-2"),
        (1, PatchTrust::Final),
        "the options of the rule that matches"
    );
    assert_eq!(
        with_options("ws-3"),
        (0, PatchTrust::Final),
        "not those of a rule that does not"
    );
}

#[test]
fn an_accounts_workspace_is_a_choice_too_and_weaker_than_the_clusters() {
    let routes =
        table(json!({ "rules": [{ "workspaceArn": workspace("1") }], "workspaces": [workspace("2"), workspace("3")] }));
    let led = |tags: &[(&str, &str)], vended| match routed(&routes, tags, &[], vended) {
        Ok(Route::Onboard(onboarding)) => onboarding.workspace.id().to_owned(),
        Ok(Route::Ignore(why)) => why,
        Err(why) => why.to_string(),
    };
    assert_eq!(led(&[], Some("ws-2")), "ws-2");
    assert_eq!(led(&[("ampxa:workspace", "ws-3")], Some("ws-2")), "ws-3");
    assert!(led(&[], Some("ws-9")).starts_with("the workspace that the account was vended with: \"ws-9\" is none"));
}

#[test]
fn a_rule_that_ignores_is_stronger_than_a_choice() {
    let routes = table(json!({ "rules": [{ "ignore": "not this account" }], "workspaces": [workspace("1")] }));
    assert!(led_to(&routes, &[("ampxa:workspace", "ws-1")]).starts_with("rules[0] ignores it"));
}

#[test]
fn an_id_that_two_accounts_use_must_be_told_apart() {
    let twin = "arn:aws:aps:us-west-2:444444444444:workspace/ws-1";
    let routes = table(json!({ "workspaces": [workspace("1"), twin] }));
    let why = routed(&routes, &[("ampxa:workspace", "ws-1")], &[], None).unwrap_err();
    assert!(why.to_string().contains("name its ARN"), "{why}");
    assert_eq!(led_to(&routes, &[("ampxa:workspace", twin)]), "ws-1");
}

#[test]
fn what_is_wrong_in_a_table_is_named_by_its_place() {
    let rule = |rule: Value| json!({ "rules": [{ "ignore": "x" }, rule] }).to_string();
    let matching = |matches: Value| rule(json!({ "match": matches, "workspaceArn": workspace("1") }));
    for (text, says) in [
        (
            "{".to_owned(),
            "routes: the parameter /ampxa/routes does not hold JSON: ",
        ),
        ("[]".to_owned(), "routes: expected an object"),
        (
            json!({ "rule": [] }).to_string(),
            "routes: rule: unknown field; did you mean rules?",
        ),
        (json!({ "rules": {} }).to_string(), "routes: rules: expected an array"),
        (
            json!({ "workspaces": [] }).to_string(),
            "routes: workspaces: it is empty",
        ),
        (
            json!({ "workspaces": ["ws-1"] }).to_string(),
            "routes: workspaces[0]: \"ws-1\" is no workspace ARN",
        ),
        (
            json!({ "workspaces": [workspace("1"), workspace("1")] }).to_string(),
            "routes: workspaces[1]: it is routes: workspaces[0] already",
        ),
        (rule(json!("x")), "routes: rules[1]: expected an object"),
        (rule(json!({})), "routes: rules[1].workspaceArn: missing"),
        (
            rule(json!({ "workspaceArn": "x" })),
            "routes: rules[1].workspaceArn: \"x\" is no workspace ARN",
        ),
        (
            rule(json!({ "ignore": " " })),
            "routes: rules[1].ignore: expected the reason",
        ),
        (
            rule(json!({ "ignore": true })),
            "routes: rules[1].ignore: expected a string",
        ),
        (
            rule(json!({ "ignore": "x", "workspaceArn": workspace("1") })),
            "routes: rules[1].workspaceArn: a rule that ignores",
        ),
        (
            rule(json!({ "ignore": "x", "patchTrust": "EARLY" })),
            "routes: rules[1].patchTrust: a rule that ignores",
        ),
        (
            rule(json!({ "ignore": "x", "checkIngestion": "SKIP" })),
            "routes: rules[1].checkIngestion: a rule that ignores",
        ),
        (
            rule(json!({ "workspaceArn": workspace("1"), "checkIngestion": "NO" })),
            "routes: rules[1].checkIngestion: \"NO\" is unknown; expected \"REPORT\" or \"REQUIRE\" or \"SKIP\"",
        ),
        (
            rule(json!({ "workspaceArn": workspace("1"), "patchTrust": "early" })),
            "routes: rules[1].patchTrust: \"early\" is unknown; expected \"FINAL\" or \"EARLY\"",
        ),
        (
            rule(json!({ "workspaceArn": workspace("1"), "externalLabels": { "__a": "b" } })),
            "routes: rules[1].externalLabels.__a: no label name",
        ),
        (
            rule(json!({ "workspaceArn": workspace("1"), "externalLabels": { "a": 1 } })),
            "routes: rules[1].externalLabels.a: expected a string",
        ),
        (
            rule(json!({ "workspaceArn": workspace("1"), "scrapeConfigurationParameter": "/other/x" })),
            "routes: rules[1].scrapeConfigurationParameter: \"/other/x\" is none that may be read; expected /ampxa/<name>",
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
            "routes: rules[1].match.accounts: it is empty",
        ),
        (
            matching(json!({ "accounts": "222222222222" })),
            "routes: rules[1].match.accounts: expected an array such as [\"222222222222\"], not a string",
        ),
        (
            matching(json!({ "accounts": ["22222222222"] })),
            "routes: rules[1].match.accounts[0]: \"22222222222\" is none",
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
            "routes: rules[1].match.regions[1]: \"oregon\" is none",
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
        let why = refused(&text, &settings());
        assert!(why.starts_with(says), "{why:?} does not begin with {says:?}");
    }
}

#[test]
fn organizational_units_need_the_right_to_ask_for_them() {
    let text = json!({ "rules": [{ "match": { "organizationalUnits": ["ou-a1b2-c3d4e5f6"] }, "ignore": "x" }] });
    let without = Settings {
        organizations: false,
        ..settings()
    };
    let why = refused(&text.to_string(), &without);
    assert!(
        why.starts_with("routes: rules[0].match.organizationalUnits: ") && why.contains("OrganizationsAccess=yes"),
        "{why}"
    );
    assert!(table(text).name_organizational_units());
    assert!(!one(json!({})).name_organizational_units());
}

#[test]
fn an_empty_table_is_a_table() {
    for text in ["{}", r#"{"rules": []}"#, r#"{"rules": null}"#] {
        assert_eq!(Routes::parse(Some(text), &settings()), Ok(Routes::default()));
    }
}

proptest! {
    #[test]
    fn reading_a_table_never_panics_and_refuses_under_one_name(
        text in prop_oneof![
            any::<String>(),
            r#"\{"rules": \[\{"match": \{"(accounts|regions|tags|clusterNames)": [\["{}a0-9\]:]{0,12}\}, "ignore": "x"\}\]\}"#,
        ],
    ) {
        if let Err(why) = Routes::parse(Some(&text), &settings()) {
            prop_assert_eq!(why.name(), "InvalidRequest");
            prop_assert!(why.to_string().starts_with("routes: "));
        }
    }

    #[test]
    fn a_route_leads_only_to_a_workspace_that_the_table_names_in_the_clusters_region(
        wanted in prop::option::of("ws-[0-9]"),
        vended in prop::option::of("ws-[0-9]"),
        rules in prop::collection::vec(("[0-4]", prop::sample::select(vec!["us-west-2", "eu-west-1"]), any::<bool>()), 0..5),
    ) {
        let arn = |id: &str, region: &str| format!("arn:aws:aps:{region}:333333333333:workspace/ws-{id}");
        let named: Vec<String> = rules.iter().map(|(id, region, _)| arn(id, region)).collect();
        let json: Vec<Value> = rules.iter().zip(&named).map(|((_, _, matching), workspace)| {
            let account = if *matching { "222222222222" } else { "111111111111" };
            json!({ "match": { "accounts": [account] }, "workspaceArn": workspace })
        }).collect();
        let routes = table(json!({ "rules": json }));
        let tags: Vec<(&str, &str)> = wanted.iter().map(|wanted| ("ampxa:workspace", wanted.as_str())).collect();
        if let Ok(Route::Onboard(onboarding)) = routed(&routes, &tags, &[], vended.as_deref()) {
            prop_assert!(named.contains(&onboarding.workspace.to_string()));
            prop_assert_eq!(onboarding.workspace.region(), "us-west-2");
        }
    }
}
