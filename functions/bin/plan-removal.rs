//! Plan removal: lists what an offboarding would delete. Read-only.

use ampxa::{Aws, environment, lambda, lock, plan};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_environment("plan-removal")?;
    let table = environment::required("AMPXA_LOCKS")?;
    let locks = lock::Clients::new(&aws.hub());
    lambda::run("plan-removal", async |input: plan::RemovalInput| {
        let source = aws.source_of(&input.cluster_arn).await;
        let mut output = plan::removal(source, async |workspace| aws.target_of(workspace).await, &input).await?;
        output.in_progress = lock::running_holder(&locks, &table, &input.lock()).await?;
        Ok(output)
    })
    .await
}
