//! Plan removal: lists what an offboarding would delete. Read-only.

use ampxa::{Aws, arn::WorkspaceArn, environment, lambda, lock, plan};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_environment("plan-removal")?;
    let table = environment::required("AMPXA_LOCKS")?;
    let locks = lock::Clients::new(&aws.hub());
    lambda::run("plan-removal", async |input: plan::RemovalInput| {
        let source = async || aws.source_if_reachable(&input.cluster_arn).await;
        let target = async |workspace: &WorkspaceArn| aws.target_if_reachable(workspace).await;
        let mut output = plan::removal(source, target, &input).await?;
        output.in_progress = lock::running_holder(&locks, &table, &input.lock()).await?;
        Ok(output)
    })
    .await
}
