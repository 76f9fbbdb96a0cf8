//! Check ingestion: looks once whether samples arrive; the state machine does the waiting.

use ampxa::{
    Aws,
    ingestion::{self, IngestionResult},
    lambda,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_environment("check-ingestion");
    lambda::run("check-ingestion", async |task| {
        let mut seen = ingestion::check(&aws.samples(&task).await?, &task).await?;
        if seen.result == IngestionResult::None {
            let (source, target) = (aws.source(&task).await, aws.target(&task).await);
            seen.hints = ingestion::hints(source.map(|a| a.iam()), target.map(|a| a.iam()), &task).await;
        }
        Ok(seen)
    })
    .await
}
