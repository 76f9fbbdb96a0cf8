//! Record outcome: what an execution came to, as metrics in the log.

use ampxa::{lambda, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    lambda::run("record-outcome", async |ended: telemetry::Ended| {
        telemetry::record(&ended).await
    })
    .await
}
