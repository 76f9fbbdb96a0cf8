//! Starts the execution that an event requires.
//!
//! The execution is named after the event, so a repeated event starts no second one. After an error, Lambda tries the
//! event twice more, and then moves it to the dead-letter queue.

use crate::{
    aws::none_if,
    environment,
    error::Error,
    event::{Event, Reading},
    offboarding,
    routing::{self, Cluster, Route, Settings},
    telemetry,
};
use serde::Serialize;
use serde_json::{Value, json};

/// How long a reconciliation waits for the provisioner of a vended account, in minutes.
const PROVISIONER_TIMEOUT_MINUTES: u32 = 60;

/// The clients of the hub that routing uses.
#[derive(Debug)]
pub struct Clients {
    /// Systems Manager, for the routing table.
    pub ssm: aws_sdk_ssm::Client,
    /// Step Functions.
    pub sfn: aws_sdk_sfn::Client,
    /// AWS Organizations. Called only if the routing table names an organizational unit.
    pub organizations: aws_sdk_organizations::Client,
}

/// The ARNs of the state machines that events start.
#[derive(Debug, Clone, Default)]
pub struct Machines {
    /// `ampxa-onboard`.
    pub onboard: String,
    /// `ampxa-offboard`.
    pub offboard: String,
    /// `ampxa-reconcile`.
    pub reconcile: String,
}

impl Machines {
    /// Reads `AMPXA_ONBOARD`, `AMPXA_OFFBOARD` and `AMPXA_RECONCILE`.
    ///
    /// # Errors
    /// [`environment::Missing`] if one of them is not set.
    pub fn from_environment() -> Result<Self, environment::Missing> {
        Ok(Self {
            onboard: environment::required("AMPXA_ONBOARD")?,
            offboard: environment::required("AMPXA_OFFBOARD")?,
            reconcile: environment::required("AMPXA_RECONCILE")?,
        })
    }
}

/// The result of routing an event.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Routed {
    /// A sentence for the log.
    pub message: String,
    /// The ARN of the execution that the event started, now or earlier.
    pub execution: Option<String>,
}

/// Starts the execution that an event requires.
///
/// Idempotent: a repeated event starts no second execution.
///
/// # Errors
/// `InvalidRequest` if the routing table is not valid; and those of the calls.
pub async fn route(
    aws: &Clients,
    settings: &Settings,
    machines: &Machines,
    reading: &Reading,
) -> Result<Routed, Error> {
    let event = match reading {
        Reading::Recognized(event) => event,
        Reading::Ignored(why) => return Ok(ignored(&format!("The event starts no execution: {why}."))),
    };
    let name = event.execution_name();
    match event {
        Event::ClusterCreated { cluster, tags, .. } => {
            let routes = routing::read(&aws.ssm, settings).await?;
            let units = routing::organizational_units(&aws.organizations, &routes, cluster.account()).await?;
            let cluster_to_route = Cluster {
                arn: cluster,
                tags,
                organizational_units: &units,
                workspace: None,
            };
            match routes.route(&cluster_to_route)? {
                Route::Ignore(why) => Ok(ignored(&format!("The cluster {cluster} is skipped: {why}."))),
                Route::InvalidChoice(why) => {
                    telemetry::record_invalid_choice(&settings.hub, cluster);
                    Ok(ignored(&format!("The cluster {cluster} is skipped: {why}.")))
                }
                Route::Onboard(onboarding) => {
                    let request = routing::request(&aws.ssm, cluster, &onboarding).await?;
                    start(&aws.sfn, &machines.onboard, &name, &request).await
                }
            }
        }
        Event::ClusterDeleted { cluster, .. } => {
            let request = json!({ "clusterArn": cluster, "origin": offboarding::Origin::Event });
            start(&aws.sfn, &machines.offboard, &name, &request).await
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

/// Starts an execution. If one of the same name exists, running or ended, the event is a repeated one (Step Functions
/// API reference, StartExecution: idempotent by name and input while it runs, ExecutionAlreadyExists otherwise).
async fn start(sfn: &aws_sdk_sfn::Client, machine: &str, name: &str, request: &Value) -> Result<Routed, Error> {
    let call = sfn.start_execution().state_machine_arn(machine).name(name);
    let answer = call.input(request.to_string()).send().await;
    let message = match none_if(answer, |e| e.is_execution_already_exists())? {
        Some(_) => format!("Started {name} of {machine}."),
        None => format!("The execution {name} of {machine} was started before."),
    };
    Ok(Routed {
        message,
        execution: Some(format!(
            "{}:{name}",
            machine.replacen(":stateMachine:", ":execution:", 1)
        )),
    })
}
