//! Ensure source role: makes the pair's source role, or repairs it; its trust stays shut.

use ampxa::{Aws, lambda, roles};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_environment("ensure-source-role");
    lambda::run("ensure-source-role", async |task| {
        let source = aws.source(&task).await?;
        roles::ensure(&source.iam(), &roles::source(&task)).await
    })
    .await
}
