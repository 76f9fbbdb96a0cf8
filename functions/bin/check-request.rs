//! Check request: parses, completes and refuses; touches nothing.

use ampxa::{check_request, lambda};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    lambda::run("check-request", async |input| check_request::check(&input)).await
}
