//! `up`: the local cloud with the deployed product, until Ctrl-C.

use crate::{
    HUB, REGION, SOURCE, TARGET,
    cloud::{Cloud, Options},
    demo, deploy,
    project::Project,
};
use ampxa_cli::terminal::Report;
use anyhow::Result;

/// Starts the cloud, deploys the product, and prints commands for its use. The cloud runs until it is dropped.
///
/// # Errors
/// If the cloud does not start or the deployment fails.
pub async fn start(options: Options) -> Result<Cloud> {
    let report = Report::new();
    let project = Project::here()?;
    let python = project.python(&report)?;
    let activity = report.start("Starting the local cloud and deploying infra/ into three accounts");
    let cloud = Cloud::start(&project, &python, options)?;
    // With the parameters of a reconciliation, `ampxa reconcile` and `ampxa report` need no accounts.
    let wiring = deploy::Wiring {
        parameters: vec![
            format!("ReconcileAccounts={SOURCE}"),
            format!("ReconcileRegions={REGION}"),
        ],
        ..deploy::Wiring::default()
    };
    let hub = deploy::deploy_wired(&project, &python, &cloud, &deploy::Accounts::default(), &wiring).await?;
    activity.finish();
    let source = cloud.account(SOURCE, REGION);
    let role = demo::cluster_role(&source).await?;
    let subnets = demo::default_subnets(&source)?;
    let subnets: Vec<String> = subnets.into_iter().map(|subnet| subnet.id).collect();
    println!("ready");
    for (name, value) in deploy::environment(&cloud, HUB) {
        println!("export {name}={value}");
    }
    let cluster = format!("arn:aws:eks:{REGION}:{SOURCE}:cluster/demo");
    println!(
        "# Accounts: hub {HUB}, source {SOURCE}, target {TARGET}. The access key is the account id. Region: {REGION}.
# If the AWS CLI is not installed, use {}.

# Create a cluster, and a workspace whose owner accepts the account of the cluster:
AWS_ACCESS_KEY_ID={SOURCE} aws eks create-cluster --name demo --role-arn {role} \\
  --resources-vpc-config subnetIds={},endpointPrivateAccess=true \\
  --access-config authenticationMode=API_AND_CONFIG_MAP
AWS_ACCESS_KEY_ID={TARGET} aws amp create-workspace --alias demo --tags ampxa:accept={SOURCE}

# Connect them. To disconnect, start {} with clusterArn only:
aws stepfunctions start-execution --state-machine-arn {} \\
  --input '{{\"clusterArn\": \"{cluster}\", \"workspaceArn\": \"<arn of the workspace>\"}}'

# List the pairs:
{} status --live --local-cloud {}

# Ctrl-C stops the cloud and deletes its data.",
        python.aws_cli().display(),
        subnets.join(","),
        hub.offboard_arn,
        hub.onboard_arn,
        local::programs().join("ampxa").display(),
        cloud.url
    );
    Ok(cloud)
}
