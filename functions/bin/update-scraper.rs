//! Update scraper: updates an existing scraper to the request.

use ampxa::{Aws, configurations, environment, lambda, scraper};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_environment("update-scraper")?.writing();
    let bucket = aws.hub().bucket(&environment::required(configurations::BUCKET)?);
    lambda::run("update-scraper", async |task| {
        let source = aws.source(&task).await?;
        scraper::update(&source.amp(), &bucket, &task).await
    })
    .await
}
