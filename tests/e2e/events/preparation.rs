//! Clusters with EKS's defaults: a rule with `prepareCluster` prepares them, if their account allows it.

use super::fixture::{Exclusive, FLEET, Machine, exclusive};
use crate::least_privilege::Policy;
use ampxa_cli::account::Account;
use anyhow::{Context, Result, ensure};
use aws_sdk_eks::types::{AuthenticationMode, VpcConfigRequest};
use driver::{REGION, demo};
use serde_json::{Value, json};

/// The policy that allows the preparation of clusters, and its role.
const PROVISIONER: &str = "ampxa-provisioner-source";
const PERMISSION: &str = "prepare-clusters";

/// Creates a cluster with only the required parameters, and returns its ARN.
async fn create_cluster(account: &Account, name: &str) -> Result<String> {
    let subnets = demo::default_subnets(account)?.into_iter().map(|subnet| subnet.id);
    let vpc = VpcConfigRequest::builder()
        .set_subnet_ids(Some(subnets.collect()))
        .build();
    let request = account.eks().create_cluster().name(name).resources_vpc_config(vpc);
    let response = request.role_arn(demo::cluster_role(account).await?).send().await?;
    let cluster = response.cluster.context("no cluster")?;
    ensure!(
        !cluster
            .resources_vpc_config()
            .context("no VPC")?
            .endpoint_private_access()
    );
    cluster.arn.context("no ARN")
}

/// Routes clusters of all names to a workspace, with preparation.
fn prepare_all(wired: &Exclusive) -> Result<()> {
    let rule = json!({
        "match": { "accounts": [FLEET[2]] }, "workspaceArn": wired.workspace,
        "prepareCluster": ["ACCESS_ENTRIES", "PRIVATE_ENDPOINT"],
    });
    wired.set_routes(&json!({ "rules": [rule] }).to_string())
}

#[tokio::test]
async fn a_default_cluster_is_prepared_by_its_event_and_its_samples_arrive() -> Result<()> {
    let wired = exclusive().await?;
    let account = wired.account(FLEET[2], REGION);
    prepare_all(&wired)?;
    let cluster = create_cluster(&account, "prepared").await?;
    let run = wired.started(Machine::Onboard, "create-prepared-").await?.succeeded()?;
    let expected = json!(["PRIVATE_ENDPOINT", "ACCESS_ENTRIES"]);
    ensure!(
        run.output["outcome"] == "ONBOARDED" && run.output["prepared"] == expected,
        "{}",
        run.output
    );
    wired.samples(&wired.workspace, &cluster).await?;
    let described = account
        .eks()
        .describe_cluster()
        .name("prepared")
        .send()
        .await?
        .cluster
        .context("no cluster")?;
    let vpc = described.resources_vpc_config().context("no VPC")?;
    ensure!(vpc.endpoint_private_access() && vpc.endpoint_public_access(), "{vpc:?}");
    let mode = described
        .access_config()
        .and_then(|access| access.authentication_mode());
    ensure!(mode == Some(&AuthenticationMode::ApiAndConfigMap), "{mode:?}");
    // Another onboarding has nothing to prepare.
    let again = wired.run(Machine::Onboard, &run.input).await?.succeeded()?;
    ensure!(
        again.output["prepared"] == json!([]) && again.output["outcome"] == "UNCHANGED",
        "{}",
        again.output
    );
    Ok(())
}

#[tokio::test]
async fn a_default_cluster_of_an_account_that_does_not_allow_it_is_not_ready_with_both_ways() -> Result<()> {
    let wired = exclusive().await?;
    let account = wired.account(FLEET[2], REGION);
    let iam = account.iam();
    let policy = Policy::read(&iam, PROVISIONER, PERMISSION).await;
    let delete = iam.delete_role_policy().role_name(PROVISIONER);
    delete.policy_name(PERMISSION).send().await?;
    prepare_all(&wired)?;
    let cluster = create_cluster(&account, "unprepared").await?;
    let run = wired.started(Machine::Onboard, "create-unprepared-").await?;
    let plan: Value = {
        let mut request = run.input.clone();
        request["mode"] = json!("PLAN");
        wired.run(Machine::Onboard, &request).await?.succeeded()?.output
    };
    policy.write(&policy.document).await;
    for part in [
        "NotReady",
        "MayPrepareClusters=yes",
        "aws eks update-cluster-config --region us-west-2 --name unprepared --resources-vpc-config",
        "authenticationMode=API_AND_CONFIG_MAP",
    ] {
        ensure!(run.failure.contains(part), "{}", run.failure);
    }
    ensure!(plan["wouldFailAs"] == "NotReady", "{plan}");
    let left = wired.left_of(&cluster, &wired.workspace)?;
    ensure!(left.is_empty(), "{left:?}");
    Ok(())
}
