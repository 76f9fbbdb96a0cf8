//! Acquire lock: only one execution at a time works on a cluster.

use ampxa::{Aws, environment, lambda, lock};
use std::time::SystemTime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let clients = lock::Clients::new(&Aws::from_environment("acquire-lock")?.hub());
    let table = environment::required("AMPXA_LOCKS")?;
    lambda::run("acquire-lock", async |input| {
        lock::acquire(&clients, &table, &input, SystemTime::now()).await
    })
    .await
}
