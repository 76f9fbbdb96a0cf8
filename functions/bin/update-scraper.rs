//! Update scraper: gives an adopted scraper what the request asks for.

use ampxa::{Aws, lambda, scraper};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_environment("update-scraper");
    lambda::run("update-scraper", async |task| {
        let source = aws.source(&task).await?;
        scraper::update(&source.amp(), &task).await
    })
    .await
}
