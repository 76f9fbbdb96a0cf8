//! Deploys the unchanged templates of `infra/` into the accounts of the local cloud, with the AWS CLI.

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

/// The accounts of a deployment.
#[derive(Debug, Clone)]
pub struct Accounts {
    /// The account of the hub.
    pub hub: String,
    /// The name of the hub's stack.
    pub stack: String,
    /// The accounts for `infra/source-account.yaml`.
    pub sources: Vec<String>,
    /// The accounts for `infra/target-account.yaml`.
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

/// The event sources of a deployment; none by default.
#[derive(Debug, Clone, Default)]
pub struct Wiring {
    /// The Regions from which each source account forwards events of clusters to the hub; the first has the roles.
    pub regions: Vec<String>,
    /// The management account of the organization, which forwards events from `us-east-1`.
    pub management: Option<String>,
    /// Accounts outside the organization that forward events nevertheless.
    pub untrusted_senders: Vec<String>,
    /// More parameters of `infra/template.yaml`, as `Name=value`.
    pub parameters: Vec<String>,
    /// More parameters of `infra/source-account.yaml` and `infra/target-account.yaml`, as `Name=value`.
    pub account_parameters: Vec<String>,
    /// More parameters of `infra/source-account.yaml` alone.
    pub source_parameters: Vec<String>,
    /// The accounts that the hub can reach, if it has no organization.
    pub allowed_accounts: Vec<String>,
    /// The Region of the hub and of the account stacks; if absent, [`REGION`].
    pub home: Option<&'static str>,
}

impl Wiring {
    fn home(&self) -> &'static str {
        self.home.unwrap_or(REGION)
    }
}

/// The Region of the account events of AWS Organizations and AWS Control Tower.
pub const MANAGEMENT_REGION: &str = "us-east-1";

/// The deployed hub.
#[derive(Debug, Clone)]
pub struct Hub {
    /// The ARN of the state machine `ampxa-onboard`.
    pub onboard_arn: String,
    /// The ARN of the state machine `ampxa-offboard`.
    pub offboard_arn: String,
    /// The ARN of the state machine `ampxa-reconcile`.
    pub reconcile_arn: String,
}

/// Deploys the hub and the account templates.
///
/// # Errors
/// If the AWS CLI fails; the message contains its output.
pub async fn deploy(project: &Project, python: &Python, cloud: &Cloud, accounts: &Accounts) -> Result<Hub> {
    deploy_wired(project, python, cloud, accounts, &Wiring::default()).await
}

/// Deploys the hub and the account templates, with event sources.
///
/// # Errors
/// If the AWS CLI fails; the message contains its output.
pub async fn deploy_wired(
    project: &Project,
    python: &Python,
    cloud: &Cloud,
    accounts: &Accounts,
    wiring: &Wiring,
) -> Result<Hub> {
    let stacks = stacks(accounts, wiring);
    let deployed = thread::scope(|scope| {
        let hub = scope.spawn(|| hub_stack(project, python, cloud, accounts, wiring));
        let one = |stack: Stack| scope.spawn(move || account_stack(project, python, cloud, &stack));
        let mut deployments: Vec<_> = stacks.into_iter().map(one).collect();
        deployments.push(hub);
        let joined = deployments.into_iter().map(|deployment| deployment.join());
        joined.collect::<Vec<_>>()
    });
    for stack in deployed {
        stack.map_err(|_| anyhow::anyhow!("a deployment panicked"))??;
    }
    let machines = cloud
        .account(&accounts.hub, wiring.home())
        .sfn()
        .list_state_machines()
        .send()
        .await?;
    let arn = |machine: &str| {
        let name = format!("{}-{machine}", accounts.stack);
        let machine = machines.state_machines().iter().find(|machine| machine.name() == name);
        let machine = machine.with_context(|| format!("the stack of the hub has no state machine {name}"))?;
        anyhow::Ok(machine.state_machine_arn().to_owned())
    };
    Ok(Hub {
        onboard_arn: arn("onboard")?,
        offboard_arn: arn("offboard")?,
        reconcile_arn: arn("reconcile")?,
    })
}

/// The ARN of the hub's event bus.
pub fn bus_arn(accounts: &Accounts) -> String {
    format!("arn:aws:events:{REGION}:{}:event-bus/{}", accounts.hub, accounts.stack)
}

/// A template of `infra/` for one account and Region.
#[derive(Debug)]
struct Stack {
    template: &'static str,
    account: String,
    region: String,
    parameters: Vec<String>,
}

fn stacks(accounts: &Accounts, wiring: &Wiring) -> Vec<Stack> {
    let hub = [format!("HubAccountId={}", accounts.hub)];
    let organization = organization(wiring);
    let bus = format!("EventBusArn={}", bus_arn(accounts));
    let stack = |template, account: &String, region: &str, more: &[String]| Stack {
        template,
        account: account.clone(),
        region: region.to_owned(),
        parameters: match template {
            "management-account" => more.to_vec(),
            // The template of a target account has no AllowedAccounts.
            "target-account" => [&hub[..], &organization[..1], more].concat(),
            _ => [&hub[..], &organization, more].concat(),
        },
    };
    let mut stacks = Vec::new();
    let of_sources = [&wiring.account_parameters[..], &wiring.source_parameters].concat();
    for account in accounts.sources.iter().chain(&wiring.untrusted_senders) {
        match &wiring.regions[..] {
            [] => stacks.push(stack("source-account", account, wiring.home(), &of_sources)),
            regions => stacks.extend(regions.iter().map(|region| {
                let mut parameters = of_sources.clone();
                parameters.extend([bus.clone(), format!("IamRegion={}", regions[0])]);
                stack("source-account", account, region, &parameters)
            })),
        }
    }
    let targets = accounts.targets.iter();
    stacks.extend(targets.map(|account| stack("target-account", account, wiring.home(), &wiring.account_parameters)));
    let management = wiring.management.iter();
    stacks.extend(management.map(|id| stack("management-account", id, MANAGEMENT_REGION, std::slice::from_ref(&bus))));
    stacks
}

/// The parameters that limit the accounts.
fn organization(wiring: &Wiring) -> Vec<String> {
    match &wiring.allowed_accounts[..] {
        [] => vec![format!("OrganizationId={ORGANIZATION}")],
        accounts => vec![
            "OrganizationId=NONE".to_owned(),
            format!("AllowedAccounts={}", accounts.join(",")),
        ],
    }
}

fn account_stack(project: &Project, python: &Python, cloud: &Cloud, stack: &Stack) -> Result<()> {
    let template = project.root.join(format!("infra/{}.yaml", stack.template));
    let name = format!("ampxa-{}", stack.template.trim_end_matches("-account"));
    let mut arguments = vec![
        "deploy",
        "--template-file",
        path(&template)?,
        "--stack-name",
        &name,
        "--capabilities",
        "CAPABILITY_NAMED_IAM",
        "--parameter-overrides",
    ];
    arguments.extend(stack.parameters.iter().map(String::as_str));
    aws(project, python, cloud, &stack.account, &stack.region, &arguments)
}

/// Deploys the hub like `aws cloudformation package` and `deploy`. The functions are packaged here, because the AWS CLI
/// would zip every function again at each start.
fn hub_stack(project: &Project, python: &Python, cloud: &Cloud, accounts: &Accounts, wiring: &Wiring) -> Result<()> {
    let (hub, region) = (accounts.hub.as_str(), wiring.home());
    let bucket = format!("ampxa-artifacts-{hub}");
    let account = cloud.account(hub, region);
    let configuration = format!(
        "<CreateBucketConfiguration><LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>"
    );
    account.put(&format!("/{bucket}"), configuration.into_bytes())?;
    let upload = |name: &str, content: Vec<u8>| {
        account.put(&format!("/{bucket}/{name}"), content)?;
        anyhow::Ok(format!("s3://{bucket}/{name}"))
    };
    let mut template = fs::read_to_string(project.root.join("infra/template.yaml"))?;
    for (step, package) in project.packages(python)? {
        let code = format!("CodeUri: ../target/lambda/{step}/\n");
        ensure!(template.contains(&code), "infra/template.yaml has no {}", code.trim());
        let uploaded = upload(&format!("{step}.zip"), fs::read(package)?)?;
        template = template.replace(&code, &format!("CodeUri: {uploaded}\n"));
    }
    for definition in ["onboard", "offboard", "reconcile"].map(|machine| format!("{machine}.asl.yaml")) {
        let content = fs::read(project.root.join("statemachine").join(&definition))?;
        let uploaded = upload(&definition, content)?;
        template = template.replace(&format!("../statemachine/{definition}"), &uploaded);
    }
    let packaged = cloud.folder().join(format!("hub-{hub}.yaml"));
    fs::write(&packaged, template)?;
    let organization = organization(wiring);
    let mut arguments = vec![
        "deploy",
        "--template-file",
        path(&packaged)?,
        // CloudFormation accepts at most 51,200 bytes of template in the request itself.
        "--s3-bucket",
        &bucket,
        "--stack-name",
        &accounts.stack,
        "--capabilities",
        "CAPABILITY_IAM",
        "CAPABILITY_AUTO_EXPAND",
        "--parameter-overrides",
        "Architecture=x86_64",
    ];
    arguments.extend(organization.iter().chain(&wiring.parameters).map(String::as_str));
    aws(project, python, cloud, hub, region, &arguments)?;
    fs::remove_file(packaged)?;
    Ok(())
}

/// Runs `aws cloudformation …` as the root user of an account.
fn aws(
    project: &Project,
    python: &Python,
    cloud: &Cloud,
    account: &str,
    region: &str,
    arguments: &[&str],
) -> Result<()> {
    let output = Command::new(python.aws_cli())
        .arg("cloudformation")
        .args(arguments)
        .current_dir(&project.root)
        .envs(environment(cloud, account))
        .envs([("AWS_REGION", region), ("AWS_DEFAULT_REGION", region)])
        .stdin(Stdio::null())
        .output()
        .context("the AWS CLI could not be started")?;
    ensure!(
        output.status.success(),
        "aws cloudformation {} failed in account {account}, {region}:\n{}{}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// The environment variables that restrict the AWS CLI to one account of the local cloud.
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
