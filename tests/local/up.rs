//! `up`: the local cloud, deployed, until Ctrl-C.

use crate::{
    HUB, REGION, SOURCE, TARGET,
    cloud::{Cloud, Options},
    deploy,
    project::Project,
    terminal::Report,
};
use anyhow::Result;

/// Starts the cloud, deploys the product, says how to reach it, and answers it for keeping.
///
/// # Errors
/// When the product could not be run.
pub async fn start(options: Options) -> Result<Cloud> {
    let report = Report::new();
    let project = Project::here()?;
    project.build(&report)?;
    let python = project.python(&report)?;
    let doing = report.doing("Starting the local cloud and deploying infra/ into three accounts");
    let cloud = Cloud::start(&project, &python, options)?;
    let hub = deploy::deploy(&project, &python, &cloud, &deploy::Accounts::default()).await?;
    doing.done();
    println!("ready");
    for (name, value) in deploy::environment(&cloud, HUB) {
        println!("export {name}={value}");
    }
    println!(
        "# Account: hub {HUB}, source {SOURCE}, target {TARGET}; the access key is the account's id. Region: {REGION}."
    );
    println!("# The AWS CLI is {}, if you have none.", python.aws_cli().display());
    for (what, machine) in [("Onboard", &hub.onboard_arn), ("Offboard", &hub.offboard_arn)] {
        println!("# {what}: aws stepfunctions start-execution --state-machine-arn {machine} --input …");
    }
    println!(
        "# Every pair there is: cargo run -p local -- status --endpoint {}",
        cloud.url
    );
    println!("# Ctrl-C ends it, and nothing is left.");
    Ok(cloud)
}
