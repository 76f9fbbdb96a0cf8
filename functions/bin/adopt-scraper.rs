//! Adopt scraper: gives the tags of the pair to a scraper that ampxa did not create.

use ampxa::{Aws, lambda, scraper};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_environment("adopt-scraper")?.writing();
    lambda::run("adopt-scraper", async |task| {
        let source = aws.source(&task).await?;
        scraper::adopt(&source.amp(), &task).await
    })
    .await
}
