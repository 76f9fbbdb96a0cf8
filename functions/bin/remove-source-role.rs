//! Remove source role: deletes the role and its policies.

use ampxa::{Aws, lambda, roles};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_environment("remove-source-role")?.writing();
    lambda::run("remove-source-role", async |task| {
        let source = aws.source(&task).await?;
        roles::remove(&source.iam(), roles::Side::Source, &task).await
    })
    .await
}
