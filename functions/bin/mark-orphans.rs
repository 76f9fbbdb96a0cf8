//! Mark orphans: tags the scrapers of a cluster that does not exist, and decides whether to offboard it.

use ampxa::{Aws, lambda, reconcile::orphans};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_environment("mark-orphans")?.writing();
    lambda::run("mark-orphans", async |input: orphans::Input| {
        let source = aws.source_of(&input.cluster).await?;
        orphans::mark(&source.eks(), &source.amp(), &input).await
    })
    .await
}
