//! Find clusters: those of one account and Region, and those that are gone; touches nothing.

use ampxa::{Aws, lambda, routing, sweep};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_environment("find-clusters");
    let settings = routing::Settings::from_environment();
    lambda::run("find-clusters", async |place: sweep::Place| {
        let source = aws.source_at(&place.account, &place.region).await;
        sweep::find(&aws.hub(), source, &settings, &place).await
    })
    .await
}
