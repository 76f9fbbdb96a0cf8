//! Remove target role: deletes the role and its policies.

use ampxa::{Aws, lambda, roles};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_environment("remove-target-role")?;
    lambda::run("remove-target-role", async |task| {
        let target = aws.target(&task).await?;
        let pair = &task.pair;
        roles::remove(&target.iam(), pair.target_role_arn(), &pair.target_role_name(), &task).await
    })
    .await
}
