//! The expressions of the state machines, each with the values that its states see.

use serde_json::{Value, json};
use support::jsonata::evaluate as evaluate_expression;

/// A state of the reconciliation, within whichever Map it is, or of the onboarding.
fn state(name: &str) -> Value {
    fn find(states: &Value, name: &str) -> Option<Value> {
        let all = states["States"].as_object()?;
        let inner = || all.values().find_map(|state| find(&state["ItemProcessor"], name));
        all.get(name).cloned().or_else(inner)
    }
    let machine = |machine: &str| find(&support::machine(machine), name);
    let found = machine("reconcile").or_else(|| machine("onboard"));
    found.unwrap_or_else(|| panic!("no state {name}"))
}

/// What an expression gives where `$states` is this, as Step Functions evaluates it.
fn evaluate(expression: &Value, states: Value) -> Value {
    evaluate_with(expression, states, &json!({}))
}

/// The same with variables of the machine.
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
    let place = |account: &str, region: &str| json!({ "account": account, "region": region });
    for (accounts, regions, right) in [
        (json!(["1"]), json!(["a"]), json!([place("1", "a")])),
        (
            json!(["1"]),
            json!(["a", "b"]),
            json!([place("1", "a"), place("1", "b")]),
        ),
        (
            json!(["1", "2"]),
            json!(["a"]),
            json!([place("1", "a"), place("2", "a")]),
        ),
        (
            json!(["1", "2"]),
            json!(["a", "b"]),
            json!([place("1", "a"), place("1", "b"), place("2", "a"), place("2", "b")]),
        ),
    ] {
        let input = json!({ "input": { "accounts": accounts, "regions": regions } });
        assert_eq!(evaluate(items, input), right);
    }
}

#[test]
fn what_an_onboarding_did_is_its_outcome() {
    let onboarded = &state("Onboarded")["Output"]["outcome"];
    for (made, repaired, replaced, patched, outcome) in [
        ((true, true, true), json!([]), json!([]), (true, true), "ONBOARDED"),
        ((false, false, true), json!([]), json!([]), (true, true), "ONBOARDED"),
        (
            (false, false, true),
            json!([]),
            json!([{ "why": "is CREATION_FAILED" }]),
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
        ((false, false, false), json!([]), json!([]), (false, false), "UNCHANGED"),
    ] {
        let variables = json!({
            "scraperCreated": made.2,
            "sourceRole": { "created": made.0, "repaired": [] },
            "targetRole": { "created": made.1, "repaired": [] },
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
fn whatever_was_changed_is_given_time_to_bring_samples() {
    let gives_up = &state("Are samples received?")["Choices"][1]["Condition"];
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
    for (variables, right) in [
        (variables(0, 0, false, [&[], &[], &[]]), true),
        (variables(0, 1200, false, [&[], &[], &[]]), false),
        (variables(0, 0, true, [&[], &[], &[]]), false),
        (variables(0, 0, false, [&["permissions"], &[], &[]]), false),
        (variables(0, 0, false, [&[], &["managed policy", "tags"], &[]]), false),
        (variables(0, 0, false, [&[], &[], &["roles"]]), false),
        (variables(570, 1200, true, [&["permissions"], &[], &[]]), false),
        (variables(600, 1200, true, [&["permissions"], &[], &[]]), true),
    ] {
        assert_eq!(evaluate_with(gives_up, json!({}), &variables), right, "{variables}");
    }
}

#[test]
fn both_patches_of_a_run_count() {
    let late = &state("Patch trust policies")["Assign"]["patched"];
    for (early, now, right) in [
        ((false, false), (true, true), (true, true)),
        ((true, true), (false, false), (true, true)),
        ((true, false), (false, false), (true, false)),
        ((false, false), (false, false), (false, false)),
    ] {
        let variables = json!({ "patched": { "source": early.0, "target": early.1 } });
        let states = json!({ "result": { "Payload": { "source": now.0, "target": now.1 } } });
        for (side, right) in [("source", right.0), ("target", right.1)] {
            assert_eq!(evaluate_with(&late[side], states.clone(), &variables), right);
        }
    }
}

#[test]
fn a_scraper_that_is_not_active_in_time_names_its_security_groups_and_subnets() {
    let cause = &state("Is the scraper active?")["Choices"][3]["Assign"]["failure"]["Cause"];
    let variables = |created: bool| {
        json!({
            "scraper": { "scraperArn": "arn:s", "status": "CREATING" },
            "request": { "activationTimeoutMinutes": 60 },
            "scraperCreated": created,
            "check": { "network": { "securityGroupIds": ["sg-1"], "subnetIds": ["subnet-1", "subnet-2"] } },
        })
    };
    let says = |created| {
        let cause = evaluate_with(cause, json!({}), &variables(created));
        cause.as_str().unwrap().to_owned()
    };
    assert!(says(true).contains("CREATING after 60 minutes."), "{}", says(true));
    assert!(
        says(true).contains("(sg-1, subnet-1, subnet-2) blocks port 443"),
        "{}",
        says(true)
    );
    assert!(
        says(false).contains("a route of a subnet blocks port 443"),
        "{}",
        says(false)
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
    let of_function = json!({ "errorType": "NotReady", "errorMessage": "why {\"a\": 1}" }).to_string();
    for (error, cause, own, says) in [
        (
            "States.TaskFailed",
            Some(described(json!({ "Error": "NotReady", "Cause": "why {\"a\": 1}" }))),
            "NotReady",
            "why {\"a\": 1}",
        ),
        (
            "States.TaskFailed",
            Some(described(json!({ "Status": "ABORTED" }))),
            "States.TaskFailed",
            "The execution arn:e is ABORTED.",
        ),
        ("NotReady", Some(of_function), "NotReady", "why {\"a\": 1}"),
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
        let right = json!({ "clusterArn": "c", "outcome": "FAILED", "error": own, "cause": says });
        let input = json!({ "clusterArn": "c", "orphan": { "clusterArn": "c" }, "failure": failure });
        for name in ["Cluster failed", "Orphan failed"] {
            assert_eq!(evaluate(&state(name)["Output"], json!({ "input": input })), right);
        }
    }
}

#[test]
fn a_long_cause_is_cut_so_that_the_outcomes_of_a_location_fit_into_one_payload() {
    let failure = json!({ "Error": "States.Timeout", "Cause": "x".repeat(5000) });
    let input = json!({ "input": {
        "clusterArn": "c", "orphan": { "clusterArn": "c" }, "failure": failure, "decision": { "reason": "x".repeat(5000) },
        "location": { "account": "1", "region": "r" }, "inventory": { "reason": "x".repeat(5000) },
    } });
    for (name, field) in [
        ("Cluster failed", "cause"),
        ("Orphan failed", "cause"),
        ("Cluster skipped", "reason"),
        ("Location skipped", "reason"),
        ("Location failed", "cause"),
    ] {
        let output = &state(name)["Output"];
        let text = match (&output[field], &output["outcomes"][0][field]) {
            (Value::Null, Value::Null) => evaluate(output, input.clone())[field].clone(),
            (Value::Null, expression) | (expression, _) => evaluate(expression, input.clone()),
        };
        assert_eq!(text.as_str().unwrap().len(), 200, "{name}");
    }
}

#[test]
fn clusters_that_are_gone_are_added_to_those_that_are_there() {
    let output = &state("Reconcile each orphan")["Output"];
    for (there, gone) in [
        (json!([]), json!([])),
        (json!(["a"]), json!([])),
        (json!(["a"]), json!(["b", "c"])),
    ] {
        let all = [there.as_array().unwrap().clone(), gone.as_array().unwrap().clone()].concat();
        let answer = evaluate(output, json!({ "input": { "outcomes": there }, "result": gone }));
        assert_eq!(answer["outcomes"], json!(all));
    }
}
