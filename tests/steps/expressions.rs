//! The expressions of the state machines, with the values that they have in an execution.

use serde_json::{Value, json};
use support::jsonata::evaluate as evaluate_expression;

/// A state of `ampxa-reconcile`, at any depth of its Maps, or of one of the other machines.
fn state(name: &str) -> Value {
    fn find(states: &Value, name: &str) -> Option<Value> {
        let all = states["States"].as_object()?;
        let inner = || all.values().find_map(|state| find(&state["ItemProcessor"], name));
        all.get(name).cloned().or_else(inner)
    }
    let machine = |machine: &str| find(&support::machine(machine), name);
    let state = machine("reconcile")
        .or_else(|| machine("onboard"))
        .or_else(|| machine("offboard"));
    state.unwrap_or_else(|| panic!("no state {name}"))
}

/// The value of an expression with this `$states`, as Step Functions evaluates it.
fn evaluate(expression: &Value, states: Value) -> Value {
    evaluate_with(expression, states, &json!({}))
}

/// The value of an expression with this `$states` and these variables.
fn evaluate_with(expression: &Value, states: Value, variables: &Value) -> Value {
    let text = expression.as_str().unwrap();
    let text = text.strip_prefix("{% ").unwrap().strip_suffix(" %}").unwrap();
    let mut all = variables.as_object().unwrap().clone();
    all.insert("states".to_owned(), states);
    evaluate_expression(text, &all).unwrap()
}

#[test]
fn every_account_is_reconciled_in_every_region() {
    let items = &state("Reconcile each location")["Items"];
    // Account 1 has pairs.
    let location = |account: &str, region: &str| json!({ "account": account, "region": region, "first": region == "a", "hasPairs": account == "1" });
    for (accounts, regions, expected) in [
        (json!(["1"]), json!(["a"]), json!([location("1", "a")])),
        (
            json!(["1"]),
            json!(["a", "b"]),
            json!([location("1", "a"), location("1", "b")]),
        ),
        (
            json!(["1", "2"]),
            json!(["a"]),
            json!([location("1", "a"), location("2", "a")]),
        ),
        (
            json!(["1", "2"]),
            json!(["a", "b"]),
            json!([
                location("1", "a"),
                location("1", "b"),
                location("2", "a"),
                location("2", "b")
            ]),
        ),
    ] {
        let (with_pairs, others): (Vec<Value>, Vec<Value>) = accounts
            .as_array()
            .unwrap()
            .iter()
            .cloned()
            .partition(|account| account == "1");
        let input = json!({ "accountsWithPairs": with_pairs, "accounts": others, "regions": regions });
        assert_eq!(evaluate(items, json!({ "input": input })), expected);
    }
    let input = json!({ "accountsWithPairs": [], "accounts": ["2"], "regions": ["a"] });
    assert_eq!(evaluate(items, json!({ "input": input })), json!([location("2", "a")]));
}

#[test]
fn an_unreachable_account_counts_once_whatever_the_number_of_regions() {
    let outcomes = &state("Location skipped")["Output"]["results"];
    for (first, has_pairs, expected) in [
        (true, true, json!(["UNREACHABLE_WITH_PAIRS"])),
        (true, false, json!(["UNREACHABLE"])),
        (false, true, json!([])),
        (false, false, json!([])),
    ] {
        let location = json!({ "account": "1", "region": "a", "first": first, "hasPairs": has_pairs });
        let states = json!({ "input": { "location": location, "inventory": { "reason": "no reader" } } });
        let listed = evaluate(outcomes, states);
        let names: Vec<&Value> = listed.as_array().unwrap().iter().map(|one| &one["outcome"]).collect();
        assert_eq!(json!(names), expected);
        assert!(
            listed
                .as_array()
                .unwrap()
                .iter()
                .all(|one| one["reason"] == "no reader" && one["account"] == "1")
        );
    }
}

#[test]
fn the_outcome_of_an_onboarding_follows_from_its_changes() {
    let onboarded = &state("Onboarded")["Output"]["outcome"];
    for (created, repaired, replaced, patched, outcome) in [
        ((true, true, true), json!([]), json!([]), (true, true), "ONBOARDED"),
        ((false, false, true), json!([]), json!([]), (true, true), "ONBOARDED"),
        (
            (false, false, true),
            json!([]),
            json!([{ "reason": "is CREATION_FAILED" }]),
            (true, true),
            "REPAIRED",
        ),
        ((false, true, false), json!([]), json!([]), (false, true), "REPAIRED"),
        ((false, true, false), json!([]), json!([]), (false, false), "REPAIRED"),
        (
            (false, false, false),
            json!(["tags"]),
            json!([]),
            (false, false),
            "REPAIRED",
        ),
        ((false, false, false), json!([]), json!([]), (true, false), "REPAIRED"),
        (
            (false, false, false),
            json!([]),
            json!([{ "reason": "is a duplicate" }]),
            (false, false),
            "REPAIRED",
        ),
        ((false, false, false), json!([]), json!([]), (false, false), "UNCHANGED"),
    ] {
        let variables = json!({
            "scraperCreated": created.2,
            "sourceRole": { "created": created.0, "repaired": [] },
            "targetRole": { "created": created.1, "repaired": [] },
            "scraperRepaired": repaired,
            "check": { "staleScrapers": replaced },
            "patched": { "source": patched.0, "target": patched.1 },
        });
        assert_eq!(evaluate_with(onboarded, json!({}), &variables), outcome);
    }
    let outcome = &state("Onboard cluster")["Output"]["outcome"];
    let states = json!({ "input": { "clusterArn": "c" }, "result": { "Output": { "outcome": "REPAIRED" } } });
    assert_eq!(evaluate(outcome, states), "REPAIRED");
}

#[test]
fn the_outcome_of_an_offboarding_is_skipped_if_the_step_gives_a_reason() {
    let output = &state("Offboarded")["Output"];
    for (reason, outcome) in [(json!(null), "OFFBOARDED"), (json!("the event is late"), "SKIPPED")] {
        let variables = json!({ "skipReason": reason });
        assert_eq!(evaluate_with(&output["outcome"], json!({}), &variables), outcome);
        assert_eq!(evaluate_with(&output["reason"], json!({}), &variables), reason);
    }
}

#[test]
fn samples_are_waited_for_after_any_change() {
    let stop = &state("Are samples received?")["Choices"][1]["Condition"];
    let variables = |waited: u32, scraper: u32, patched: bool, repaired: [&[&str]; 3]| {
        json!({
            "secondsForSamples": waited,
            "secondsForScraper": scraper,
            "patched": { "source": false, "target": patched },
            "sourceRole": { "repaired": repaired[0] },
            "targetRole": { "repaired": repaired[1] },
            "scraperRepaired": repaired[2],
        })
    };
    for (variables, expected) in [
        (variables(0, 0, false, [&[], &[], &[]]), true),
        (variables(0, 1200, false, [&[], &[], &[]]), false),
        (variables(0, 0, true, [&[], &[], &[]]), false),
        (variables(0, 0, false, [&["permissions"], &[], &[]]), false),
        (variables(0, 0, false, [&[], &["managed policy", "tags"], &[]]), false),
        (variables(0, 0, false, [&[], &[], &["roles"]]), false),
        (variables(570, 1200, true, [&["permissions"], &[], &[]]), false),
        (variables(600, 1200, true, [&["permissions"], &[], &[]]), true),
    ] {
        assert_eq!(evaluate_with(stop, json!({}), &variables), expected, "{variables}");
    }
}

#[test]
fn a_patch_is_recorded_if_either_attempt_wrote() {
    let late = &state("Patch trust policies")["Assign"]["patched"];
    for (early, now, expected) in [
        ((false, false), (true, true), (true, true)),
        ((true, true), (false, false), (true, true)),
        ((true, false), (false, false), (true, false)),
        ((false, false), (false, false), (false, false)),
    ] {
        let variables = json!({ "patched": { "source": early.0, "target": early.1 } });
        let states = json!({ "result": { "Payload": { "source": now.0, "target": now.1 } } });
        for (side, expected) in [("source", expected.0), ("target", expected.1)] {
            assert_eq!(evaluate_with(&late[side], states.clone(), &variables), expected);
        }
    }
}

#[test]
fn the_cause_of_an_activation_timeout_names_security_groups_and_subnets() {
    let cause = &state("Is the scraper active?")["Choices"][3]["Assign"]["failure"]["Cause"];
    let variables = |created: bool| {
        json!({
            "scraper": { "scraperArn": "arn:s", "status": "CREATING" },
            "request": { "activationTimeoutMinutes": 60 },
            "scraperCreated": created,
            "check": { "network": { "securityGroupIds": ["sg-1"], "subnetIds": ["subnet-1", "subnet-2"] } },
        })
    };
    let message = |created| {
        let cause = evaluate_with(cause, json!({}), &variables(created));
        cause.as_str().unwrap().to_owned()
    };
    assert!(
        message(true).contains("CREATING after 60 minutes."),
        "{}",
        message(true)
    );
    assert!(
        message(true).contains("(sg-1, subnet-1, subnet-2) blocks port 443"),
        "{}",
        message(true)
    );
    assert!(
        message(false).contains("a route of a subnet blocks port 443"),
        "{}",
        message(false)
    );
}

#[test]
fn a_child_execution_that_fails_is_listed_under_its_own_error_and_cause() {
    let described = |more: Value| {
        let mut description = json!({ "ExecutionArn": "arn:e", "Input": "{}", "Status": "FAILED" });
        description
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        description.to_string()
    };
    let function_error = json!({ "errorType": "NotReady", "errorMessage": "reason {\"a\": 1}" }).to_string();
    for (error, cause, expected_error, expected_cause) in [
        (
            "States.TaskFailed",
            Some(described(json!({ "Error": "NotReady", "Cause": "reason {\"a\": 1}" }))),
            "NotReady",
            "reason {\"a\": 1}",
        ),
        (
            "States.TaskFailed",
            Some(described(json!({ "Status": "ABORTED" }))),
            "States.TaskFailed",
            "The execution arn:e is ABORTED.",
        ),
        ("NotReady", Some(function_error), "NotReady", "reason {\"a\": 1}"),
        ("NotReady", Some("{ no JSON }".to_owned()), "NotReady", "{ no JSON }"),
        (
            "States.TaskFailed",
            Some("{\"ExecutionArn\": \"cut".to_owned()),
            "States.TaskFailed",
            "States.TaskFailed: {\"ExecutionArn\": \"cut",
        ),
        (
            "States.Timeout",
            None,
            "States.Timeout",
            "States.Timeout: AWS gave no cause.",
        ),
    ] {
        let mut failure = json!({ "Error": error });
        if let Some(cause) = cause {
            failure["Cause"] = json!(cause);
        }
        let expected =
            json!({ "clusterArn": "c", "outcome": "FAILED", "error": expected_error, "cause": expected_cause });
        let of_c = json!({ "clusterArn": "c" });
        let input = json!({ "clusterArn": "c", "orphan": of_c, "pair": of_c, "failure": failure });
        for name in ["Cluster failed", "Orphan failed", "Unrouted pair failed"] {
            let mut output = evaluate(&state(name)["Output"], json!({ "input": input }));
            if name == "Cluster failed" {
                let unrouted = output.as_object_mut().unwrap().remove("unrouted");
                assert_eq!(unrouted, Some(json!([])));
            }
            assert_eq!(output, expected);
        }
    }
}

#[test]
fn long_causes_and_reasons_are_truncated_to_200_characters() {
    let failure = json!({ "Error": "States.Timeout", "Cause": "x".repeat(5000) });
    let input = json!({ "input": {
        "clusterArn": "c", "orphan": { "clusterArn": "c" }, "pair": { "clusterArn": "c" }, "failure": failure,
        "decision": { "reason": "x".repeat(5000) },
        "location": { "account": "1", "region": "r", "first": true, "hasPairs": false }, "inventory": { "reason": "x".repeat(5000) },
    } });
    for (name, field) in [
        ("Cluster failed", "cause"),
        ("Orphan failed", "cause"),
        ("Unrouted pair failed", "cause"),
        ("Cluster skipped", "reason"),
        ("Location skipped", "reason"),
        ("Location failed", "cause"),
    ] {
        let output = &state(name)["Output"];
        let text = match &output[field] {
            Value::Null if output.is_string() => evaluate(output, input.clone())[field].clone(),
            Value::Null if output["failed"].is_object() => evaluate(&output["failed"][field], input.clone()),
            Value::Null => evaluate(&output["results"], input.clone())[0][field].clone(),
            expression => evaluate(expression, input.clone()),
        };
        assert_eq!(text.as_str().unwrap().len(), 200, "{name}");
    }
}

#[test]
fn unrouted_pairs_of_clusters_that_did_not_fail_are_removed() {
    let items = &state("Remove each unrouted pair")["Items"];
    let pair = |workspace: &str| json!({ "clusterArn": "c", "workspaceArn": workspace, "name": "n" });
    for (outcomes, expected) in [
        (json!([]), json!([])),
        (json!([{ "outcome": "UNCHANGED", "removals": [] }]), json!([])),
        (
            json!([
                { "outcome": "UNCHANGED", "removals": [pair("1")] },
                { "outcome": "FAILED", "unrouted": [] },
                { "outcome": "SKIPPED", "removals": [pair("2"), pair("3")] },
            ]),
            json!([pair("1"), pair("2"), pair("3")]),
        ),
    ] {
        assert_eq!(evaluate(items, json!({ "input": { "outcomes": outcomes } })), expected);
    }
    assert!(!state("Cluster failed")["Output"].as_str().unwrap().contains("removals"));
}

#[test]
fn outcomes_of_target_roles_are_added_to_the_results_of_batches() {
    let payload = &state("Summarize reconciliation")["Arguments"]["Payload"];
    let states = json!({ "input": { "results": [{ "counts": {} }], "batches": 1 } });
    for (outcomes, expected) in [(json!([]), 1), (json!([{ "roleArn": "r", "outcome": "OWNERLESS" }]), 2)] {
        let variables = json!({ "outcomes": outcomes });
        let results = evaluate_with(&payload["results"], states.clone(), &variables);
        assert_eq!(results.as_array().map(Vec::len), Some(expected));
        let count = evaluate_with(&payload["expected"], states.clone(), &variables);
        assert_eq!(count.as_f64(), Some(expected as f64));
    }
}

#[test]
fn outcomes_of_orphans_are_appended_to_outcomes_of_clusters() {
    let output = &state("Reconcile each orphan")["Output"];
    for (clusters, orphans) in [
        (json!([]), json!([])),
        (json!(["a"]), json!([])),
        (json!(["a"]), json!(["b", "c"])),
    ] {
        let all = [
            clusters.as_array().unwrap().clone(),
            orphans.as_array().unwrap().clone(),
        ]
        .concat();
        let states = json!({ "input": { "outcomes": clusters, "maxListed": 4 }, "result": orphans });
        assert_eq!(evaluate(&output["outcomes"], states.clone()), json!(all));
        assert_eq!(evaluate(&output["maxListed"], states).as_f64(), Some(4.0));
    }
}

#[test]
fn the_results_of_all_inventories_of_a_location_are_added_up() {
    let output = &state("Reconcile each group")["Output"];
    let summary = |count: u32| json!({ "counts": { "SKIPPED": count }, "moreFailed": 0, "lost": 0 });
    for (results, groups, expected) in [
        (json!([]), json!([]), json!([summary(9)])),
        (json!([]), json!([summary(1)]), json!([summary(1), summary(9)])),
        // A group that did not finish has no summary.
        (
            json!([summary(3)]),
            json!([summary(1), null]),
            json!([summary(3), summary(1), null, summary(9)]),
        ),
    ] {
        let inventory = json!({ "groups": [{}], "next": "name", "summary": summary(9) });
        let input = json!({ "location": { "account": "1" }, "inventory": inventory, "results": results, "after": "" });
        let value = evaluate(output, json!({ "input": input, "result": groups }));
        assert_eq!(value["results"], expected);
        assert_eq!((&value["after"], &value["inventory"]), (&json!("name"), &json!({})));
        let payload = &state("Summarize location")["Arguments"]["Payload"];
        let states = json!({ "input": value });
        assert_eq!(evaluate(&payload["results"], states.clone()), expected);
        let count = evaluate(&payload["expected"], states.clone());
        assert_eq!(count.as_f64(), Some(expected.as_array().unwrap().len() as f64));
        let more = &state("Are there more clusters?")["Choices"][0]["Condition"];
        assert_eq!(evaluate(more, states), json!(true));
        assert_eq!(evaluate(more, json!({ "input": { "after": "" } })), json!(false));
    }
    let summarized = &state("Summarize location")["Output"];
    let states = json!({ "input": { "after": "name", "results": [1, 2] }, "result": { "Payload": summary(4) } });
    let value = evaluate(summarized, states);
    assert_eq!(value, json!({ "after": "name", "results": [summary(4)] }));
    let reconciled = evaluate(&state("Location reconciled")["Output"], json!({ "input": value }));
    assert_eq!(reconciled, summary(4));
}

#[test]
fn a_location_that_fails_after_an_inventory_keeps_the_results_so_far() {
    let output = &state("Location failed")["Output"];
    let input = json!({
        "location": { "account": "1", "region": "a" }, "results": [{ "counts": {} }], "failure": { "Error": "Transient" },
    });
    let states = json!({ "input": input });
    let fields = output["failed"].as_object().unwrap().iter();
    let fields = fields.map(|(name, value)| match name.as_str() {
        "outcome" => (name.clone(), value.clone()),
        _ => (name.clone(), evaluate(value, states.clone())),
    });
    let failed: serde_json::Map<String, Value> = fields.collect();
    let expected = json!({
        "account": "1", "region": "a", "outcome": "FAILED", "error": "Transient", "cause": "AWS gave no cause.",
    });
    assert_eq!(json!(failed), expected);
    let input = json!({ "results": evaluate(&output["results"], states), "failed": failed });
    let payload = &state("Summarize location")["Arguments"]["Payload"];
    let results = evaluate(&payload["results"], json!({ "input": input }));
    assert_eq!(results, json!([{ "counts": {} }, expected]));
    assert_eq!(
        evaluate(&payload["expected"], json!({ "input": input })).as_f64(),
        Some(2.0)
    );
}

#[test]
fn the_cluster_of_a_group_has_its_arn_and_a_group_lists_its_share() {
    let selector = &state("Reconcile each cluster")["ItemSelector"]["clusterArn"];
    let context = json!({ "Map": { "Item": { "Value": { "name": "a" } } } });
    let states = json!({ "input": { "clusterArnPrefix": "arn:aws:eks:r:1:cluster/" }, "context": context });
    assert_eq!(evaluate(selector, states), "arn:aws:eks:r:1:cluster/a");
    let of_group = &state("Reconcile each group")["ItemSelector"]["maxListed"];
    for (groups, max_listed, expected) in [(1, 40, 20.0), (1, 5, 5.0), (3, 40, 6.0), (21, 40, 0.0)] {
        let inventory = json!({ "groups": vec![json!({ "clusters": [] }); groups] });
        let value = evaluate(
            of_group,
            json!({ "input": { "inventory": inventory, "maxListed": max_listed } }),
        );
        assert_eq!(value.as_f64(), Some(expected));
    }
    let of_location = &state("Reconcile each location")["ItemSelector"]["maxListed"];
    for (accounts, with_pairs, regions, expected) in [(1, 0, 1, 40.0), (2, 1, 3, 8.0), (0, 1, 34, 2.0)] {
        let input = json!({
            "accounts": vec!["1"; accounts], "accountsWithPairs": vec!["2"; with_pairs], "regions": vec!["r"; regions],
            "maxListed": 40,
        });
        assert_eq!(
            evaluate(of_location, json!({ "input": input })).as_f64(),
            Some(expected)
        );
    }
}
