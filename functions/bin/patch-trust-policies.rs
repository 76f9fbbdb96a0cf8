//! Patch trust policies, and Patch trust policies early: writes the scraper's ARN into both trust policies, reads them back
//! and compares.

use ampxa::{Aws, lambda, patch};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_environment("patch-trust-policies")?.writing();
    lambda::run("patch-trust-policies", async |task| {
        let (source, target) = (aws.source(&task).await?, aws.target(&task).await?);
        patch::patch(&source.iam(), &target.iam(), &task).await
    })
    .await
}
