//! The templates of `infra/`, unchanged, into the local cloud's accounts, by the ordinary AWS CLI.

use crate::{
    HUB, ORGANIZATION, REGION, SOURCE, TARGET,
    cloud::Cloud,
    project::{Project, Python},
};
use anyhow::{Context, Result, ensure};
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
};

/// Where the product is to be.
#[derive(Debug, Clone)]
pub struct Accounts {
    /// The account of the hub.
    pub hub: String,
    /// The name of the hub's stack.
    pub stack: String,
    /// Accounts that get `infra/source-account.yaml`.
    pub sources: Vec<String>,
    /// Accounts that get `infra/target-account.yaml`.
    pub targets: Vec<String>,
}

impl Default for Accounts {
    fn default() -> Self {
        Self {
            hub: HUB.to_owned(),
            stack: "ampxa".to_owned(),
            sources: vec![SOURCE.to_owned()],
            targets: vec![TARGET.to_owned()],
        }
    }
}

/// The deployed hub.
#[derive(Debug, Clone)]
pub struct Hub {
    /// The state machine that onboards.
    pub onboard_arn: String,
    /// The state machine that offboards.
    pub offboard_arn: String,
}

/// Deploys the hub and the account templates.
///
/// # Errors
/// When the AWS CLI reports a failure; its own words are in the message.
pub async fn deploy(project: &Project, python: &Python, cloud: &Cloud, accounts: &Accounts) -> Result<Hub> {
    let stacks = thread::scope(|scope| {
        let mut stacks = Vec::new();
        let sources = accounts.sources.iter().map(|id| (id, "source"));
        for (id, side) in sources.chain(accounts.targets.iter().map(|id| (id, "target"))) {
            stacks.push(scope.spawn(move || account_stack(project, python, cloud, &accounts.hub, id, side)));
        }
        stacks.push(scope.spawn(|| hub_stack(project, python, cloud, &accounts.hub, &accounts.stack)));
        let joined = stacks.into_iter().map(|stack| stack.join());
        joined.collect::<Vec<_>>()
    });
    for stack in stacks {
        stack.map_err(|_| anyhow::anyhow!("a deployment panicked"))??;
    }
    let machines = cloud
        .account(&accounts.hub, REGION)
        .sfn()
        .list_state_machines()
        .send()
        .await?;
    let arn = |machine: &str| {
        let name = format!("{}-{machine}", accounts.stack);
        let found = machines.state_machines().iter().find(|found| found.name() == name);
        let found = found.with_context(|| format!("the hub's stack has no state machine {name}"))?;
        anyhow::Ok(found.state_machine_arn().to_owned())
    };
    Ok(Hub {
        onboard_arn: arn("onboard")?,
        offboard_arn: arn("offboard")?,
    })
}

fn account_stack(project: &Project, python: &Python, cloud: &Cloud, hub: &str, id: &str, side: &str) -> Result<()> {
    let template = project.root.join(format!("infra/{side}-account.yaml"));
    aws(
        project,
        python,
        cloud,
        id,
        &[
            "deploy",
            "--template-file",
            path(&template)?,
            "--stack-name",
            &format!("ampxa-{side}"),
            "--capabilities",
            "CAPABILITY_NAMED_IAM",
            "--parameter-overrides",
            &format!("HubAccountId={hub}"),
            &format!("OrganizationId={ORGANIZATION}"),
        ],
    )
}

fn hub_stack(project: &Project, python: &Python, cloud: &Cloud, hub: &str, stack: &str) -> Result<()> {
    let packaged = cloud.folder().join(format!("hub-{hub}.yaml"));
    let bucket = format!("ampxa-artifacts-{hub}");
    let url = format!("{}/{bucket}", cloud.url);
    let made = Command::new(python.aws_cli())
        .args(["s3api", "create-bucket", "--bucket", &bucket])
        .args(["--create-bucket-configuration", &format!("LocationConstraint={REGION}")])
        .envs(environment(cloud, hub))
        .output()?;
    ensure!(
        made.status.success(),
        "{url} could not be made: {}",
        String::from_utf8_lossy(&made.stderr)
    );
    aws(
        project,
        python,
        cloud,
        hub,
        &[
            "package",
            "--template-file",
            path(&project.root.join("infra/template.yaml"))?,
            "--s3-bucket",
            &bucket,
            "--output-template-file",
            path(&packaged)?,
        ],
    )?;
    aws(
        project,
        python,
        cloud,
        hub,
        &[
            "deploy",
            "--template-file",
            path(&packaged)?,
            "--stack-name",
            stack,
            "--capabilities",
            "CAPABILITY_IAM",
            "CAPABILITY_AUTO_EXPAND",
            "--parameter-overrides",
            "Architecture=x86_64",
            &format!("OrganizationId={ORGANIZATION}"),
        ],
    )?;
    fs::remove_file(packaged)?;
    Ok(())
}

/// One `aws cloudformation …` as the root of an account.
fn aws(project: &Project, python: &Python, cloud: &Cloud, account: &str, arguments: &[&str]) -> Result<()> {
    let answer = Command::new(python.aws_cli())
        .arg("cloudformation")
        .args(arguments)
        .current_dir(&project.root)
        .envs(environment(cloud, account))
        .stdin(Stdio::null())
        .output()
        .context("the AWS CLI could not be started")?;
    ensure!(
        answer.status.success(),
        "aws cloudformation {} failed in account {account}:\n{}{}",
        arguments.join(" "),
        String::from_utf8_lossy(&answer.stdout),
        String::from_utf8_lossy(&answer.stderr)
    );
    Ok(())
}

/// What makes the plain AWS CLI reach an account of the cloud and nothing else.
pub fn environment(cloud: &Cloud, account: &str) -> Vec<(&'static str, String)> {
    vec![
        ("AWS_ENDPOINT_URL", cloud.url.clone()),
        ("AWS_ACCESS_KEY_ID", account.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
        ("AWS_SESSION_TOKEN", String::new()),
        ("AWS_DEFAULT_REGION", REGION.to_owned()),
        ("AWS_REGION", REGION.to_owned()),
        ("AWS_CONFIG_FILE", "/dev/null".to_owned()),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null".to_owned()),
        ("AWS_PAGER", String::new()),
    ]
}

fn path(path: &Path) -> Result<&str> {
    path.to_str().context("the repository's path is not UTF-8")
}
