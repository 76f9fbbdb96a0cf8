//! Find pairs: finds the pair of the request, or all pairs of the cluster. Read-only.

use ampxa::{Aws, lambda, offboarding};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_environment("find-pairs")?;
    lambda::run("find-pairs", async |request: offboarding::Request| {
        offboarding::find_pairs(async || aws.source_of(&request.cluster_arn).await, &request).await
    })
    .await
}
