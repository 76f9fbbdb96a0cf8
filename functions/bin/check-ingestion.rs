//! Check ingestion: queries the workspace once for samples of the cluster. Read-only.

use ampxa::{
    Aws,
    ingestion::{self, IngestionResult},
    lambda,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_environment("check-ingestion")?;
    lambda::run("check-ingestion", async |task| {
        let mut output = ingestion::check(&aws.query_client(&task).await?, &task).await?;
        if output.result == IngestionResult::None {
            output.hints = ingestion::hints(aws.source(&task).await, aws.target(&task).await, &task).await;
        }
        Ok(output)
    })
    .await
}
