//! Restore scraper: gives an adopted scraper what it had before, after a failure.

use ampxa::{Aws, configurations, environment, lambda, scraper};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_environment("restore-scraper")?.writing();
    let bucket = aws.hub().bucket(&environment::required(configurations::BUCKET)?);
    lambda::run("restore-scraper", async |task| {
        let source = aws.source(&task).await?;
        scraper::restore(&source.amp(), &bucket, &task).await
    })
    .await
}
