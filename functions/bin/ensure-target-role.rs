//! Ensure target role: creates or repairs the role that may write to the workspace. Only the patch admits the scraper.

use ampxa::{Aws, lambda, roles};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_environment("ensure-target-role")?.writing();
    lambda::run("ensure-target-role", async |task| {
        let target = aws.target(&task).await?;
        roles::ensure(&target.iam(), &roles::target(&task)).await
    })
    .await
}
