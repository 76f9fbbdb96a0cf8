//! Plan pair, and Plan pair again: compares the resources of the pair with the request, and lists what an onboarding would
//! change. Read-only.

use ampxa::{Aws, cluster, configurations, environment, lambda, lock, plan, task::Task};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let aws = Aws::from_environment("plan-pair")?;
    let settings = cluster::Settings::from_environment()?;
    let bucket = environment::required(configurations::BUCKET)?;
    let table = environment::required("AMPXA_LOCKS")?;
    let locks = lock::Clients::new(&aws.hub());
    lambda::run("plan-pair", async |task: Task<plan::Input>| {
        settings.check_is_allowed(&task.pair.workspace)?;
        let (source, target) = (aws.source(&task).await?, aws.target(&task).await?);
        let clients = plan::Clients::new(&aws.hub(), &source, &target, &bucket);
        let mut output = plan::onboarding(&clients, &task, &settings).await?;
        output.in_progress = lock::running_holder(&locks, &table, &lock::Input::of(&task)).await?;
        Ok(output.shortened(&task.input))
    })
    .await
}
