//! Remove source role: deletes the role and its policies.

use ampxa::{Aws, lambda, roles, task::Task};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_environment("remove-source-role")?.writing();
    lambda::run("remove-source-role", async |task: Task<_>| {
        roles::remove_in(
            aws.source_if_reachable(&task.pair.cluster).await?,
            roles::Side::Source,
            &task,
        )
        .await
    })
    .await
}
