//! Check scraper: reads the status of the scraper once; the state machine polls.

use ampxa::{Aws, lambda, scraper};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_environment("check-scraper")?;
    lambda::run("check-scraper", async |task| {
        let source = aws.source(&task).await?;
        scraper::check(&source.amp(), &task).await
    })
    .await
}
