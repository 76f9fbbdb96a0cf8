//! Check sweep: which accounts and Regions, and whether the routing table is right; touches nothing.

use ampxa::{Aws, lambda, routing, sweep};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let hub = Aws::from_environment("check-sweep").hub();
    let (ssm, organizations) = (hub.ssm(), hub.organizations());
    let settings = routing::Settings::from_environment();
    let defaults = sweep::Defaults::from_environment();
    lambda::run("check-sweep", async |request| {
        sweep::check(&ssm, &organizations, &settings, &defaults, request).await
    })
    .await
}
