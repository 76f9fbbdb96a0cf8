//! Where the runs take place: a cloud with the product's hub in it and a proxy before it, and for
//! each run a source and a target account that no other run has.

use super::proxy::Proxy;
use crate::{
    HUB, ORGANIZATION, REGION,
    account::Account,
    cloud::{Cloud, Options},
    demo::{self, Cluster},
    deploy,
    project::{Project, Python},
};
use ampxa::pair::Pair;
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{sync::Semaphore, task::spawn_blocking};

/// The cluster's name in every place.
const CLUSTER: &str = "c";
/// So many places are laid out, and so many results judged, at once: the cloud is one process.
const BUSY_AT_ONCE: usize = 4;
/// A stack is made within so long, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(300);

/// A deployed cloud behind a proxy.
#[derive(Debug)]
pub struct Ground {
    /// The proxy that all functions call AWS through.
    pub proxy: Proxy,
    cloud: Cloud,
    hub: deploy::Hub,
    templates: [(&'static str, String); 2],
    busy: Semaphore,
}

/// How an execution ended.
#[derive(Debug, Clone, Deserialize)]
pub struct Ended {
    /// Its status.
    pub status: String,
    /// The name it failed under.
    pub error: Option<String>,
    /// Why it failed.
    pub cause: Option<String>,
    output: Option<String>,
}

impl Ended {
    /// What it said at its end.
    pub fn output(&self) -> Value {
        let text = self.output.as_deref().unwrap_or_default();
        serde_json::from_str(text).unwrap_or_default()
    }
}

/// A machine of the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    /// `onboard.asl.json`.
    Onboard,
    /// `offboard.asl.json`.
    Offboard,
}

impl Ground {
    /// Starts a cloud and deploys the hub. The clock, of which a minute takes so many real
    /// seconds, is the cloud's own.
    ///
    /// # Errors
    /// When the cloud does not start or the hub cannot be deployed.
    pub async fn start(project: &Project, python: &Python, minute: f64) -> Result<Arc<Self>> {
        let proxy = Proxy::start().context("A proxy on the loopback could not be started")?;
        let options = Options {
            minute,
            functions_endpoint: Some(proxy.url()),
            collects: false,
            ..Options::default()
        };
        let (project, python) = (project.clone(), python.clone());
        let (at, with) = (project.clone(), python.clone());
        let cloud = spawn_blocking(move || Cloud::start(&at, &with, options)).await??;
        proxy.forward_to(&cloud.url);
        let accounts = deploy::Accounts {
            sources: Vec::new(),
            targets: Vec::new(),
            ..deploy::Accounts::default()
        };
        let hub = deploy::deploy(&project, &python, &cloud, &accounts).await?;
        let template = |side| std::fs::read_to_string(project.root.join(format!("infra/{side}-account.yaml")));
        Ok(Arc::new(Self {
            proxy,
            hub,
            templates: [("source", template("source")?), ("target", template("target")?)],
            busy: Semaphore::new(BUSY_AT_ONCE),
            cloud,
        }))
    }

    /// Asks the control surface; what it answers may take a while.
    pub async fn look(self: &Arc<Self>, path: String) -> Result<Value> {
        let ground = Arc::clone(self);
        spawn_blocking(move || ground.cloud.look(&path)).await?
    }

    /// Tells the control surface something.
    pub async fn tell(self: &Arc<Self>, path: &'static str, body: Value) -> Result<Value> {
        let ground = Arc::clone(self);
        spawn_blocking(move || ground.cloud.tell(path, &body)).await?
    }
}

/// A cluster and a workspace in accounts of their own, with the provisioners deployed.
#[derive(Debug)]
pub struct Place {
    /// The cloud it lies in.
    pub ground: Arc<Ground>,
    /// The account of the cluster.
    pub source: Account,
    /// The account of the workspace.
    pub target: Account,
    /// The cluster and the workspace.
    pub pair: Pair,
    /// The cluster's own security group.
    pub security_group: String,
}

impl Place {
    /// Lays a place out. The number must be its own; tags are the cluster's.
    ///
    /// # Errors
    /// When the cloud refuses something.
    pub async fn lay(ground: &Arc<Ground>, number: usize, tags: &[(&str, &str)]) -> Result<Self> {
        let _turn = ground.busy.acquire().await?;
        let [source, target] = [2, 3].map(|first| format!("{first}{number:011}"));
        let [source, target] = [source, target].map(|id| ground.cloud.account(&id, REGION));
        let accounts = [source.clone(), target.clone()];
        let for_stacks = Arc::clone(ground);
        spawn_blocking(move || {
            let sides = for_stacks.templates.iter().zip(&accounts);
            sides
                .map(|((side, template), account)| stack(account, side, template))
                .collect::<Result<Vec<_>>>()
        })
        .await??;
        let mut cluster = Cluster::named(CLUSTER);
        for (key, value) in tags {
            cluster = cluster.tag(key, value);
        }
        let pair = Pair {
            cluster: cluster.make(&source).await?.parse().map_err(anyhow::Error::msg)?,
            workspace: demo::workspace(&target, "w")
                .await?
                .parse()
                .map_err(anyhow::Error::msg)?,
        };
        let described = source.eks().describe_cluster().name(CLUSTER).send().await?;
        let networks = described.cluster.and_then(|cluster| cluster.resources_vpc_config);
        let security_group = networks.and_then(|networks| networks.cluster_security_group_id);
        Ok(Self {
            ground: Arc::clone(ground),
            source,
            target,
            pair,
            security_group: security_group.context("The cluster has no security group")?,
        })
    }

    /// Starts a machine for the pair; answers the execution's ARN.
    ///
    /// The name of the execution holds the source account's number: the proxy knows its calls by it.
    ///
    /// # Errors
    /// When Step Functions refuses it.
    pub async fn start(&self, machine: Machine, name: &str) -> Result<String> {
        let hub = self.ground.cloud.account(HUB, REGION);
        let mut input = json!({ "clusterArn": self.pair.cluster.to_string() });
        let machine = match machine {
            Machine::Onboard => {
                input["workspaceArn"] = json!(self.pair.workspace.to_string());
                &self.ground.hub.onboard_arn
            }
            Machine::Offboard => &self.ground.hub.offboard_arn,
        };
        let start = hub
            .sfn()
            .start_execution()
            .state_machine_arn(machine)
            .name(format!("{}-{name}", self.source.id));
        Ok(start.input(input.to_string()).send().await?.execution_arn)
    }

    /// How an execution ended, once it has.
    ///
    /// # Errors
    /// When the cloud does not answer.
    pub async fn end(&self, execution: &str) -> Result<Ended> {
        loop {
            let told = self.ground.look(format!("executions/{execution}")).await?;
            let ended: Ended = serde_json::from_value(told)?;
            if ended.status != "RUNNING" {
                return Ok(ended);
            }
        }
    }

    /// Runs a machine to its end.
    ///
    /// # Errors
    /// When the cloud does not answer.
    pub async fn run(&self, machine: Machine, name: &str) -> Result<Ended> {
        let execution = self.start(machine, name).await?;
        self.end(&execution).await
    }

    /// Everything in both accounts that the product could have made or changed.
    ///
    /// # Errors
    /// When the cloud does not answer.
    pub async fn snapshot(&self) -> Result<Value> {
        let of = |account: &Account| self.ground.look(format!("accounts/{}", account.id));
        Ok(json!({ "source": of(&self.source).await?, "target": of(&self.target).await? }))
    }

    /// One attempt to write, wearing a scraper's identity.
    ///
    /// # Errors
    /// When the cloud does not answer.
    pub async fn writes(&self, scraper: &str) -> Result<bool> {
        let body = json!({
            "sourceRoleArn": self.pair.source_role_arn(),
            "targetRoleArn": self.pair.target_role_arn(),
            "workspaceArn": self.pair.workspace.to_string(),
            "scraperArn": scraper,
        });
        Ok(self.ground.tell("attempt", body).await?["written"] == true)
    }

    /// Lets IAM show a role of these accounts only so many seconds after it was made.
    ///
    /// # Errors
    /// When the cloud does not answer.
    pub async fn show_roles_after(&self, seconds: u32) -> Result<()> {
        for account in [&self.source, &self.target] {
            let body = json!({ "account": account.id, "seconds": seconds });
            self.ground.tell("visibility", body).await?;
        }
        Ok(())
    }

    /// Empties the accounts.
    ///
    /// # Errors
    /// When the cloud does not answer.
    pub async fn forget(&self) -> Result<()> {
        for account in [&self.source, &self.target] {
            self.ground.tell("forget", json!({ "account": account.id })).await?;
        }
        Ok(())
    }
}

/// Makes the stack of `infra/` for an account, as the template is.
fn stack(account: &Account, side: &str, template: &str) -> Result<()> {
    let name = format!("ampxa-{side}");
    account.cloudformation(
        "CreateStack",
        &[
            ("StackName", &name),
            ("TemplateBody", template),
            ("Capabilities.member.1", "CAPABILITY_NAMED_IAM"),
            ("Parameters.member.1.ParameterKey", "HubAccountId"),
            ("Parameters.member.1.ParameterValue", HUB),
            ("Parameters.member.2.ParameterKey", "OrganizationId"),
            ("Parameters.member.2.ParameterValue", ORGANIZATION),
        ],
    )?;
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        let shown = account.cloudformation("DescribeStacks", &[("StackName", &name)])?;
        let status = demo::element(&shown, "StackStatus").unwrap_or_default();
        if status == "CREATE_COMPLETE" {
            return Ok(());
        }
        ensure!(
            status == "CREATE_IN_PROGRESS",
            "The stack {name} of {} is {status}",
            account.id
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    anyhow::bail!("The stack {name} of {} was not made in time", account.id)
}
