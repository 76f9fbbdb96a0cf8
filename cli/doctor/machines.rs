//! The last execution of each state machine.

use super::Finding;
use crate::hub::Hub;
use ampxa::Error;
use aws_sdk_sfn::types::ExecutionStatus;
use aws_smithy_types::date_time::Format;

pub(super) async fn last_executions(hub: &Hub) -> Vec<Finding> {
    let mut findings = Vec::new();
    for output in ["OnboardArn", "OffboardArn", "ReconcileArn"] {
        // A missing output is a finding of the stack.
        if let Some(machine) = hub.outputs.get(output) {
            findings.push(last_execution(hub, machine).await);
        }
    }
    findings
}

async fn last_execution(hub: &Hub, machine: &str) -> Finding {
    let check = machine.rsplit(':').next().unwrap_or_default();
    let list = hub
        .account
        .sfn()
        .list_executions()
        .state_machine_arn(machine)
        .max_results(1);
    let list = match list.send().await.map_err(Error::from) {
        Ok(list) => list,
        Err(error @ Error::AccessDenied(_)) => return Finding::skip(check, format!("not checked: {error}")),
        Err(error) => {
            return Finding::fail(check, error.to_string(), "Deploy the current infra/template.yaml");
        }
    };
    let Some(last) = list.executions().first() else {
        return match check.ends_with("-reconcile") {
            true => Finding::warn(
                check,
                "it has not run yet",
                "Run `ampxa reconcile`, or set the parameter ReconcileAccounts of the hub",
            ),
            false => Finding::ok(check, "it has not run yet"),
        };
    };
    let start = last.start_date().fmt(Format::DateTime).unwrap_or_default();
    let message = format!("the last execution started at {start} and is {}", last.status());
    match last.status() {
        ExecutionStatus::Failed | ExecutionStatus::TimedOut | ExecutionStatus::Aborted => Finding::warn(
            check,
            message,
            format!("Read its cause with `ampxa follow {}`", last.execution_arn()),
        ),
        _ => Finding::ok(check, message),
    }
}
