//! Remove scraper, and Remove stale scraper: deletes scrapers of the pair, and returns whether AMP has deleted them.

use ampxa::{Aws, lambda, scraper, task::Task};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_environment("remove-scraper")?.writing();
    lambda::run("remove-scraper", async |task: Task<_>| {
        scraper::remove_in(aws.source_if_reachable(&task.pair.cluster).await?, &task).await
    })
    .await
}
