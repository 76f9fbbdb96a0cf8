//! Update collector logs: switches the logs of the scraper on or off.

use ampxa::{Aws, collector_logs, lambda};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_environment("update-collector-logs")?.writing();
    lambda::run("update-collector-logs", async |task| {
        let source = aws.source(&task).await?;
        collector_logs::update(&source.amp(), &task).await
    })
    .await
}
