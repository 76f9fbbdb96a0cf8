//! The deployed cloud that most tests share, and the operations that they have in common.

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
/// An account that is both source and target.
pub const BOTH: &str = "444444444444";

/// A cloud with the product deployed.
pub struct Deployment {
    pub cloud: Cloud,
    /// The proxy between the functions and the cloud.
    pub proxy: Proxy,
    pub onboard_arn: String,
    pub offboard_arn: String,
    project: Project,
    next_region: AtomicUsize,
    next_account: AtomicUsize,
}

/// The cloud that all tests of this process share.
pub fn deployment() -> &'static Deployment {
    static DEPLOYMENT: OnceLock<Deployment> = OnceLock::new();
    DEPLOYMENT.get_or_init(|| {
        // The cloud outlives the runtime of the test that starts it.
        let started = thread::spawn(|| tokio::runtime::Runtime::new()?.block_on(Deployment::start()));
        started
            .join()
            .expect("the start of the cloud panicked")
            .expect("the local cloud could not be deployed")
    })
}

impl Deployment {
    async fn start() -> Result<Self> {
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

    /// A Region that no other test uses: quotas and scrapers are per Region.
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
            // These Regions do not exist. The local cloud accepts them, because their names match the pattern.
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
        REGIONS
            .get(next)
            .expect("there are more tests than Regions: add Regions")
    }

    /// Two accounts that no other test uses, with the product's templates deployed.
    pub fn new_accounts(&self) -> Accounts {
        let number = self.next_account.fetch_add(1, Ordering::Relaxed);
        let [source, target] = [2, 3].map(|first| format!("{first}0{number:010}"));
        let accounts = self.accounts_in(&source, &target, driver::REGION);
        for (account, side) in [(&accounts.source, "source"), (&accounts.target, "target")] {
            self.deploy_template(account, side)
                .expect("the template could not be deployed");
        }
        accounts
    }

    /// The source account, and a target account outside the organization, with the template, whose reader trusts the hub.
    pub fn accounts_outside_the_organization(&self) -> Accounts {
        let accounts = self.accounts_in(SOURCE, "993333333333", self.region());
        let target = self.cloud.account("993333333333", driver::REGION);
        self.deploy_template(&target, "target")
            .expect("the template could not be deployed");
        accounts
    }

    /// Deploys the template of a source or target account without the AWS CLI, which takes a second to start.
    pub fn deploy_template(&self, account: &Account, side: &str) -> Result<()> {
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
            let xml = account.cloudformation("DescribeStacks", &[("StackName", &name)])?;
            match demo::element(&xml, "StackStatus").as_deref() {
                Some("CREATE_COMPLETE") => return Ok(()),
                Some("CREATE_IN_PROGRESS") => thread::sleep(Duration::from_millis(10)),
                other => bail!("the stack {name} of {} is {other:?}", account.id),
            }
        }
    }

    /// Deletes the stack of [`Self::deploy_template`], and returns its last status; `None` if it does not exist any more.
    pub fn delete_template(&self, account: &Account, side: &str) -> Result<Option<String>> {
        let name = format!("ampxa-{side}");
        account.cloudformation("DeleteStack", &[("StackName", &name)])?;
        loop {
            let Ok(xml) = account.cloudformation("DescribeStacks", &[("StackName", &name)]) else {
                return Ok(None);
            };
            match demo::element(&xml, "StackStatus").as_deref() {
                Some("DELETE_IN_PROGRESS") => thread::sleep(Duration::from_millis(10)),
                status => return Ok(status.map(str::to_owned)),
            }
        }
    }

    /// A source and a target account in a Region that no other test uses.
    pub fn accounts(&self, source: &str, target: &str) -> Accounts {
        self.accounts_in(source, target, self.region())
    }

    /// A source and a target account in a Region.
    pub fn accounts_in(&self, source: &str, target: &str, region: &str) -> Accounts {
        Accounts {
            hub: self.cloud.account(HUB, driver::REGION),
            source: self.cloud.account(source, region),
            target: self.cloud.account(target, region),
        }
    }
}

/// The root users of the hub and of a source and a target account, both in one Region.
pub struct Accounts {
    pub hub: Account,
    pub source: Account,
    pub target: Account,
}

impl Accounts {
    /// Creates a cluster that can be scraped, and a workspace; returns the smallest request for them.
    pub async fn pair(&self, name: &str) -> Value {
        self.pair_of(&demo::Cluster::named(name)).await
    }

    /// The same for this cluster.
    pub async fn pair_of(&self, cluster: &demo::Cluster) -> Value {
        let arn = cluster
            .make(&self.source)
            .await
            .expect("the cluster could not be created");
        let workspace = demo::workspace(&self.target, &cluster.name)
            .await
            .expect("the workspace could not be created");
        json!({ "clusterArn": arn, "workspaceArn": workspace })
    }

    /// Runs the state machine that onboards.
    pub async fn onboard(&self, request: &Value) -> Execution {
        execution::run(&self.hub, &deployment().onboard_arn, request)
            .await
            .expect("the execution could not be started or read")
    }

    /// Runs the state machine that offboards.
    pub async fn offboard(&self, request: &Value) -> Execution {
        execution::run(&self.hub, &deployment().offboard_arn, request)
            .await
            .expect("the execution could not be started or read")
    }

    /// Offboards; panics unless the execution succeeds; returns the output.
    pub async fn offboarded(&self, request: &Value) -> Value {
        let run = self.offboard(request).await;
        let output = run.output.clone();
        output.unwrap_or_else(|| panic!("{:?}: {}", run.error, run.cause.unwrap_or_default()))
    }

    /// Onboards; panics unless the execution succeeds; returns the output.
    pub async fn onboarded(&self, request: &Value) -> Value {
        let run = self.onboard(request).await;
        let output = run.output.clone();
        output.unwrap_or_else(|| panic!("{:?}: {}", run.error, run.cause.unwrap_or_default()))
    }

    /// The source and the target role of an onboarded pair, with their tags and policies.
    pub async fn roles(&self, output: &Value) -> (Value, Value) {
        (
            document::role(&self.source, text(&output["sourceRoleArn"]))
                .await
                .expect("the source role could not be read"),
            document::role(&self.target, text(&output["targetRoleArn"]))
                .await
                .expect("the target role could not be read"),
        )
    }

    /// Deletes a scraper of the source account, given its ARN in an output.
    pub async fn delete_scraper(&self, arn: &Value) {
        let id = text(arn).rsplit('/').next().expect("the id of a scraper");
        let deletion = self.source.amp().delete_scraper().scraper_id(id).send().await;
        deletion.expect("the scraper could not be deleted");
    }

    /// The scrapers of the source account in the Region: ARN and status.
    pub async fn scrapers(&self) -> Vec<(String, String)> {
        let all = scrapers_of(&self.source).await;
        let status_of = |scraper: &aws_sdk_amp::types::ScraperSummary| {
            let status = scraper.status().expect("a scraper without a status");
            status.status_code().to_string()
        };
        all.iter()
            .map(|scraper| (scraper.arn().to_owned(), status_of(scraper)))
            .collect()
    }

    /// The roles, scrapers, access entries and workspaces of both accounts.
    pub fn resources(&self) -> Value {
        let of = |account: &Account| {
            let path = format!("accounts/{}", account.id);
            deployment().cloud.look(&path).expect("the control API")
        };
        json!({ "source": of(&self.source), "target": of(&self.target) })
    }

    /// Asserts the state after a refusal or a rollback: both accounts have no scraper, and no role of a pair of this
    /// Region.
    pub async fn assert_nothing_was_created(&self) {
        for account in [&self.source, &self.target] {
            let scrapers = scrapers_of(account).await;
            assert!(scrapers.is_empty(), "scrapers are left: {scrapers:?}");
            let mut roles = account.iam().list_roles().into_paginator().items().send();
            while let Some(role) = roles.next().await {
                let arn = role.expect("the roles could not be listed").arn;
                let name = arn.rsplit('/').next().expect("an ARN without a name");
                // The list is of the whole account: the test of another Region may delete a role meanwhile.
                let tags = match account.iam().list_role_tags().role_name(name).send().await {
                    Err(error) if error.code() == Some("NoSuchEntity") => continue,
                    tags => tags.expect("the tags could not be listed").tags,
                };
                let region = format!(":{}:", account.region);
                let of_pair = tags
                    .iter()
                    .any(|tag| tag.key() == "ampxa:cluster" && tag.value().contains(&region));
                assert!(!of_pair, "{arn} is left");
            }
        }
    }
}

/// Attempts one write to the workspace on behalf of a scraper, whatever its status; returns the result of each hop.
pub fn attempt(output: &Value, scraper_arn: &str) -> Value {
    let result = deployment().cloud.tell(
        "attempt",
        &json!({
            "sourceRoleArn": output["sourceRoleArn"],
            "targetRoleArn": output["targetRoleArn"],
            "workspaceArn": output["workspaceArn"],
            "scraperArn": scraper_arn,
        }),
    );
    result.expect("the control API")
}

/// The pair of a request.
pub fn pair_of(request: &Value) -> Pair {
    Pair {
        cluster: text(&request["clusterArn"]).parse().expect("the ARN of a cluster"),
        workspace: text(&request["workspaceArn"]).parse().expect("the ARN of a workspace"),
    }
}

/// The text of a JSON string.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is not a string"))
}

/// The request with additional or replaced fields.
pub fn with(request: &Value, more: Value) -> Value {
    let mut request = request.clone();
    let fields = more.as_object().expect("an object").clone();
    request.as_object_mut().expect("an object").extend(fields);
    request
}

async fn scrapers_of(account: &Account) -> Vec<aws_sdk_amp::types::ScraperSummary> {
    let list = account.amp().list_scrapers().send().await;
    list.expect("the scrapers could not be listed").scrapers
}
