//! Record outcome: writes the metrics of an ended execution to the log.

use ampxa::{environment, lambda, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let hub = environment::required("AMPXA_HUB")?;
    lambda::run("record-outcome", async |mut ended: telemetry::Ended| {
        ended.hub.clone_from(&hub);
        telemetry::record(&ended).await
    })
    .await
}
