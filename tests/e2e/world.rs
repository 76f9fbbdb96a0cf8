//! The cloud that most tests share, and what they ask of it.

use crate::faults::proxy::Proxy;
use ampxa::pair::Pair;
use ampxa_cli::{
    account::Account,
    document,
    execution::{self, Execution},
    terminal::Report,
};
use anyhow::{Result, bail};
use aws_sdk_iam::error::ProvideErrorMetadata;
use driver::{
    ORGANIZATION,
    cloud::{Cloud, Options},
    demo, deploy,
    project::Project,
};
use serde_json::{Value, json};
use std::{
    fs,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

pub use driver::{HUB, SOURCE, TARGET};
/// An account that is source and target at once.
pub const BOTH: &str = "444444444444";

/// A deployed cloud.
pub struct World {
    pub cloud: Cloud,
    /// Between the cloud's functions and the cloud.
    pub proxy: Proxy,
    pub onboard_arn: String,
    pub offboard_arn: String,
    project: Project,
    next_region: AtomicUsize,
    next_account: AtomicUsize,
}

/// The cloud that all tests of this process share.
pub fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        // A runtime of its own: the tests' come and go.
        let made = thread::spawn(|| tokio::runtime::Runtime::new()?.block_on(World::make()));
        made.join()
            .expect("the world panicked")
            .expect("the local cloud could not be deployed")
    })
}

impl World {
    async fn make() -> Result<Self> {
        let (project, report) = (Project::here()?, Report::new());
        project.build()?;
        let python = project.python(&report)?;
        let proxy = Proxy::start()?;
        let options = Options {
            minute: 0.05,
            functions_endpoint: Some(proxy.url()),
            ..Options::default()
        };
        let cloud = Cloud::start(&project, &python, options)?;
        proxy.forward_to(&cloud.url);
        let ids = |ids: &[&str]| ids.iter().map(|id| id.to_string()).collect();
        let accounts = deploy::Accounts {
            hub: HUB.to_owned(),
            stack: "ampxa".to_owned(),
            sources: ids(&[SOURCE, BOTH, HUB]),
            targets: ids(&[TARGET, BOTH, HUB]),
        };
        let hub = deploy::deploy(&project, &python, &cloud, &accounts).await?;
        Ok(Self {
            cloud,
            proxy,
            project,
            onboard_arn: hub.onboard_arn,
            offboard_arn: hub.offboard_arn,
            next_region: AtomicUsize::new(0),
            next_account: AtomicUsize::new(0),
        })
    }

    /// A Region that no other test has: quotas and scrapers are per Region.
    pub fn region(&self) -> &'static str {
        const REGIONS: [&str; 64] = [
            "us-east-1",
            "us-east-2",
            "us-west-1",
            "us-west-2",
            "ca-central-1",
            "ca-west-1",
            "sa-east-1",
            "eu-west-1",
            "eu-west-2",
            "eu-west-3",
            "eu-central-1",
            "eu-central-2",
            "eu-north-1",
            "eu-south-1",
            "eu-south-2",
            "ap-east-1",
            "ap-south-1",
            "ap-south-2",
            "ap-northeast-1",
            "ap-northeast-2",
            "ap-northeast-3",
            "ap-southeast-1",
            "ap-southeast-2",
            "ap-southeast-3",
            "ap-southeast-4",
            "me-south-1",
            "me-central-1",
            "af-south-1",
            // These do not exist; the cloud does not mind, and the pattern of their names is right.
            "us-test-1",
            "us-test-2",
            "us-test-3",
            "us-test-4",
            "us-test-5",
            "us-test-6",
            "us-test-7",
            "us-test-8",
            "us-test-9",
            "eu-test-1",
            "eu-test-2",
            "eu-test-3",
            "eu-test-4",
            "eu-test-5",
            "eu-test-6",
            "eu-test-7",
            "eu-test-8",
            "eu-test-9",
            "ap-test-1",
            "ap-test-2",
            "ap-test-3",
            "ap-test-4",
            "ap-test-5",
            "ap-test-6",
            "ap-test-7",
            "ap-test-8",
            "ap-test-9",
            "af-test-1",
            "af-test-2",
            "af-test-3",
            "af-test-4",
            "af-test-5",
            "af-test-6",
            "af-test-7",
            "af-test-8",
            "af-test-9",
        ];
        let next = self.next_region.fetch_add(1, Ordering::Relaxed);
        REGIONS.get(next).expect("more tests than Regions: add some")
    }

    /// Two accounts that no other test has, with the product's templates.
    pub fn fresh_place(&self) -> Place {
        let number = self.next_account.fetch_add(1, Ordering::Relaxed);
        let [source, target] = [2, 3].map(|first| format!("{first}0{number:010}"));
        let place = self.place_in(&source, &target, driver::REGION);
        for (account, side) in [(&place.source, "source"), (&place.target, "target")] {
            self.deploy(account, side).expect("a stack");
        }
        place
    }

    /// Deploys the template of a source or target account without the AWS CLI, which takes a second to start.
    fn deploy(&self, account: &Account, side: &str) -> Result<()> {
        let template = fs::read_to_string(self.project.root.join(format!("infra/{side}-account.yaml")))?;
        let name = format!("ampxa-{side}");
        account.cloudformation(
            "CreateStack",
            &[
                ("StackName", &name),
                ("TemplateBody", &template),
                ("Capabilities.member.1", "CAPABILITY_NAMED_IAM"),
                ("Parameters.member.1.ParameterKey", "HubAccountId"),
                ("Parameters.member.1.ParameterValue", HUB),
                ("Parameters.member.2.ParameterKey", "OrganizationId"),
                ("Parameters.member.2.ParameterValue", ORGANIZATION),
            ],
        )?;
        loop {
            let shown = account.cloudformation("DescribeStacks", &[("StackName", &name)])?;
            match demo::element(&shown, "StackStatus").as_deref() {
                Some("CREATE_COMPLETE") => return Ok(()),
                Some("CREATE_IN_PROGRESS") => thread::sleep(Duration::from_millis(10)),
                other => bail!("the stack {name} of {} is {other:?}", account.id),
            }
        }
    }

    /// Two accounts in a Region of their own.
    pub fn place(&self, source: &str, target: &str) -> Place {
        self.place_in(source, target, self.region())
    }

    pub fn place_in(&self, source: &str, target: &str, region: &str) -> Place {
        Place {
            hub: self.cloud.account(HUB, driver::REGION),
            source: self.cloud.account(source, region),
            target: self.cloud.account(target, region),
        }
    }
}

/// A source and a target account in one Region, as their roots see them.
pub struct Place {
    pub hub: Account,
    pub source: Account,
    pub target: Account,
}

impl Place {
    /// A cluster that can be scraped and a workspace for it; answers the smallest request.
    pub async fn pair(&self, name: &str) -> Value {
        self.pair_of(&demo::Cluster::named(name)).await
    }

    pub async fn pair_of(&self, cluster: &demo::Cluster) -> Value {
        let arn = cluster.make(&self.source).await.expect("cluster");
        let workspace = demo::workspace(&self.target, &cluster.name).await.expect("workspace");
        json!({ "clusterArn": arn, "workspaceArn": workspace })
    }

    pub async fn onboard(&self, request: &Value) -> Execution {
        execution::run(&self.hub, &world().onboard_arn, request)
            .await
            .expect("execution")
    }

    pub async fn offboard(&self, request: &Value) -> Execution {
        execution::run(&self.hub, &world().offboard_arn, request)
            .await
            .expect("execution")
    }

    /// Offboards and expects success; answers the output.
    pub async fn offboarded(&self, request: &Value) -> Value {
        let run = self.offboard(request).await;
        let output = run.output.clone();
        output.unwrap_or_else(|| panic!("{:?}: {}", run.error, run.cause.unwrap_or_default()))
    }

    /// Onboards and expects success; answers the output.
    pub async fn onboarded(&self, request: &Value) -> Value {
        let run = self.onboard(request).await;
        let output = run.output.clone();
        output.unwrap_or_else(|| panic!("{:?}: {}", run.error, run.cause.unwrap_or_default()))
    }

    /// Both roles of an onboarded pair, with all their documents.
    pub async fn roles(&self, output: &Value) -> (Value, Value) {
        (
            document::role(&self.source, text(&output["sourceRoleArn"]))
                .await
                .expect("source role"),
            document::role(&self.target, text(&output["targetRoleArn"]))
                .await
                .expect("target role"),
        )
    }

    /// The cluster's scrapers: ARN and state.
    pub async fn scrapers(&self) -> Vec<(String, String)> {
        let all = self
            .source
            .amp()
            .list_scrapers()
            .send()
            .await
            .expect("scrapers")
            .scrapers;
        let state = |scraper: &aws_sdk_amp::types::ScraperSummary| {
            let status = scraper.status().expect("a status");
            status.status_code().to_string()
        };
        all.iter()
            .map(|scraper| (scraper.arn().to_owned(), state(scraper)))
            .collect()
    }

    /// All roles, scrapers, access entries and workspaces of both accounts.
    pub fn resources(&self) -> Value {
        let of = |account: &Account| {
            let path = format!("accounts/{}", account.id);
            world().cloud.look(&path).expect("the control API")
        };
        json!({ "source": of(&self.source), "target": of(&self.target) })
    }

    /// What a run must leave when it refuses or is undone: no role and no scraper in either account.
    pub async fn nothing_was_made(&self) {
        for account in [&self.source, &self.target] {
            let scrapers = account.amp().list_scrapers().send().await.expect("scrapers").scrapers;
            assert!(scrapers.is_empty(), "a run left {scrapers:?}");
            let mut roles = account.iam().list_roles().into_paginator().items().send();
            while let Some(role) = roles.next().await {
                let arn = role.expect("role").arn;
                let name = arn.rsplit('/').next().expect("a name");
                // The list is the whole account's: a role of another Region's test may go meanwhile.
                let tags = match account.iam().list_role_tags().role_name(name).send().await {
                    Err(gone) if gone.code() == Some("NoSuchEntity") => continue,
                    tags => tags.expect("tags").tags,
                };
                let here = format!(":{}:", account.region);
                let ours = tags
                    .iter()
                    .any(|tag| tag.key() == "ampxa:cluster" && tag.value().contains(&here));
                assert!(!ours, "a run left {arn}");
            }
        }
    }
}

/// One attempt to write, wearing a scraper's identity, whatever its state.
pub fn attempt(output: &Value, scraper_arn: &str) -> Value {
    let attempt = world().cloud.tell(
        "attempt",
        &json!({
            "sourceRoleArn": output["sourceRoleArn"],
            "targetRoleArn": output["targetRoleArn"],
            "workspaceArn": output["workspaceArn"],
            "scraperArn": scraper_arn,
        }),
    );
    attempt.expect("the cloud's control surface")
}

/// The pair that a request is about.
pub fn pair_of(request: &Value) -> Pair {
    Pair {
        cluster: text(&request["clusterArn"]).parse().expect("a cluster's ARN"),
        workspace: text(&request["workspaceArn"]).parse().expect("a workspace's ARN"),
    }
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

/// The request with more in it.
pub fn with(request: &Value, more: Value) -> Value {
    let mut request = request.clone();
    let fields = more.as_object().expect("an object").clone();
    request.as_object_mut().expect("an object").extend(fields);
    request
}
