//! Check reconciliation: determines the accounts and Regions and which have pairs, and validates the routing table. Read-only.

use ampxa::{Aws, arn::WorkspaceArn, lambda, reconcile, routing};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_environment("check-reconciliation")?;
    let (ssm, organizations) = (aws.hub().ssm(), aws.hub().organizations());
    let settings = routing::Settings::from_environment()?;
    let defaults = reconcile::Defaults::from_environment()?;
    lambda::run("check-reconciliation", async |request| {
        let target = async |workspace: &WorkspaceArn| aws.target_of(workspace).await;
        reconcile::check(&ssm, &organizations, target, &settings, &defaults, request).await
    })
    .await
}
