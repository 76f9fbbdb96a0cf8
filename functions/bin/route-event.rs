//! Route event: starts the execution that follows from an event.

use ampxa::{Aws, lambda, route_event, routing};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let hub = Aws::from_environment("route-event")?.hub();
    let clients = route_event::Clients {
        ssm: hub.ssm(),
        sfn: hub.sfn(),
        organizations: hub.organizations(),
    };
    let settings = routing::Settings::from_environment()?;
    let machines = route_event::Machines::from_environment()?;
    lambda::run("route-event", async |reading| {
        route_event::route(&clients, &settings, &machines, &reading).await
    })
    .await
}
