//! Summarize plan, Summarize reconciliation: writes the report of a reconciliation into the hub's bucket, and adds up the
//! totals.

use ampxa::{Aws, configurations, environment, lambda, reconcile::summary};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_environment("summarize")?;
    let bucket = aws.hub().bucket(&environment::required(configurations::BUCKET)?);
    lambda::run("summarize", async |input: summary::Input| {
        summary::summarize(&bucket, &input).await
    })
    .await
}
