//! Check request: parses the request and adds the defaults. Makes no call to AWS.

use ampxa::{check_request, lambda};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    lambda::run("check-request", async |input| check_request::check(&input)).await
}
