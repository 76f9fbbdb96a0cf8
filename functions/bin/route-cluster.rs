//! Route cluster, Route cluster again: determines the workspace of a cluster, and its pairs that the routing table no longer names. Read-only.

use ampxa::{Aws, lambda, reconcile, routing};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_environment("route-cluster")?;
    let (ssm, settings) = (aws.hub().ssm(), routing::Settings::from_environment()?);
    lambda::run("route-cluster", async |input: reconcile::route::Input| {
        let source = aws.source_of(&input.cluster).await?;
        reconcile::route::route(&ssm, &source.eks(), &source.iam(), &settings, &input).await
    })
    .await
}
