//! Check offboarding: parses the request. Makes no call to AWS.

use ampxa::{lambda, offboarding};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    lambda::run("check-offboarding", async |request| offboarding::check(request)).await
}
