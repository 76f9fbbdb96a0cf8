//! Remove source role: deletes the role and its policies.

use ampxa::{Aws, lambda, roles};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_environment("remove-source-role")?.writing();
    lambda::run("remove-source-role", async |task| {
        roles::remove_in(aws.source_if_reachable(&task).await?, roles::Side::Source, &task).await
    })
    .await
}
