//! Check reconciliation: determines the accounts and Regions and which have pairs, and validates the routing table. Writes
//! the list of locations into the hub's bucket.

use ampxa::{Aws, arn::WorkspaceArn, configurations, environment, lambda, reconcile, routing};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_environment("check-reconciliation")?;
    let bucket = aws.hub().bucket(&environment::required(configurations::BUCKET)?);
    let settings = routing::Settings::from_environment()?;
    let defaults = reconcile::Defaults::from_environment()?;
    lambda::run("check-reconciliation", async |input| {
        let target = async |workspace: &WorkspaceArn| aws.target_of(workspace).await;
        reconcile::check(&aws.hub(), &bucket, target, &settings, &defaults, input).await
    })
    .await
}
