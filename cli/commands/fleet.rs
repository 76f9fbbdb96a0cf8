//! `reconcile`, and `plan` of many clusters.

use super::{Exit, confirm, emit, exit_of, failure, finish, hub_of, print_json, require_answer, result, run_execution};
use crate::{
    arguments,
    execution::Execution,
    hub::Hub,
    report::{self, Row, Summary},
    style::Style,
};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The part of the output of `ampxa-reconcile` that this program reads.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Output {
    outcome: String,
    counts: BTreeMap<String, u64>,
    report: Option<String>,
    plan: Option<String>,
}

/// Shows the plan of many clusters.
pub(super) async fn plan(arguments: arguments::Plan) -> Result<Exit> {
    reconcile(arguments::Reconcile {
        fleet: arguments.fleet,
        plan: true,
        yes: false,
        expected_plan: None,
        hub: arguments.hub,
        json: arguments.json,
    })
    .await
}

/// Shows the plan of many clusters, asks, and applies it.
pub(super) async fn reconcile(arguments: arguments::Reconcile) -> Result<Exit> {
    if !arguments.plan {
        require_answer(arguments.yes || arguments.expected_plan.is_some())?;
    }
    let (hub, follow) = hub_of(&arguments.hub).await?;
    let machine = hub.output("ReconcileArn")?;
    let mut input = input(&arguments.fleet);
    input.insert("mode".to_owned(), json!("PLAN"));
    let planning = run_execution(&hub.account, &follow, machine, &input.clone().into(), "Planning").await?;
    let (plan, rows) = match &planning.output {
        Some(output) => output_of(&hub, output).await?,
        None => return finish(&planning, arguments.json),
    };
    let text = |style| text(&plan, &rows, style);
    match arguments.json {
        true => eprintln!("{}", text(Style::of_stderr())),
        false => emit(&text(Style::of_stdout()))?,
    }
    let planned = json!({ "plan": &plan, "rows": &rows });
    let print = |execution: Option<&Execution>| -> Result<()> {
        match arguments.json {
            true => print_json(&json!({ "planned": planned, "execution": execution.map(result) })),
            false => Ok(()),
        }
    };
    let exit = match fails(&plan, &rows, arguments.fleet.disconnect) {
        true => Exit::PlanFails,
        false => Exit::Success,
    };
    if arguments.plan {
        print(None)?;
        return Ok(exit);
    }
    if !changes(&plan) {
        eprintln!("No changes.");
        print(None)?;
        return Ok(exit);
    }
    if let Some(expected) = &arguments.expected_plan {
        if plan.plan.as_ref() != Some(expected) {
            eprintln!("The plan has changed: it is not {expected}. Nothing was changed.");
            print(None)?;
            return Ok(Exit::PlanFails);
        }
    } else if !arguments.yes && !confirm("Apply these changes?").await? {
        eprintln!("Nothing was changed.");
        print(None)?;
        return Ok(Exit::Failure);
    }
    input.remove("mode");
    if let Some(fingerprint) = &plan.plan {
        input.insert("expectedPlan".to_owned(), json!(fingerprint));
    }
    let execution = run_execution(&hub.account, &follow, machine, &input.into(), "Applying the plan").await?;
    print(Some(&execution))?;
    let Some(output) = &execution.output else {
        eprintln!("{}", failure(&execution));
        return Ok(exit_of(&execution));
    };
    let (applied, rows) = output_of(&hub, output).await?;
    if !arguments.json {
        emit(&format!("\n{}", self::text(&applied, &rows, Style::of_stdout())))?;
    }
    let unreachable = count(&applied, "UNREACHABLE") + count(&applied, "UNREACHABLE_WITH_PAIRS");
    Ok(match arguments.fleet.disconnect && unreachable > 0 {
        true => Exit::Failure,
        false => exit_of(&execution),
    })
}

/// The input of `ampxa-reconcile`, without its mode. Fields that are not given are left to the hub.
fn input(fleet: &arguments::Fleet) -> Map<String, Value> {
    let mut input = Map::new();
    if !fleet.accounts.is_empty() {
        input.insert("accounts".to_owned(), json!(fleet.accounts));
    }
    if fleet.organization {
        input.insert("organization".to_owned(), json!(true));
    }
    if !fleet.regions.is_empty() {
        input.insert("regions".to_owned(), json!(fleet.regions));
    }
    if fleet.disconnect {
        input.insert("action".to_owned(), json!("DISCONNECT"));
    }
    input
}

async fn output_of(hub: &Hub, output: &Value) -> Result<(Output, Vec<Row>)> {
    let output: Output = serde_json::from_value(output.clone())?;
    let rows = match &output.report {
        Some(location) => report::rows_at(hub, location).await?,
        None => Vec::new(),
    };
    Ok((output, rows))
}

fn text(output: &Output, rows: &[Row], style: Style) -> String {
    let counts = Summary {
        counts: output.counts.clone(),
        ..Summary::default()
    };
    let mut parts = report::tables(rows, style);
    parts.push(counts.text());
    if let Some(location) = &output.report {
        parts.push(format!("Report: {location}"));
    }
    if let Some(fingerprint) = &output.plan {
        parts.push(format!("Fingerprint: {fingerprint}"));
    }
    parts.join("\n\n")
}

/// Whether the plan has a cluster that would be changed.
fn changes(plan: &Output) -> bool {
    let changing = |verdict: &str| verdict.starts_with("WOULD_") && verdict != "WOULD_FAIL";
    plan.counts
        .iter()
        .any(|(verdict, count)| *count > 0 && changing(verdict))
}

/// Whether the plan has a cluster whose execution would fail, or that could not be planned. Pairs of an account that
/// cannot be reached cannot be removed.
fn fails(plan: &Output, rows: &[Row], disconnect: bool) -> bool {
    let of_cluster = |row: &Row| row.verdict == "NOT_ACCEPTED" && row.connected.is_some();
    count(plan, "WOULD_FAIL") + count(plan, "FAILED") > 0
        || rows.iter().any(of_cluster)
        || disconnect && count(plan, "UNREACHABLE") + count(plan, "UNREACHABLE_WITH_PAIRS") > 0
}

/// The number of lines with a verdict.
fn count(output: &Output, verdict: &str) -> u64 {
    output.counts.get(verdict).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(counts: Value) -> Output {
        serde_json::from_value(json!({ "outcome": "PLANNED", "counts": counts, "plan": "0f", "more": [] })).unwrap()
    }

    #[test]
    fn a_plan_has_changes_only_if_a_cluster_would_be_changed() {
        assert!(changes(&plan(json!({ "WOULD_ONBOARD": 1 }))));
        assert!(!changes(&plan(
            json!({ "WOULD_ONBOARD": 0, "UNCHANGED": 4, "WOULD_FAIL": 1 })
        )));
        let fails_with = |counts: Value, disconnect| fails(&plan(counts), &[], disconnect);
        assert!(fails_with(json!({ "WOULD_FAIL": 1 }), false) && !fails_with(json!({ "WOULD_FAIL": 0 }), false));
        assert!(fails_with(json!({ "FAILED": 1 }), false));
        let unreachable = || json!({ "UNREACHABLE": 1 });
        assert!(fails_with(unreachable(), true) && !fails_with(unreachable(), false));
        // A pair of another workspace is not what the plan of the cluster says.
        let rows = |connected: &str| {
            let line = format!(r#"{{"account":"2","verdict":"NOT_ACCEPTED"{connected}}}"#);
            report::rows(&line).unwrap()
        };
        let none = plan(json!({ "NOT_ACCEPTED": 1 }));
        assert!(fails(&none, &rows(r#","connected":false"#), false) && !fails(&none, &rows(""), false));
    }

    #[test]
    fn the_input_has_only_the_given_fields() {
        let mut fleet = arguments::Fleet {
            accounts: Vec::new(),
            organization: true,
            regions: vec!["us-west-2".to_owned()],
            disconnect: false,
        };
        assert_eq!(
            Value::from(input(&fleet)),
            json!({ "organization": true, "regions": ["us-west-2"] })
        );
        (fleet.organization, fleet.disconnect) = (false, true);
        assert_eq!(
            Value::from(input(&fleet)),
            json!({ "regions": ["us-west-2"], "action": "DISCONNECT" })
        );
    }

    #[test]
    fn the_text_ends_with_the_counts_and_the_fingerprint() {
        let rows = report::rows(r#"{"account":"222222222222","verdict":"UNREACHABLE","reason":"no reader"}"#).unwrap();
        let text = text(&plan(json!({ "UNREACHABLE": 1 })), &rows, Style::plain());
        let expected = "UNREACHABLE (1)\n  account       region  cluster  workspace  details\n  \
                        222222222222  -       -        -          no reader\n\nUNREACHABLE 1\n\nFingerprint: 0f";
        assert_eq!(text, expected);
    }
}
