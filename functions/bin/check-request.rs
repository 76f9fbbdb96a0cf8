//! Check request: parses the request, adds the defaults, and reads the scrape configuration if the request names an object.
//! Read-only.

use ampxa::{Aws, check_request, configurations, environment, lambda};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_environment("check-request")?;
    let bucket = aws.hub().bucket(&environment::required(configurations::BUCKET)?);
    lambda::run("check-request", async |input| {
        check_request::check_with_object(&bucket, &input).await
    })
    .await
}
