//! Prepare cluster: makes the changes of the cluster that the scraper needs, one at a time.

use ampxa::{Aws, lambda, prepare};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_environment("prepare-cluster")?.writing();
    lambda::run("prepare-cluster", async |task| {
        let source = aws.source(&task).await?;
        prepare::prepare(&source.eks(), &task).await
    })
    .await
}
