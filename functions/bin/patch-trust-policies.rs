//! Patch trust policies: the scraper's ARN into both, read back and compared.

use ampxa::{Aws, lambda, patch};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_environment("patch-trust-policies");
    lambda::run("patch-trust-policies", async |task| {
        let (source, target) = (aws.source(&task).await?, aws.target(&task).await?);
        patch::patch(&source.iam(), &target.iam(), &task).await
    })
    .await
}
