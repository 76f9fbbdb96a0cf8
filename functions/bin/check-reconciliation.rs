//! Check reconciliation: determines the accounts and Regions, and validates the routing table. Read-only.

use ampxa::{Aws, lambda, reconcile, routing};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let hub = Aws::from_environment("check-reconciliation")?.hub();
    let (ssm, organizations) = (hub.ssm(), hub.organizations());
    let settings = routing::Settings::from_environment()?;
    let defaults = reconcile::Defaults::from_environment()?;
    lambda::run("check-reconciliation", async |request| {
        reconcile::check(&ssm, &organizations, &settings, &defaults, request).await
    })
    .await
}
