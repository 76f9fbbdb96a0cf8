//! Runs the steps in this process, wired as the programs in `functions/bin` wire them.

use ampxa::{
    Aws, Error,
    arn::WorkspaceArn,
    check_request, cluster, collector_logs, consent, ingestion, lock, offboarding, patch, plan, prepare,
    roles::{self, Side},
    scraper,
    task::Task,
};
use serde::Serialize;
use serde_json::Value;
use std::time::SystemTime;

/// The step of a function, named as its program in `functions/bin`.
pub fn step(function: &str) -> &'static str {
    match function {
        "CheckRequest" => "check-request",
        "AcquireLock" => "acquire-lock",
        "PlanPair" => "plan-pair",
        "CheckCluster" => "check-cluster",
        "PrepareCluster" => "prepare-cluster",
        "AdoptScraper" => "adopt-scraper",
        "RestoreScraper" => "restore-scraper",
        "EnsureSourceRole" => "ensure-source-role",
        "EnsureTargetRole" => "ensure-target-role",
        "CreateScraper" => "create-scraper",
        "CheckScraper" => "check-scraper",
        "UpdateScraper" => "update-scraper",
        "PatchTrustPolicies" => "patch-trust-policies",
        "CheckIngestion" => "check-ingestion",
        "UpdateCollectorLogs" => "update-collector-logs",
        "RemoveScraper" => "remove-scraper",
        "RemoveTargetRole" => "remove-target-role",
        "RemoveSourceRole" => "remove-source-role",
        "CheckOffboarding" => "check-offboarding",
        "FindPairs" => "find-pairs",
        "PlanRemoval" => "plan-removal",
        other => panic!("unknown function {other}"),
    }
}

/// The steps that assume provisioners. The other steps assume readers.
pub const WRITING: [&str; 12] = [
    "adopt-scraper",
    "restore-scraper",
    "update-collector-logs",
    "prepare-cluster",
    "ensure-source-role",
    "ensure-target-role",
    "create-scraper",
    "update-scraper",
    "patch-trust-policies",
    "remove-scraper",
    "remove-target-role",
    "remove-source-role",
];

/// Runs a step once.
pub async fn run(step: &'static str, aws: &Aws, payload: Value, now: SystemTime) -> Result<Value, Error> {
    match step {
        "check-request" => invoke(payload, async |input| check_request::check(&input)).await,
        "check-offboarding" => invoke(payload, async |request| offboarding::check(request)).await,
        "acquire-lock" => {
            let clients = lock::Clients::new(&aws.hub());
            invoke(payload, async |input| {
                lock::acquire(&clients, "locks", &input, now).await
            })
            .await
        }
        "check-cluster" => {
            invoke(payload, async |task| {
                let (source, target) = (aws.source(&task).await?, aws.target(&task).await?);
                let clients = cluster::Clients::new(&aws.hub(), &source, &target);
                cluster::check(&clients, &task, &settings()).await
            })
            .await
        }
        "plan-pair" => {
            let locks = lock::Clients::new(&aws.hub());
            invoke(payload, async |task| {
                let (source, target) = (aws.source(&task).await?, aws.target(&task).await?);
                let clients = plan::Clients::new(&aws.hub(), &source, &target, "bucket");
                let mut output = plan::onboarding(&clients, &task, &settings()).await?;
                output.in_progress = lock::running_holder(&locks, "locks", &lock::Input::of(&task)).await?;
                Ok(output.shortened(&task.input))
            })
            .await
        }
        "prepare-cluster" => {
            invoke(payload, async |task| {
                prepare::prepare(&aws.source(&task).await?.eks(), &task).await
            })
            .await
        }
        "adopt-scraper" => {
            invoke(payload, async |task| {
                scraper::adopt(&aws.source(&task).await?.amp(), &task).await
            })
            .await
        }
        "restore-scraper" => {
            invoke(payload, async |task| {
                scraper::restore(&aws.source(&task).await?.amp(), &aws.hub().bucket("bucket"), &task).await
            })
            .await
        }
        "ensure-source-role" => {
            invoke(payload, async |task| {
                roles::ensure(&aws.source(&task).await?.iam(), &roles::source(&task)).await
            })
            .await
        }
        "ensure-target-role" => {
            invoke(payload, async |task| {
                roles::ensure(&aws.target(&task).await?.iam(), &roles::target(&task)).await
            })
            .await
        }
        "create-scraper" => {
            invoke(payload, async |task| {
                scraper::create(&aws.source(&task).await?.amp(), &aws.hub().bucket("bucket"), &task).await
            })
            .await
        }
        "check-scraper" => {
            invoke(payload, async |task| {
                scraper::check(&aws.source(&task).await?.amp(), &task).await
            })
            .await
        }
        "update-scraper" => {
            invoke(payload, async |task| {
                scraper::update(&aws.source(&task).await?.amp(), &aws.hub().bucket("bucket"), &task).await
            })
            .await
        }
        "patch-trust-policies" => {
            invoke(payload, async |task| {
                let (source, target) = (aws.source(&task).await?, aws.target(&task).await?);
                patch::patch(&source.iam(), &target.iam(), &task).await
            })
            .await
        }
        "check-ingestion" => {
            invoke(payload, async |task: Task<_>| {
                ingestion::examine(
                    &aws.query_client(&task).await?,
                    async || aws.source(&task).await,
                    async || aws.target(&task).await,
                    &task,
                    now,
                )
                .await
            })
            .await
        }
        "update-collector-logs" => {
            invoke(payload, async |task| {
                collector_logs::update(&aws.source(&task).await?.amp(), &task).await
            })
            .await
        }
        "remove-scraper" => {
            invoke(payload, async |task: Task<_>| {
                scraper::remove_in(aws.source_if_reachable(&task.pair.cluster).await?, &task).await
            })
            .await
        }
        "remove-target-role" => {
            invoke(payload, async |task: Task<_>| {
                let target = aws.target_if_reachable(&task.pair.workspace).await?;
                roles::remove_in(target, Side::Target, &task).await
            })
            .await
        }
        "remove-source-role" => {
            invoke(payload, async |task: Task<_>| {
                let source = aws.source_if_reachable(&task.pair.cluster).await?;
                roles::remove_in(source, Side::Source, &task).await
            })
            .await
        }
        "find-pairs" => {
            invoke(payload, async |request: offboarding::Request| {
                offboarding::find_pairs(async || aws.source_of(&request.cluster_arn).await, &request).await
            })
            .await
        }
        "plan-removal" => {
            let locks = lock::Clients::new(&aws.hub());
            invoke(payload, async |input: plan::RemovalInput| {
                let source = async || aws.source_if_reachable(&input.cluster_arn).await;
                let target = async |workspace: &WorkspaceArn| aws.target_if_reachable(workspace).await;
                let mut output = plan::removal(source, target, &input).await?;
                output.in_progress = lock::running_holder(&locks, "locks", &input.lock()).await?;
                Ok(output)
            })
            .await
        }
        other => panic!("unknown step {other}"),
    }
}

fn settings() -> cluster::Settings {
    cluster::Settings {
        quotas: cluster::Quotas::default(),
        allowed_workspaces: Vec::new(),
        consent: consent::Settings {
            organization: false,
            organizations_access: false,
        },
    }
}

/// Parses the payload, runs a step, and serializes its output.
async fn invoke<I, O>(payload: Value, step: impl AsyncFn(I) -> Result<O, Error>) -> Result<Value, Error>
where
    I: TryFrom<Value, Error = Error>,
    O: Serialize,
{
    let output = Box::pin(step(I::try_from(payload)?)).await?;
    Ok(serde_json::to_value(output).expect("JSON"))
}
