//! Find clusters: lists the clusters of a location, scrapers whose cluster does not exist, scrapers that ampxa did not
//! create, roles without a pair, and pairs whose workspace does not accept the account. Read-only.

use ampxa::{Aws, consent, lambda, reconcile, routing};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_environment("find-clusters")?;
    let settings = routing::Settings::from_environment()?;
    let consent = consent::Settings::from_environment()?;
    lambda::run("find-clusters", async |input: reconcile::clusters::Location| {
        let source = aws.source_at(&input.account, &input.region).await;
        let target = async |workspace: &_| aws.target_of(workspace).await;
        reconcile::clusters::find(&aws.hub(), source, target, (&settings, consent), &input).await
    })
    .await
}
