//! Check cluster: checks cluster, network, workspace and quota, and selects subnets. Read-only.

use ampxa::{Aws, cluster, lambda, task::Task};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_environment("check-cluster")?;
    let settings = cluster::Settings::from_environment()?;
    lambda::run("check-cluster", async |task: Task<cluster::Input>| {
        settings.check_is_allowed(&task.pair.workspace)?;
        let (source, target) = (aws.source(&task).await?, aws.target(&task).await?);
        let clients = cluster::Clients::new(&aws.hub(), &source, &target);
        cluster::check(&clients, &task, &settings).await
    })
    .await
}
