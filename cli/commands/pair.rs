//! `plan`, `onboard` and `offboard` of one cluster.

use super::{
    Exit, Usage, confirm, emit, exit_of, failure, finish, hub_of, outcome, print_json, read, require_answer, result,
    run_execution,
};
use crate::{arguments, execution::Execution, hub::Hub, plan::Plan, progress::Follow, style::Style};
use ampxa::arn::{ClusterArn, WorkspaceArn};
use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};
use std::path::Path;

/// What is done with a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Onboard,
    Offboard,
}

impl Verb {
    fn output(self) -> &'static str {
        match self {
            Self::Onboard => "OnboardArn",
            Self::Offboard => "OffboardArn",
        }
    }
}

/// Shows the plan of one cluster.
pub(super) async fn plan(arguments: arguments::Plan) -> Result<Exit> {
    let verb = match arguments.offboard {
        true => Verb::Offboard,
        false => Verb::Onboard,
    };
    let Some(cluster) = &arguments.cluster else {
        bail!(Usage("name a cluster, --accounts or --organization".to_owned()));
    };
    if verb == Verb::Onboard && arguments.workspace.is_none() {
        bail!(Usage(
            "name the ARN of the workspace after that of the cluster, or add --offboard".to_owned()
        ));
    }
    let mut request = request(cluster, arguments.workspace.as_ref(), arguments.request.as_deref())?;
    set_adopt(&mut request, arguments.adopt);
    let (hub, follow) = hub_of(&arguments.hub).await?;
    let planned = match planned(&hub, &follow, verb, &request).await? {
        Ok(plan) => plan,
        Err(execution) => return finish(&execution, arguments.json),
    };
    match arguments.json {
        true => print_json(&planned)?,
        false => emit(&planned.text(Style::of_stdout()))?,
    }
    Ok(match planned.would_fail_as {
        Some(_) => Exit::PlanFails,
        None => Exit::Success,
    })
}

/// Connects a cluster to a workspace.
pub(super) async fn onboard(arguments: arguments::Onboard) -> Result<Exit> {
    let mut request = request(
        &arguments.cluster,
        Some(&arguments.workspace),
        arguments.pair.request.as_deref(),
    )?;
    set_adopt(&mut request, arguments.adopt);
    apply(Verb::Onboard, request, &arguments.pair).await
}

/// Adds the option `--adopt`. A field of the file stays if the option is not given.
fn set_adopt(request: &mut Map<String, Value>, adopt: bool) {
    if adopt {
        request.insert("adopt".to_owned(), json!(true));
    }
}

/// Disconnects a cluster.
pub(super) async fn offboard(arguments: arguments::Offboard) -> Result<Exit> {
    let file = arguments.pair.request.as_deref();
    let request = request(&arguments.cluster, arguments.workspace.as_ref(), file)?;
    apply(Verb::Offboard, request, &arguments.pair).await
}

/// Plans, asks, applies the plan and prints the outcome.
async fn apply(verb: Verb, mut request: Map<String, Value>, pair: &arguments::Pair) -> Result<Exit> {
    require_answer(pair.yes || pair.expected_plan.is_some())?;
    let (hub, follow) = hub_of(&pair.hub).await?;
    let plan = match planned(&hub, &follow, verb, &request).await? {
        Ok(plan) => plan,
        Err(execution) => return finish(&execution, pair.json),
    };
    match pair.json {
        true => eprintln!("{}", plan.text(Style::of_stderr())),
        false => emit(&plan.text(Style::of_stdout()))?,
    }
    let decided = |exit: Exit| {
        if pair.json {
            print_json(&json!({ "plan": plan, "execution": null }))?;
        }
        Ok(exit)
    };
    if plan.would_fail_as.is_some() {
        return decided(Exit::PlanFails);
    }
    if !plan.has_changes() {
        return decided(Exit::Success);
    }
    if let Some(expected) = &pair.expected_plan {
        if plan.plan.as_ref() != Some(expected) {
            eprintln!("The plan has changed: it is not {expected}. Nothing was changed.");
            return decided(Exit::PlanFails);
        }
    } else if !pair.yes && !confirm("Apply these changes?").await? {
        eprintln!("Nothing was changed.");
        return decided(Exit::Failure);
    }
    let fingerprint = plan
        .plan
        .as_deref()
        .context("the plan has no fingerprint: deploy the current infra/template.yaml")?;
    request.insert("expectedPlan".to_owned(), json!(fingerprint));
    let machine = hub.output(verb.output())?;
    let execution = run_execution(&hub.account, &follow, machine, &request.into(), "Applying the plan").await?;
    if pair.json {
        print_json(&json!({ "plan": plan, "execution": result(&execution) }))?;
    }
    match &execution.output {
        Some(output) if !pair.json => emit(&format!("\n{}", outcome(output)))?,
        Some(_) => {}
        None => eprintln!("{}", failure(&execution)),
    }
    Ok(exit_of(&execution))
}

/// The plan of a request, or the execution that failed to make it.
async fn planned(
    hub: &Hub,
    follow: &Follow,
    verb: Verb,
    request: &Map<String, Value>,
) -> Result<Result<Plan, Box<Execution>>> {
    let mut input = request.clone();
    input.insert("mode".to_owned(), json!("PLAN"));
    let machine = hub.output(verb.output())?;
    let execution = run_execution(&hub.account, follow, machine, &input.into(), "Planning").await?;
    match &execution.output {
        None => Ok(Err(Box::new(execution))),
        Some(output) => {
            let plan: Plan = serde_json::from_value(output.clone())
                .with_context(|| format!("the output of {} is not a plan", execution.arn))?;
            Ok(Ok(plan))
        }
    }
}

/// The request, with the further fields of a file.
fn request(cluster: &ClusterArn, workspace: Option<&WorkspaceArn>, file: Option<&Path>) -> Result<Map<String, Value>> {
    let further = match file {
        None => Map::new(),
        Some(file) => {
            let text = read(file)?;
            further_fields(&text).map_err(|error| Usage(format!("{}: {error}", file.display())))?
        }
    };
    let mut request = Map::from_iter([("clusterArn".to_owned(), json!(cluster.to_string()))]);
    if let Some(workspace) = workspace {
        request.insert("workspaceArn".to_owned(), json!(workspace.to_string()));
    }
    request.extend(further);
    Ok(request)
}

/// The further fields of a request. The arguments name the pair, and the command decides the mode.
fn further_fields(text: &str) -> Result<Map<String, Value>, String> {
    let fields: Map<String, Value> = serde_json::from_str(text)
        .map_err(|error| format!("expected a JSON object with fields of a request: {error}"))?;
    for field in ["clusterArn", "workspaceArn", "mode", "expectedPlan"] {
        if fields.contains_key(field) {
            return Err(format!("{field}: remove this field, which the command sets"));
        }
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn further_fields_cannot_replace_those_of_the_command() {
        assert_eq!(further_fields(r#"{"tags": {"team": "a"}}"#).unwrap().len(), 1);
        let error = further_fields(r#"{"mode": "APPLY"}"#).unwrap_err();
        assert_eq!(error, "mode: remove this field, which the command sets");
        assert!(
            further_fields("[]")
                .unwrap_err()
                .starts_with("expected a JSON object with fields of a request: ")
        );
    }
}
