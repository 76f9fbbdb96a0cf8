//! Find clusters: lists the clusters of an account in a Region, scrapers whose cluster does not exist, and roles without a
//! pair. Read-only.

use ampxa::{Aws, lambda, reconcile, routing};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_environment("find-clusters")?;
    let settings = routing::Settings::from_environment()?;
    lambda::run("find-clusters", async |input: reconcile::clusters::Location| {
        let source = aws.source_at(&input.account, &input.region).await;
        reconcile::clusters::find(&aws.hub(), source, &settings, &input).await
    })
    .await
}
