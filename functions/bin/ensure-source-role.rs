//! Ensure source role: creates or repairs the role that the scraper assumes.

use ampxa::{Aws, lambda, roles};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_environment("ensure-source-role")?.writing();
    lambda::run("ensure-source-role", async |task| {
        let source = aws.source(&task).await?;
        roles::ensure(&source.iam(), &roles::source(&task)).await
    })
    .await
}
