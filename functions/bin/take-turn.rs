//! Take turn: one execution at a time for a cluster.

use ampxa::{Aws, lambda, turn};
use std::time::SystemTime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let hub = Aws::from_environment("take-turn").hub();
    let (clients, table) = (
        turn::Clients {
            dynamodb: hub.dynamodb(),
            sfn: hub.sfn(),
        },
        turn::table_from_environment(),
    );
    lambda::run("take-turn", async |asked| {
        turn::take(&clients, &table, &asked, SystemTime::now()).await
    })
    .await
}
