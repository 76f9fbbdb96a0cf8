//! Ensure target role: makes the pair's target role, or repairs it; its trust stays shut.

use ampxa::{Aws, lambda, roles};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_environment("ensure-target-role");
    lambda::run("ensure-target-role", async |task| {
        let target = aws.target(&task).await?;
        roles::ensure(&target.iam(), &roles::target(&task)).await
    })
    .await
}
