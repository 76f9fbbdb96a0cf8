//! Check cluster: checks cluster, network, workspace and quota, and selects subnets. Read-only.

use ampxa::{Aws, cluster, consent, lambda, task::Task};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_environment("check-cluster")?;
    let settings = cluster::Settings::from_environment()?;
    lambda::run("check-cluster", async |task: Task<cluster::Input>| {
        settings.check_is_allowed(&task.pair.workspace)?;
        let (source, target) = (aws.source(&task).await?, aws.target(&task).await?);
        let clients = cluster::Clients {
            eks: source.eks(),
            ec2: source.ec2(),
            source_amp: source.amp(),
            target_amp: target.amp(),
            consent: consent::Clients {
                organizations: aws.hub().organizations(),
                target_iam: target.iam(),
            },
        };
        cluster::check(&clients, &task, &settings).await
    })
    .await
}
