//! Create scraper: creates the pair's scraper, or returns the existing one.

use ampxa::{Aws, configurations, environment, lambda, scraper};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_environment("create-scraper")?.writing();
    let bucket = aws.hub().bucket(&environment::required(configurations::BUCKET)?);
    lambda::run("create-scraper", async |task| {
        let source = aws.source(&task).await?;
        scraper::create(&source.amp(), &bucket, &task).await
    })
    .await
}
