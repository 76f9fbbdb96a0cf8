use super::*;
use crate::request::PatchTrust;
use proptest::prelude::*;

const CLUSTER: &str = "arn:aws:eks:us-west-2:222222222222:cluster/payments-prod";

/// The organizational units above the account of [`CLUSTER`].
const UNITS: [&str; 2] = ["ou-a1b2-prod0000", "ou-a1b2-top00000"];

fn settings() -> Settings {
    Settings {
        hub: "ampxa".to_owned(),
        parameter: "/ampxa/routes".to_owned(),
        default_workspace: String::new(),
        default_workspace_any_account: false,
        organizations: true,
    }
}

/// Settings with a default workspace, which is open to every account.
fn with_default(workspace: String) -> Settings {
    Settings {
        default_workspace: workspace,
        default_workspace_any_account: true,
        ..settings()
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
    match route(routes, tags, &UNITS, None).unwrap() {
        Route::Onboard(onboarding) => onboarding.workspace.id().to_owned(),
        Route::Ignore(why) => why,
        Route::InvalidChoice(why) => panic!("{why}"),
    }
}

/// Why [`CLUSTER`] is skipped if it chooses a workspace by its tag.
fn choice_refused(routes: &Routes, chosen: &str) -> String {
    match route(routes, &[("ampxa:workspace", chosen)], &UNITS, None) {
        Ok(Route::InvalidChoice(why)) => why,
        other => panic!("{other:?}"),
    }
}

/// A table of one rule with this condition. Without accounts and organizational units, the rule is for every account.
fn one_rule(condition: Value) -> Routes {
    let names_accounts = condition.get("accounts").is_some() || condition.get("organizationalUnits").is_some();
    table(json!({ "rules": [
        { "match": condition, "anyAccount": !names_accounts, "workspaceArn": workspace("1") },
    ] }))
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
        { "match": { "clusterNames": ["payments-*"] }, "anyAccount": true, "workspaceArn": workspace("1") },
        { "anyAccount": true, "workspaceArn": workspace("2") },
    ] }));
    assert_eq!(outcome(&routes, &[]), "ws-1");
    let reason = outcome(&routes, &[("stage", "sandbox")]);
    assert_eq!(reason, "rules[0] ignores it: sandboxes are not scraped");
}

#[test]
fn a_rule_with_a_workspace_in_another_region_or_partition_does_not_match() {
    let other_region = "arn:aws:aps:eu-west-1:333333333333:workspace/ws-e";
    let other_partition = "arn:aws-us-gov:aps:us-gov-west-1:333333333333:workspace/ws-c";
    let rules = [other_region.to_owned(), other_partition.to_owned(), workspace("1")]
        .map(|arn| json!({ "anyAccount": true, "workspaceArn": arn }));
    let rules = json!({ "rules": rules });
    assert_eq!(outcome(&table(rules), &[]), "ws-1");
    let only = json!({ "rules": [{ "anyAccount": true, "workspaceArn": other_region }] });
    for (default, expected) in [
        (workspace("d"), "ws-d"),
        (
            other_region.to_owned(),
            "no rule matches it, and the default workspace arn:aws:aps:eu-west-1:333333333333:workspace/ws-e is in \
             another Region",
        ),
    ] {
        let routes = Routes::parse(Some(&only.to_string()), &with_default(default)).unwrap();
        assert_eq!(outcome(&routes, &[]), expected);
    }
}

#[test]
fn without_a_table_clusters_get_the_default_workspace() {
    let routes = Routes::parse(None, &with_default(workspace("d"))).unwrap();
    assert_eq!(outcome(&routes, &[]), "ws-d");
    let routes = Routes::parse(None, &settings()).unwrap();
    assert!(outcome(&routes, &[]).contains("there is no default workspace"));
    let error = Routes::parse(None, &with_default("ws-d".to_owned())).unwrap_err();
    assert!(error.to_string().starts_with("DefaultWorkspaceArn: "), "{error}");
}

#[test]
fn a_default_workspace_that_is_not_open_to_every_account_is_refused() {
    let closed = Settings {
        default_workspace_any_account: false,
        ..with_default(workspace("d"))
    };
    for table in [None, Some("{}")] {
        let error = Routes::parse(table, &closed).unwrap_err();
        assert_eq!(error.name(), "InvalidRequest");
        assert_eq!(
            error.to_string(),
            "DefaultWorkspaceArn: it gives a workspace to clusters of every account; deploy the hub with \
             DefaultWorkspaceAnyAccount=yes, or leave DefaultWorkspaceArn empty and name the workspace in a rule of the \
             routing table"
        );
    }
    let no_workspace = Settings {
        default_workspace_any_account: true,
        ..settings()
    };
    assert_eq!(Routes::parse(None, &no_workspace), Ok(Routes::default()));
}

#[test]
fn a_rule_that_gives_a_workspace_without_naming_accounts_is_refused() {
    let why = "it gives a workspace to clusters of every account, because match has neither accounts nor \
               organizationalUnits; add one of them, or \"anyAccount\": true";
    let chosen_by_the_creator = json!({
        "regions": ["us-west-2"], "clusterNames": ["payments-prod"], "tags": { "team": "payments" },
    });
    for condition in [
        json!(null),
        json!({}),
        json!({ "accounts": null }),
        chosen_by_the_creator,
    ] {
        for any_account in [json!(null), json!(false)] {
            let rule = json!({ "match": condition, "anyAccount": any_account, "workspaceArn": workspace("1") });
            let text = json!({ "rules": [{ "ignore": "x", "match": { "accounts": ["111111111111"] } }, rule] });
            assert_eq!(
                refused(&text.to_string(), &settings()),
                format!("routes: rules[1]: {why}")
            );
        }
        let open = json!({ "match": condition, "anyAccount": true, "workspaceArn": workspace("1") });
        let ignores = json!({ "match": condition, "ignore": "x" });
        table(json!({ "rules": [ignores, open] }));
    }
}

#[test]
fn an_item_of_workspaces_without_accounts_is_refused() {
    for condition in [json!(null), json!({}), json!({ "organizationalUnits": null })] {
        let item = json!({ "match": condition, "workspaceArn": workspace("1") });
        assert_eq!(
            refused(&json!({ "workspaces": [item] }).to_string(), &settings()),
            "routes: workspaces[0]: it lets clusters of every account choose its workspace, because match has neither \
             accounts nor organizationalUnits; add one of them, or \"anyAccount\": true"
        );
    }
    assert_eq!(
        refused(&json!({ "workspaces": [workspace("1")] }).to_string(), &settings()),
        "routes: workspaces[0]: expected an object that also names the accounts that may choose the workspace, such as \
         {\"workspaceArn\": \"…\", \"match\": {\"accounts\": [\"222222222222\"]}}, not a string"
    );
}

#[test]
fn any_account_contradicts_accounts_and_organizational_units_and_is_not_allowed_with_ignore() {
    for (named, field) in [
        (json!({ "accounts": ["222222222222"] }), "accounts"),
        (
            json!({ "organizationalUnits": ["ou-a1b2-prod0000"] }),
            "organizationalUnits",
        ),
    ] {
        let item = json!({ "match": named, "anyAccount": true, "workspaceArn": workspace("1") });
        for list in ["rules", "workspaces"] {
            assert_eq!(
                refused(&json!({ list: [item] }).to_string(), &settings()),
                format!("routes: {list}[0].anyAccount: not allowed together with match.{field}; remove one of the two")
            );
        }
    }
    let ignores = json!({ "rules": [{ "ignore": "x", "anyAccount": true }] });
    assert_eq!(
        refused(&ignores.to_string(), &settings()),
        "routes: rules[0].anyAccount: not allowed in a rule with \"ignore\"; remove this field or \"ignore\""
    );
    for absent in [json!(false), json!(null)] {
        table(json!({ "rules": [{ "ignore": "x", "anyAccount": absent }] }));
    }
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
fn a_cluster_chooses_among_the_workspaces_that_are_open_to_its_account() {
    let json = json!({
        "rules": [
            { "anyAccount": true, "workspaceArn": workspace("1") },
            {
                "match": { "accounts": ["222222222222"] },
                "workspaceArn": workspace("2"), "externalLabels": { "a": "b" },
            },
            {
                "match": { "organizationalUnits": ["ou-a1b2-top00000"], "tags": { "no": "such tag" } },
                "workspaceArn": workspace("3"), "patchTrust": "EARLY",
            },
        ],
        "workspaces": [
            { "match": { "accounts": ["222222222222"] }, "workspaceArn": workspace("4") },
            { "match": { "organizationalUnits": ["ou-a1b2-prod0000"] }, "workspaceArn": workspace("5") },
            { "anyAccount": true, "workspaceArn": workspace("6") },
            { "anyAccount": true, "workspaceArn": "arn:aws:aps:eu-west-1:333333333333:workspace/ws-7" },
            { "match": { "accounts": ["111111111111"] }, "workspaceArn": workspace("8") },
            {
                "match": { "accounts": ["222222222222"], "organizationalUnits": ["ou-a1b2-other000"] },
                "workspaceArn": workspace("8"),
            },
        ],
    });
    let routes = Routes::parse(Some(&json.to_string()), &with_default(workspace("d"))).unwrap();
    for open in ["1", "2", "3", "4", "5", "6", "d"] {
        let id = format!("ws-{open}");
        assert_eq!(outcome(&routes, &[("ampxa:workspace", &id)]), id);
        assert_eq!(outcome(&routes, &[("ampxa:workspace", &workspace(open))]), id);
    }
    for closed in [
        "ws-8",
        "ws-9",
        "",
        "ws-7",
        "arn:aws:aps:us-west-2:444444444444:workspace/ws-4",
        "*",
    ] {
        let error = choice_refused(&routes, closed);
        let expected = format!(
            "its tag ampxa:workspace is not valid: the workspace {closed:?} is not open to account 222222222222 in \
             us-west-2; add the account to a rule with this workspace or to \"workspaces\" in the routing table, or \
             choose an open workspace, such as {}",
            ["1", "2", "3", "4", "5"].map(workspace).join(", ")
        );
        assert_eq!(error, expected);
    }
    let options = |chosen| match route(&routes, &[("ampxa:workspace", chosen)], &UNITS, None) {
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
fn a_rule_whose_other_fields_match_opens_no_workspace_to_an_account_that_it_does_not_name() {
    let matching = json!({
        "accounts": ["111111111111"], "regions": ["us-west-2"], "clusterNames": ["payments-*"],
        "tags": { "ampxa:workspace": "ws-*" },
    });
    let routes = one_rule(matching);
    let why = "the workspace \"ws-1\" is not open to account 222222222222 in us-west-2; add the account to a rule with \
               this workspace or to \"workspaces\" in the routing table";
    assert_eq!(
        choice_refused(&routes, "ws-1"),
        format!("its tag ampxa:workspace is not valid: {why}")
    );
    let error = route(&routes, &[], &UNITS, Some("ws-1")).unwrap_err();
    assert_eq!(error.name(), "InvalidRequest");
    assert_eq!(
        error.to_string(),
        format!("the reconciliation's field workspace: {why}")
    );
}

#[test]
fn a_rule_opens_its_workspace_to_its_accounts_whatever_its_other_fields() {
    for account in [
        json!({ "accounts": ["222222222222"] }),
        json!({ "organizationalUnits": ["ou-a1b2-top00000"] }),
    ] {
        let mut condition = json!({ "regions": ["eu-west-1"], "clusterNames": ["x"], "tags": { "team": "x" } });
        condition
            .as_object_mut()
            .unwrap()
            .extend(account.as_object().unwrap().clone());
        let routes = one_rule(condition);
        assert_eq!(outcome(&routes, &[("ampxa:workspace", "ws-1")]), "ws-1");
        assert!(outcome(&routes, &[]).starts_with("no rule matches it"));
    }
}

#[test]
fn the_default_workspace_can_be_chosen() {
    let text = json!({ "rules": [{ "anyAccount": true, "workspaceArn": workspace("1") }] }).to_string();
    let chosen = [("ampxa:workspace", "ws-d")];
    let routes = Routes::parse(Some(&text), &with_default(workspace("d"))).unwrap();
    assert_eq!(outcome(&routes, &chosen), "ws-d");
    let routes = Routes::parse(Some(&text), &settings()).unwrap();
    assert!(choice_refused(&routes, "ws-d").contains("is not open to account 222222222222"));
}

#[test]
fn the_workspace_of_a_reconciliation_is_a_choice_and_weaker_than_that_of_the_cluster() {
    let open = |id| json!({ "match": { "accounts": ["222222222222"] }, "workspaceArn": workspace(id) });
    let routes = table(json!({ "rules": [open("1")], "workspaces": [open("2"), open("3")] }));
    let outcome = |tags: &[(&str, &str)], of_account| match route(&routes, tags, &[], of_account) {
        Ok(Route::Onboard(onboarding)) => onboarding.workspace.id().to_owned(),
        Ok(Route::Ignore(reason) | Route::InvalidChoice(reason)) => reason,
        Err(error) => error.to_string(),
    };
    assert_eq!(outcome(&[], Some("ws-2")), "ws-2");
    assert_eq!(outcome(&[("ampxa:workspace", "ws-3")], Some("ws-2")), "ws-3");
    assert!(
        outcome(&[], Some("ws-9"))
            .starts_with("the reconciliation's field workspace: the workspace \"ws-9\" is not open to account")
    );
}

#[test]
fn a_rule_that_ignores_is_stronger_than_a_choice() {
    let open = json!({ "match": { "accounts": ["222222222222"] }, "workspaceArn": workspace("1") });
    let routes = table(json!({ "rules": [{ "ignore": "not this account" }], "workspaces": [open] }));
    assert!(outcome(&routes, &[("ampxa:workspace", "ws-1")]).starts_with("rules[0] ignores it"));
}

#[test]
fn a_workspace_id_that_exists_in_two_accounts_is_refused() {
    let twin = "arn:aws:aps:us-west-2:444444444444:workspace/ws-1";
    let open =
        |account: &str, workspace: &str| json!({ "match": { "accounts": [account] }, "workspaceArn": workspace });
    let first = open("222222222222", &workspace("1"));
    let routes = table(json!({ "workspaces": [first, open("222222222222", twin)] }));
    let error = choice_refused(&routes, "ws-1");
    assert!(error.contains("use the ARN"), "{error}");
    assert_eq!(outcome(&routes, &[("ampxa:workspace", twin)]), "ws-1");
    // The id is unique among the workspaces that are open to the account.
    let routes = table(json!({ "workspaces": [first, open("111111111111", twin)] }));
    assert_eq!(outcome(&routes, &[("ampxa:workspace", "ws-1")]), "ws-1");
}

#[test]
fn an_error_in_a_table_begins_with_the_path_of_the_field() {
    let rule = |rule: Value| json!({ "rules": [{ "ignore": "x" }, rule] }).to_string();
    let choices = |choices: Value| json!({ "workspaces": choices }).to_string();
    let matching = |condition: Value| rule(json!({ "match": condition, "workspaceArn": workspace("1") }));
    for (text, expected) in [
        (
            "{".to_owned(),
            "routes: the parameter /ampxa/routes is not valid JSON: ",
        ),
        (
            r#"{"rules": [{"ignore": "x", "ignore": "y"}]}"#.to_owned(),
            "routes: the parameter /ampxa/routes is not valid JSON: rules[0]: duplicate key \"ignore\"; remove one",
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
            "routes: workspaces[0]: expected an object that also names the accounts",
        ),
        (
            choices(json!([1])),
            "routes: workspaces[0]: expected an object, at least {\"workspaceArn\": \"…\", \"match\"",
        ),
        (choices(json!([{}])), "routes: workspaces[0].workspaceArn: missing"),
        (
            choices(json!([{ "workspaceArn": "ws-1" }])),
            "routes: workspaces[0].workspaceArn: \"ws-1\" is not a workspace ARN",
        ),
        (
            choices(json!([{ "workspaceArn": workspace("1"), "patchTrust": "EARLY" }])),
            "routes: workspaces[0].patchTrust: unknown field; the fields are workspaceArn, match, anyAccount",
        ),
        (
            choices(json!([{ "workspaceArn": workspace("1"), "match": { "regions": ["us-west-2"] } }])),
            "routes: workspaces[0].match.regions: unknown field; the fields are accounts, organizationalUnits",
        ),
        (
            choices(json!([{ "workspaceArn": workspace("1"), "anyAccount": "yes" }])),
            "routes: workspaces[0].anyAccount: expected true or false, not a string",
        ),
        (
            choices(json!([
                { "workspaceArn": workspace("1"), "anyAccount": true },
                { "workspaceArn": workspace("1"), "anyAccount": true, "match": null },
            ])),
            "routes: workspaces[1]: duplicate of routes: workspaces[0]",
        ),
        (
            rule(json!({ "workspaceArn": workspace("1"), "anyAccount": 1 })),
            "routes: rules[1].anyAccount: expected true or false, not a number",
        ),
        (
            matching(json!({ "anyAccount": true })),
            "routes: rules[1].match.anyAccount: unknown field; ",
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
            rule(json!({ "workspaceArn": workspace("1"), "externalLabels": { "clusterArn": "a" } })),
            "routes: rules[1].externalLabels.clusterArn: leave it out: ampxa sets this label to the ARN of each cluster, \
             because it identifies the cluster",
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
    let choice = json!({ "match": { "organizationalUnits": ["ou-a1b2-c3d4e5f6"] }, "workspaceArn": workspace("1") });
    let text = json!({ "workspaces": [choice] });
    let error = refused(&text.to_string(), &without);
    assert!(
        error.starts_with("routes: workspaces[0].match.organizationalUnits: the hub has no access"),
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
    fn no_accepted_table_gives_a_workspace_to_a_cluster_whose_account_it_does_not_name(
        rules in prop::collection::vec(any_rule(), 0..4),
        choices in prop::collection::vec(any_choice(), 0..4),
        (default, default_any_account) in (prop::option::of(any_workspace()), prop::bool::weighted(0.9)),
        (chosen, of_reconciliation) in (prop::option::of(any_id_or_arn()), prop::option::of(any_id_or_arn())),
        team in prop::option::of("[ab]"),
        units in prop::sample::subsequence(UNITS.to_vec(), 0..=2),
    ) {
        let settings = Settings {
            default_workspace: default.clone().unwrap_or_default(),
            default_workspace_any_account: default_any_account,
            ..settings()
        };
        let choices_or_none = (!choices.is_empty()).then_some(&choices);
        let text = json!({ "rules": rules, "workspaces": choices_or_none }).to_string();
        let routes = match Routes::parse(Some(&text), &settings) {
            Ok(routes) => routes,
            Err(error) => {
                prop_assert_eq!(error.name(), "InvalidRequest");
                return Ok(());
            }
        };
        let tags = [("ampxa:workspace", chosen.as_deref()), ("team", team.as_deref())];
        let tags: Vec<(&str, &str)> = tags.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
        if let Ok(Route::Onboard(onboarding)) = route(&routes, &tags, &units, of_reconciliation.as_deref()) {
            let workspace = onboarding.workspace.to_string();
            let opens = |item: &Value| item["workspaceArn"] == json!(workspace) && names_cluster(item, &units);
            let open = rules.iter().chain(&choices).any(opens)
                || (default_any_account && default.as_ref() == Some(&workspace));
            prop_assert!(open, "{} was routed to {}, tags {:?}, units {:?}", text, workspace, tags, units);
            prop_assert_eq!(onboarding.workspace.region(), "us-west-2");
        }
    }
}

/// Whether a rule or an item of `workspaces` says that it is for every account, or names the account of [`CLUSTER`]. If
/// it names accounts and organizational units, both must match.
fn names_cluster(item: &Value, units: &[&str]) -> bool {
    let named = |field: &str| item["match"][field].as_array();
    let of_account = named("accounts").map(|all| all.contains(&json!("222222222222")));
    let of_unit = named("organizationalUnits").map(|all| units.iter().any(|unit| all.contains(&json!(unit))));
    match (of_account, of_unit) {
        (None, None) => item["anyAccount"] == true,
        (of_account, of_unit) => of_account != Some(false) && of_unit != Some(false),
    }
}

fn any_workspace() -> impl Strategy<Value = String> {
    (
        "[0-2]",
        prop::sample::select(vec!["us-west-2", "us-west-2", "eu-west-1"]),
    )
        .prop_map(|(id, region)| format!("arn:aws:aps:{region}:333333333333:workspace/ws-{id}"))
}

fn any_id_or_arn() -> impl Strategy<Value = String> {
    prop_oneof!["ws-[0-2]", any_workspace()]
}

/// A field of a condition: absent, or a list of one or two of these items.
fn any_list(items: &'static [&'static str]) -> impl Strategy<Value = Option<Vec<&'static str>>> {
    prop::option::of(prop::sample::subsequence(items, 1..=2))
}

/// The accounts and organizational units of a condition. Where there are neither, `anyAccount` is mostly `true`.
fn any_accounts() -> impl Strategy<Value = Value> {
    let accounts = any_list(&["222222222222", "111111111111"]);
    let units = any_list(&["ou-a1b2-prod0000", "ou-a1b2-other000"]);
    (accounts, units, prop::bool::weighted(0.05)).prop_map(|(accounts, units, mistake)| {
        let any_account = (accounts.is_none() && units.is_none()) != mistake;
        json!({ "match": { "accounts": accounts, "organizationalUnits": units }, "anyAccount": any_account })
    })
}

fn any_choice() -> impl Strategy<Value = Value> {
    (any_accounts(), any_workspace()).prop_map(|(mut choice, workspace)| {
        choice["workspaceArn"] = json!(workspace);
        choice
    })
}

/// A rule with a workspace, or one that ignores.
fn any_rule() -> impl Strategy<Value = Value> {
    let regions = any_list(&["us-west-2", "eu-west-1"]);
    let names = any_list(&["payments-*", "x"]);
    let tags = prop::option::of("[ab*]");
    let ignore = prop::bool::weighted(0.1);
    (any_choice(), regions, names, tags, ignore).prop_map(|(mut rule, regions, names, team, ignore)| {
        rule["match"]["regions"] = json!(regions);
        rule["match"]["clusterNames"] = json!(names);
        rule["match"]["tags"] = team.map_or(Value::Null, |team| json!({ "team": team }));
        match ignore {
            true => json!({ "match": rule["match"], "ignore": "x" }),
            false => rule,
        }
    })
}
