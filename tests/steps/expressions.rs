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
            "prepared": [],
            "check": { "staleScrapers": replaced },
            "patched": { "source": patched.0, "target": patched.1 },
        });
        assert_eq!(evaluate_with(onboarded, json!({}), &variables), outcome);
    }
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
    let changed = &state("Patch trust policies")["Assign"]["changed"];
    let nothing = json!({
        "secondsForScraper": 0, "patched": { "source": false, "target": false }, "sourceRole": { "repaired": [] },
        "targetRole": { "repaired": [] }, "scraperRepaired": [], "prepared": [],
    });
    for (change, patches, expected) in [
        (json!({}), false, false),
        (json!({}), true, true),
        (json!({ "secondsForScraper": 1200 }), false, true),
        (json!({ "patched": { "source": false, "target": true } }), false, true),
        (json!({ "sourceRole": { "repaired": ["permissions"] } }), false, true),
        (
            json!({ "targetRole": { "repaired": ["managed policy", "tags"] } }),
            false,
            true,
        ),
        (json!({ "scraperRepaired": ["roles"] }), false, true),
        (json!({ "prepared": ["PRIVATE_ENDPOINT"] }), false, true),
    ] {
        let mut variables = nothing.clone();
        variables
            .as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        let states = json!({ "result": { "Payload": { "source": false, "target": patches } } });
        assert_eq!(evaluate_with(changed, states, &variables), expected, "{variables}");
    }
    let stop = &state("Are samples received?")["Choices"][2]["Condition"];
    for (waited, changed, logs, expected) in [
        (0, false, false, true),
        (0, true, false, false),
        (0, false, true, false),
        (570, true, false, false),
        (600, true, true, true),
    ] {
        let variables = json!({ "secondsForSamples": waited, "changed": changed, "collectorLogsEnabled": logs });
        assert_eq!(evaluate_with(stop, json!({}), &variables), expected, "{variables}");
    }
}

#[test]
fn the_collectors_logs_change_when_samples_are_late() {
    let condition = &state("Must the collector logs change?")["Choices"][0]["Condition"];
    for (change, updated, result, waited, changed, expected) in [
        (json!(null), false, "NONE", 600, true, false),
        (json!("ENABLE"), false, "NONE", 90, true, false),
        (json!("ENABLE"), false, "NONE", 120, true, true),
        (json!("ENABLE"), false, "TARGETS_DOWN", 0, false, true),
        (json!("ENABLE"), true, "NONE", 600, true, false),
        (json!("DISABLE"), false, "RECEIVING", 0, true, true),
    ] {
        let variables = json!({
            "ingestion": { "collectorLogs": change, "result": result }, "collectorLogsUpdated": updated,
            "secondsForSamples": waited, "changed": changed,
        });
        assert_eq!(evaluate_with(condition, json!({}), &variables), expected, "{variables}");
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
    let cause = &state("Is the scraper active?")["Choices"][4]["Assign"]["failure"]["Cause"];
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
fn an_unreachable_account_counts_once_whatever_the_number_of_regions() {
    let output = &state("Location skipped")["Output"];
    for (first, expected) in [(Some(true), json!("no reader")), (None, Value::Null)] {
        let mut finding = json!({ "kind": "LOCATION", "account": "1", "region": "a" });
        if let Some(first) = first {
            finding["first"] = json!(first);
        }
        let states = json!({ "input": { "finding": finding, "inventory": { "reason": "no reader" } } });
        let skipped = evaluate(output, states);
        assert_eq!((&skipped["unreachable"], &skipped["account"]), (&expected, &json!("1")));
    }
    let payload = &state("Find clusters")["Arguments"]["Payload"]["first"];
    for (finding, first) in [(json!({ "first": true }), true), (json!({}), false)] {
        assert_eq!(evaluate(payload, json!({ "input": { "finding": finding } })), first);
    }
}

#[test]
fn each_map_reads_what_the_map_before_it_wrote() {
    for (map, variable) in [("Plan each cluster", "found"), ("Apply each plan", "planned")] {
        let prefix = &state(map)["ItemReader"]["Arguments"]["Prefix"];
        let variables = json!({ variable: "reports/monday/x/1234/manifest.json" });
        assert_eq!(
            evaluate_with(prefix, json!({}), &variables),
            "reports/monday/x/1234/SUCCEEDED"
        );
    }
}

/// The next state of an item of the last Map: from the first choice, or else from the last one.
fn next_of(choice: &str, finding: &Value, disconnects: bool, expected: bool) -> String {
    let choice = state(choice);
    let input = json!({ "finding": finding, "disconnects": disconnects, "isExpected": expected });
    let states = json!({ "input": input });
    let mut rules = choice["Choices"].as_array().unwrap().iter();
    let chosen = rules.find(|rule| evaluate(&rule["Condition"], states.clone()) == true);
    let next = chosen.map_or(&choice["Default"], |rule| &rule["Next"]);
    next.as_str().unwrap().to_owned()
}

#[test]
fn an_item_is_started_only_if_there_is_something_to_do() {
    let removals = json!([{ "workspaceArn": "w", "name": "n" }]);
    let failure = json!({ "Error": "NotReady" });
    let removal = |error: Value| json!({ "plan": "0a", "wouldFailAs": error });
    for (finding, disconnects, expected, starts) in [
        (json!({ "kind": "CLUSTER" }), false, false, true),
        (json!({ "kind": "CLUSTER", "action": "ONBOARD" }), false, true, true),
        (
            json!({ "kind": "CLUSTER", "action": "ONBOARD", "removals": removals, "failure": failure }),
            false,
            true,
            false,
        ),
        (
            json!({ "kind": "CLUSTER", "action": "SKIP", "removals": removals }),
            false,
            true,
            true,
        ),
        (
            json!({ "kind": "CLUSTER", "action": "SKIP", "removals": [] }),
            false,
            true,
            false,
        ),
        (
            json!({ "kind": "ORPHAN", "missing": true, "orphanSince": null }),
            false,
            false,
            true,
        ),
        (json!({ "kind": "LOCATION" }), false, false, false),
        (json!({ "kind": "ROLE" }), false, false, false),
        (
            json!({ "kind": "CLUSTER", "removal": removal(json!(null)) }),
            true,
            false,
            true,
        ),
        (
            json!({ "kind": "ORPHAN", "removal": removal(json!(null)) }),
            true,
            false,
            true,
        ),
        (json!({ "kind": "CLUSTER", "reason": "no pair" }), true, false, false),
        // What would fail as planned is not started, if the plan is to be kept.
        (
            json!({ "kind": "CLUSTER", "removal": removal(json!("AccessDenied")) }),
            true,
            true,
            false,
        ),
        (
            json!({ "kind": "CLUSTER", "removal": removal(json!("AccessDenied")) }),
            true,
            false,
            true,
        ),
        (
            json!({ "kind": "ORPHAN", "orphanSince": "e", "removal": removal(json!("AccessDenied")) }),
            false,
            true,
            false,
        ),
        (
            json!({ "kind": "CLUSTER", "action": "ONBOARD", "plan": removal(json!("NotReady")) }),
            false,
            true,
            false,
        ),
        (
            json!({ "kind": "CLUSTER", "action": "ONBOARD", "plan": removal(json!(null)) }),
            false,
            true,
            true,
        ),
    ] {
        let next = next_of("Is there anything to do?", &finding, disconnects, expected);
        let expected_next = if starts { "Wait for the start" } else { "Nothing to do" };
        assert_eq!(next, expected_next, "{finding}");
    }
}

#[test]
fn a_cluster_that_failed_keeps_its_pairs() {
    let removals = json!([{ "workspaceArn": "w", "name": "n" }]);
    for (finding, disconnects, expected) in [
        (
            json!({ "kind": "CLUSTER", "action": "ONBOARD", "removals": removals }),
            false,
            "Onboard cluster",
        ),
        (
            json!({ "kind": "CLUSTER", "action": "SKIP", "removals": removals }),
            false,
            "Remove each unrouted pair",
        ),
        (
            json!({ "kind": "CLUSTER", "action": "SKIP", "removals": [] }),
            false,
            "Nothing to do",
        ),
        (
            json!({ "kind": "CLUSTER", "removal": { "plan": "0a" } }),
            true,
            "Offboard cluster",
        ),
        (
            json!({ "kind": "ORPHAN", "removal": { "plan": "0a" } }),
            true,
            "Offboard cluster",
        ),
        (json!({ "kind": "ORPHAN", "missing": true }), false, "Mark orphans"),
    ] {
        assert_eq!(
            next_of("What is to be done?", &finding, disconnects, false),
            expected,
            "{finding}"
        );
    }
    for (finding, disconnects, expected) in [
        (json!({ "kind": "CLUSTER" }), false, "Route cluster again"),
        (json!({ "kind": "CLUSTER" }), true, "What is to be done?"),
        (
            json!({ "kind": "CLUSTER", "action": "SKIP" }),
            false,
            "What is to be done?",
        ),
        (json!({ "kind": "ORPHAN" }), false, "What is to be done?"),
    ] {
        assert_eq!(
            next_of("Is the cluster routed?", &finding, disconnects, false),
            expected,
            "{finding}"
        );
    }
    // An onboarding that fails ends without the Map that removes pairs.
    assert_eq!(state("Onboard cluster")["Catch"][0]["Next"], "Cluster failed");
    let items = &state("Remove each unrouted pair")["Items"];
    for (finding, expected) in [
        (json!({}), json!([])),
        (json!({ "removals": removals }), removals.clone()),
    ] {
        assert_eq!(evaluate(items, json!({ "input": { "finding": finding } })), expected);
    }
}

#[test]
fn an_expected_plan_reaches_each_onboarding() {
    let input = &state("Onboard cluster")["Arguments"]["Input"];
    let finding = json!({ "request": { "clusterArn": "c" }, "plan": { "plan": "0a" } });
    for (expected, request) in [
        (true, json!({ "clusterArn": "c", "expectedPlan": "0a" })),
        (false, json!({ "clusterArn": "c" })),
    ] {
        let states = json!({ "input": { "isExpected": expected, "finding": finding } });
        assert_eq!(evaluate(input, states), request);
    }
    let selector = &state("Apply each plan")["ItemSelector"]["isExpected"];
    for (plan, expected) in [(json!("0a"), true), (json!(null), false)] {
        let variables = json!({ "scope": { "expectedPlan": plan } });
        assert_eq!(evaluate_with(selector, json!({}), &variables), expected);
    }
}

#[test]
fn a_plan_is_applied_only_if_it_is_complete_and_the_expected_one() {
    let rules = state("Is the plan applied?")["Choices"].clone();
    let next = |mode: &str, expected: Value, plan: &str, lost: u32| {
        let variables = json!({ "scope": { "mode": mode, "expectedPlan": expected } });
        let states = json!({ "input": { "plan": plan, "lost": lost } });
        let rules = rules.as_array().unwrap().iter();
        let mut chosen = rules.filter(|rule| evaluate_with(&rule["Condition"], states.clone(), &variables) == true);
        chosen.next().map(|rule| rule["Next"].as_str().unwrap().to_owned())
    };
    for (mode, expected, lost, chosen) in [
        ("PLAN", json!(null), 0, Some("Planned")),
        ("PLAN", json!("0b"), 0, Some("Planned")),
        ("PLAN", json!(null), 1, Some("Reconciliation failed")),
        ("APPLY", json!("0a"), 0, None),
        ("APPLY", json!("0b"), 0, Some("Reconciliation failed")),
        ("APPLY", json!("0a"), 1, Some("Reconciliation failed")),
    ] {
        assert_eq!(next(mode, expected, "0a", lost).as_deref(), chosen);
    }
}

#[test]
fn at_most_two_items_start_per_second() {
    let seconds = &state("Wait for the start")["Seconds"];
    for (index, entered, expected) in [
        (0, "12:00:00", 0.0),
        (1, "12:00:00", 0.0),
        (2, "12:00:00", 1.0),
        (999, "12:00:01", 498.0),
        // Its turn was earlier: another one had to end first.
        (1_001, "12:25:00", 0.0),
    ] {
        let input = json!({ "index": index, "startedAt": "2026-01-01T12:00:00Z" });
        let state = json!({ "EnteredTime": format!("2026-01-01T{entered}.000Z") });
        let states = json!({ "input": input, "context": { "State": state } });
        assert_eq!(evaluate(seconds, states).as_f64(), Some(expected), "{index}");
    }
}

#[test]
fn pairs_are_looked_for_if_a_cluster_is_disconnected_or_missing_again() {
    let rules = state("Is it a cluster?")["Choices"].clone();
    let cluster = json!({ "kind": "CLUSTER" });
    let orphan = |missing: bool, since: Value| json!({ "kind": "ORPHAN", "missing": missing, "orphanSince": since });
    for (finding, disconnects, plans, expected) in [
        (cluster.clone(), false, true, Some("Route cluster")),
        (cluster.clone(), false, false, None),
        (cluster, true, false, Some("Find pairs")),
        (orphan(true, json!(null)), true, false, Some("Find pairs")),
        (orphan(false, json!("e")), true, true, Some("Orphan omitted")),
        (orphan(true, json!("e")), false, true, Some("Find pairs")),
        (orphan(true, json!("e")), false, false, None),
        (orphan(true, json!(null)), false, true, None),
        (orphan(false, json!("e")), false, true, None),
        (json!({ "kind": "LOCATION" }), true, true, None),
    ] {
        let states = json!({ "input": { "finding": finding, "disconnects": disconnects, "plans": plans } });
        let mut rules = rules.as_array().unwrap().iter();
        let next = rules.find(|rule| evaluate(&rule["Condition"], states.clone()) == true);
        assert_eq!(next.map(|rule| rule["Next"].as_str().unwrap()), expected, "{states}");
    }
    let has_pairs = &state("Has the cluster pairs?")["Choices"][0]["Condition"];
    for (pairs, expected) in [(json!([]), false), (json!([{ "workspaceArn": "w" }]), true)] {
        assert_eq!(evaluate(has_pairs, json!({ "input": { "pairs": pairs } })), expected);
    }
}

#[test]
fn an_expected_plan_reaches_each_offboarding() {
    let input = &state("Offboard cluster")["Arguments"]["Input"];
    let request = json!({ "clusterArn": "c" });
    for (expected, removal, result) in [
        (
            true,
            json!({ "plan": "0a" }),
            json!({ "clusterArn": "c", "expectedPlan": "0a" }),
        ),
        (false, json!({ "plan": "0a" }), request.clone()),
    ] {
        let finding = json!({ "removal": removal });
        let states =
            json!({ "input": { "isExpected": expected, "finding": finding, "decision": { "request": request } } });
        assert_eq!(evaluate(input, states), result);
    }
}
