//! Check request: parses, completes and refuses; touches nothing.

use ampxa::{complete, lambda};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    lambda::run("check-request", async |raw| complete::check(&raw)).await
}
