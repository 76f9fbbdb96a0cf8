//! Remove target role: deletes the role and its policies.

use ampxa::{Aws, lambda, roles, task::Task};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_environment("remove-target-role")?.writing();
    lambda::run("remove-target-role", async |task: Task<_>| {
        roles::remove_in(
            aws.target_if_reachable(&task.pair.workspace).await?,
            roles::Side::Target,
            &task,
        )
        .await
    })
    .await
}
