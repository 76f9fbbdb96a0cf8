//! Check offboarding: parses and refuses; touches nothing.

use ampxa::{offboarding, task};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    task::run("check-offboarding", async |request| offboarding::check(request)).await
}
