//! From an event to an execution.
//!
//! The execution is named after the event, so an event that is told again starts nothing again. An error
//! leaves the event to Lambda, which tries twice more and then puts it where people look.

use crate::{
    aws::unless,
    error::Error,
    event::{Event, Reading},
    routing::{self, Cluster, Route, Settings},
};
use serde::Serialize;
use serde_json::{Value, json};
use std::env;

/// Minutes that a vended account is given to have its provisioner.
const PROVISIONER_TIMEOUT_MINUTES: u32 = 60;

/// The clients that routing needs, all of the hub.
#[derive(Debug)]
pub struct Clients {
    /// Systems Manager, for the routing table.
    pub ssm: aws_sdk_ssm::Client,
    /// Step Functions.
    pub sfn: aws_sdk_sfn::Client,
    /// AWS Organizations; asked only where a rule names an organizational unit.
    pub organizations: aws_sdk_organizations::Client,
}

/// The ARNs of the machines that events start.
#[derive(Debug, Clone, Default)]
pub struct Machines {
    /// Connects a cluster.
    pub onboard: String,
    /// Disconnects a cluster.
    pub offboard: String,
    /// Connects the clusters of accounts.
    pub reconcile: String,
}

impl Machines {
    /// `AMPXA_ONBOARD`, `AMPXA_OFFBOARD`, `AMPXA_RECONCILE`.
    pub fn from_environment() -> Self {
        let read = |name| env::var(name).unwrap_or_default();
        Self {
            onboard: read("AMPXA_ONBOARD"),
            offboard: read("AMPXA_OFFBOARD"),
            reconcile: read("AMPXA_RECONCILE"),
        }
    }
}

/// What became of an event.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Routed {
    /// A sentence for the log.
    pub message: String,
    /// The execution that the event started, now or when it was told before.
    pub execution: Option<String>,
}

/// Starts what an event asks for.
///
/// Safe to repeat: the same event starts the same execution, once.
///
/// # Errors
/// `InvalidRequest` when the routing table is wrong, or a tag chooses a workspace that it does not allow;
/// and as AWS answers.
pub async fn route(
    aws: &Clients,
    settings: &Settings,
    machines: &Machines,
    reading: &Reading,
) -> Result<Routed, Error> {
    let event = match reading {
        Reading::Recognized(event) => event,
        Reading::Ignored(why) => return Ok(ignored(&format!("The event is not one of ours: {why}."))),
    };
    let name = event.execution_name();
    match event {
        Event::ClusterCreated { cluster, tags, .. } => {
            let routes = routing::read(&aws.ssm, settings).await?;
            let units = routing::organizational_units(&aws.organizations, &routes, cluster.account()).await?;
            let asked = Cluster {
                arn: cluster,
                tags,
                organizational_units: &units,
                workspace: None,
            };
            match routes.route(&asked)? {
                Route::Ignore(why) => Ok(ignored(&format!("The cluster {cluster} is left alone: {why}."))),
                Route::Onboard(onboarding) => {
                    let request = routing::request(&aws.ssm, cluster, &onboarding).await?;
                    start(&aws.sfn, &machines.onboard, &name, &request).await
                }
            }
        }
        Event::ClusterDeleted { cluster, .. } => {
            start(&aws.sfn, &machines.offboard, &name, &json!({ "clusterArn": cluster })).await
        }
        Event::AccountVended { account, workspace, .. } => {
            let mut request =
                json!({ "accounts": [account], "provisionerTimeoutMinutes": PROVISIONER_TIMEOUT_MINUTES });
            if let Some(workspace) = workspace {
                request["workspace"] = json!(workspace);
            }
            start(&aws.sfn, &machines.reconcile, &name, &request).await
        }
    }
}

fn ignored(message: &str) -> Routed {
    Routed {
        message: message.to_owned(),
        execution: None,
    }
}

/// A name that an execution of the machine has already, running or ended, is this event told before
/// (Step Functions API reference, StartExecution: idempotent by name and input while it runs,
/// ExecutionAlreadyExists otherwise).
async fn start(sfn: &aws_sdk_sfn::Client, machine: &str, name: &str, request: &Value) -> Result<Routed, Error> {
    let call = sfn.start_execution().state_machine_arn(machine).name(name);
    let answer = call.input(request.to_string()).send().await;
    let message = match unless(answer, |e| e.is_execution_already_exists())? {
        Some(_) => format!("Started {name} of {machine}."),
        None => format!("{name} of {machine} was started before."),
    };
    Ok(Routed {
        message,
        execution: Some(format!(
            "{}:{name}",
            machine.replacen(":stateMachine:", ":execution:", 1)
        )),
    })
}
