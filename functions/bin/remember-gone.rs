//! Remember gone: notes which clusters are gone, and says which another sweep missed too.

use ampxa::{Aws, lambda, sweep};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_environment("remember-gone");
    lambda::run("remember-gone", async |missed: sweep::Missed| {
        let source = aws.source_of(&missed.cluster).await?;
        sweep::note(&source.eks(), &source.amp(), &missed).await
    })
    .await
}
