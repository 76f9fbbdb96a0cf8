//! Update scraper: updates an existing scraper to the request.

use ampxa::{Aws, lambda, scraper};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_environment("update-scraper")?.writing();
    lambda::run("update-scraper", async |task| {
        let source = aws.source(&task).await?;
        scraper::update(&source.amp(), &task).await
    })
    .await
}
