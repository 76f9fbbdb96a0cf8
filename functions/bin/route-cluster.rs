//! Route cluster: which workspace gets it, if any; touches nothing.

use ampxa::{Aws, lambda, routing, sweep};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_environment("route-cluster");
    let (ssm, settings) = (aws.hub().ssm(), routing::Settings::from_environment());
    lambda::run("route-cluster", async |asked: sweep::Asked| {
        let source = aws.source_of(&asked.cluster).await?;
        sweep::route(&ssm, &source.eks(), &settings, &asked).await
    })
    .await
}
