//! Remove scraper: asks AMP to delete it, and says whether it is gone.

use ampxa::{Aws, scraper, task};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_environment("remove-scraper");
    task::run("remove-scraper", async |task| {
        let source = aws.source(&task).await?;
        scraper::remove(&source.amp(), &task).await
    })
    .await
}
