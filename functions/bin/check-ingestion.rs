//! Check ingestion: queries the workspace once for samples of the cluster. Read-only.

use ampxa::{Aws, ingestion, lambda, task::Task};
use std::time::SystemTime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_environment("check-ingestion")?;
    lambda::run("check-ingestion", async |task: Task<_>| {
        ingestion::examine(
            &aws.query_client(&task).await?,
            async || aws.source(&task).await,
            async || aws.target(&task).await,
            &task,
            SystemTime::now(),
        )
        .await
    })
    .await
}
