//! Summarize group, Summarize location, Summarize batch, Summarize reconciliation: adds up outcomes. Makes no call to AWS.

use ampxa::{lambda, reconcile::summary};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    lambda::run("summarize", async |input: summary::Input| Ok(summary::summarize(input))).await
}
