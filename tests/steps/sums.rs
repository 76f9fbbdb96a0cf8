//! What the sweep's machine makes of what its steps, executions and groups answer.

use serde_json::{Value, json};
use support::jsonata::evaluate as evaluate_expression;

/// A state of the sweep, within whichever Map it is, or of the onboarding.
fn state(name: &str) -> Value {
    fn find(states: &Value, name: &str) -> Option<Value> {
        let all = states["States"].as_object()?;
        let inner = || all.values().find_map(|state| find(&state["ItemProcessor"], name));
        all.get(name).cloned().or_else(inner)
    }
    let machine = |machine: &str| {
        let text = std::fs::read_to_string(format!("../../statemachine/{machine}.asl.json")).unwrap();
        find(&serde_json::from_str(&text).unwrap(), name)
    };
    let found = machine("sweep").or_else(|| machine("onboard"));
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
fn every_account_is_swept_in_every_region() {
    let items = &state("Sweep each place")["Items"];
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
        (
            (false, false, false),
            json!([]),
            json!([]),
            (false, false),
            "ALREADY_FINE",
        ),
    ] {
        let variables = json!({
            "scraperMade": made.2,
            "sourceRole": { "made": made.0, "repaired": [] },
            "targetRole": { "made": made.1, "repaired": [] },
            "scraperRepaired": repaired,
            "check": { "inTheWay": replaced },
            "patched": { "source": patched.0, "target": patched.1 },
        });
        assert_eq!(evaluate_with(onboarded, json!({}), &variables), outcome);
    }
    let output = &state("Onboard cluster")["Output"];
    let states = json!({ "input": { "clusterArn": "c" }, "result": { "Output": { "outcome": "REPAIRED" } } });
    assert_eq!(
        evaluate(output, states),
        json!({ "clusterArn": "c", "outcome": "REPAIRED" })
    );
}

#[test]
fn whatever_was_changed_is_given_time_to_bring_samples() {
    let gives_up = &state("Do samples arrive?")["Choices"][1]["Condition"];
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
fn a_scraper_that_does_not_start_is_told_with_what_may_hold_it_up() {
    let because = &state("Is the scraper active?")["Choices"][3]["Assign"]["because"];
    let variables = |made: bool| {
        json!({
            "scraper": { "scraperArn": "arn:s", "status": "CREATING" },
            "request": { "activationTimeoutMinutes": 60 },
            "scraperMade": made,
            "check": { "network": { "securityGroupIds": ["sg-1"], "subnetIds": ["subnet-1", "subnet-2"] } },
        })
    };
    let told = |made| {
        evaluate_with(because, json!({}), &variables(made))
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert!(told(true).contains("CREATING after 60 minutes."), "{}", told(true));
    assert!(
        told(true).contains("(sg-1, subnet-1, subnet-2) keeps it from port 443"),
        "{}",
        told(true)
    );
    assert!(
        told(false).contains("a subnet keeps it from port 443"),
        "{}",
        told(false)
    );
}

#[test]
fn an_execution_that_failed_is_told_under_its_own_name_and_cause() {
    let described = |more: Value| {
        let mut description = json!({ "ExecutionArn": "arn:e", "Input": "{}", "Status": "FAILED" });
        description
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        description.to_string()
    };
    for (error, cause, failed_with, because) in [
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
        ("NotReady", Some("why".to_owned()), "NotReady", "why"),
        ("NotReady", Some("{\"a\": 1}".to_owned()), "NotReady", "{\"a\": 1}"),
        ("NotReady", Some("{ no JSON }".to_owned()), "NotReady", "{ no JSON }"),
        (
            "States.TaskFailed",
            Some("{\"ExecutionArn\": \"cut".to_owned()),
            "States.TaskFailed",
            "{\"ExecutionArn\": \"cut",
        ),
        ("States.Timeout", None, "States.Timeout", "AWS gave no reason."),
    ] {
        let mut told = json!({ "Error": error });
        if let Some(cause) = cause {
            told["Cause"] = json!(cause);
        }
        for name in ["Onboard cluster", "Offboard cluster"] {
            let states = json!({ "input": { "clusterArn": "c" }, "errorOutput": told });
            let right = json!({ "clusterArn": "c", "failedWith": failed_with, "because": because });
            assert_eq!(evaluate(&state(name)["Catch"][0]["Output"], states), right);
        }
    }
}

#[test]
fn a_place_counts_all_and_names_the_first() {
    let output = &state("Sum up")["Output"];
    let failed = |n: u32| json!({ "clusterArn": format!("c{n}"), "error": "NotReady", "cause": "why" });
    let as_outcome = |n| {
        let mut one = failed(n);
        one["outcome"] = json!("FAILED");
        one
    };
    let ignored = json!({ "clusterArn": "i", "outcome": "IGNORED", "reason": "why" });
    let fine = json!({ "clusterArn": "f", "outcome": "ALREADY_FINE" });
    for (outcomes, right) in [
        (json!([]), json!({ "counts": {}, "failed": [], "leftAlone": [] })),
        (
            json!([fine]),
            json!({ "counts": { "ALREADY_FINE": 1 }, "failed": [], "leftAlone": [] }),
        ),
        (
            json!([as_outcome(1), fine, as_outcome(2), ignored, as_outcome(3), fine]),
            json!({
                "counts": { "FAILED": 3, "ALREADY_FINE": 2, "IGNORED": 1 },
                "failed": [failed(1), failed(2)],
                "leftAlone": [{ "clusterArn": "i", "reason": "why" }],
            }),
        ),
    ] {
        assert_eq!(
            evaluate(output, json!({ "input": { "named": 2, "outcomes": outcomes } })),
            right
        );
    }
    let none = evaluate(
        output,
        json!({ "input": { "named": 0, "outcomes": [as_outcome(1), ignored] } }),
    );
    assert_eq!(
        none,
        json!({ "counts": { "FAILED": 1, "IGNORED": 1 }, "failed": [], "leftAlone": [] })
    );
}

fn summary(counts: Value, failed: &[u32]) -> Value {
    json!({ "counts": counts, "failed": failed, "leftAlone": [] })
}

#[test]
fn a_group_adds_up_its_places() {
    let output = &state("Sweep each place")["Output"];
    for (places, right) in [
        (vec![], summary(json!({}), &[])),
        (vec![summary(json!({}), &[])], summary(json!({}), &[])),
        (
            vec![
                summary(json!({ "FAILED": 2, "ONBOARDED": 1 }), &[1, 2]),
                summary(json!({ "ONBOARDED": 3 }), &[]),
                summary(json!({ "FAILED": 1 }), &[3]),
            ],
            summary(json!({ "FAILED": 3, "ONBOARDED": 4 }), &[1, 2]),
        ),
    ] {
        assert_eq!(
            evaluate(output, json!({ "input": { "named": 2 }, "result": places })),
            right
        );
    }
}

#[test]
fn a_sweep_adds_up_its_groups_and_knows_which_are_lost() {
    let output = &state("Sweep each group")["Output"];
    let groups = |count: usize| json!({ "groups": vec![json!({ "accounts": ["222222222222"] }); count] });
    // A group that failed stands there as nothing, or as its error.
    let lost = json!({ "Error": "States.Timeout" });
    for (results, lost, counts, more) in [
        (
            json!([summary(json!({ "FAILED": 3 }), &[1])]),
            0,
            json!({ "FAILED": 3 }),
            2,
        ),
        (json!([summary(json!({}), &[])]), 0, json!({}), 0),
        (json!([null]), 1, json!({}), 0),
        (
            json!([
                summary(json!({ "FAILED": 1 }), &[1]),
                lost,
                null,
                summary(json!({ "FAILED": 1, "IGNORED": 2 }), &[2])
            ]),
            2,
            json!({ "FAILED": 2, "IGNORED": 2 }),
            0,
        ),
    ] {
        let count = results.as_array().unwrap().len();
        let answer = evaluate(output, json!({ "input": groups(count), "result": results }));
        assert_eq!((&answer["lost"], &answer["groups"]), (&json!(lost), &json!(count)));
        assert_eq!(answer["summary"]["counts"], counts);
        assert_eq!(answer["summary"]["moreFailed"], more);
    }
}

#[test]
fn what_is_told_of_a_place_that_could_not_be_swept_is_short_and_names_it() {
    let input = |named: u32| {
        json!({ "input": {
            "named": named, "place": { "account": "1", "region": "r" }, "failedWith": "Refused",
            "because": "x".repeat(500), "found": { "reason": "x".repeat(500) },
        } })
    };
    for (name, list) in [("Nothing to do", "leftAlone"), ("Place failed", "failed")] {
        let expression = &state(name)["Output"][list];
        let told = evaluate(expression, input(1));
        assert_eq!(
            (&told[0]["account"], &told[0]["region"]),
            (&json!("1"), &json!("r")),
            "{told}"
        );
        assert!(told.to_string().len() < 300, "{told}");
        assert_eq!(evaluate(expression, input(0)), json!([]), "{name}");
    }
    let told = evaluate(&state("Nothing to do")["Output"]["leftAlone"], input(1));
    assert!(
        told[0]["reason"].as_str().unwrap().starts_with("nothing to do: "),
        "{told}"
    );
}

#[test]
fn clusters_that_are_gone_are_added_to_those_that_are_there() {
    let output = &state("Sweep each absence")["Output"];
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
