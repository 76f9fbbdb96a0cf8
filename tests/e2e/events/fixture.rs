//! A cloud with the product deployed, whose accounts forward their events to the hub: events and the schedule start
//! executions.

use ampxa::pair::Pair;
use ampxa_cli::{account::Account, execution, terminal::Report};
use anyhow::{Context, Result, bail, ensure};
use aws_sdk_sfn::types::ExecutionStatus;
use driver::{
    HUB, REGION, TARGET,
    cloud::{Cloud, Options},
    demo,
    deploy::{self, MANAGEMENT_REGION, Wiring},
    project::Project,
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Deref,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The source account in the example events.
pub const SOURCE: &str = "111122223333";
/// More source accounts.
pub const FLEET: [&str; 3] = ["222222222221", "222222222222", "222222222223"];
/// The account that the scheduled reconciliation reads.
pub const SCHEDULED: &str = "222222222224";
/// The management account: Control Tower and Organizations send their events in it.
pub const MANAGEMENT: &str = "444455556666";
/// The account in which AFT runs.
pub const AFT: &str = "555566667777";
/// An account outside the organization in which the product's template is deployed.
pub const OUTSIDER: &str = "999999999999";
/// The Regions whose cluster events are forwarded to the hub.
pub const REGIONS: [&str; 2] = [REGION, "eu-west-1"];
/// The Region of the management account's events.
pub const EVENTS_REGION: &str = MANAGEMENT_REGION;
/// The roles of people who may assume the readers.
pub const PEOPLE: &str = "arn:aws:iam::111111111111:role/people/*";
/// The hub's stack.
pub const STACK: &str = "ampxa";
/// The timeout of everything that these tests wait for, in real time, on a busy machine.
const DEADLINE: Duration = Duration::from_secs(600);
/// Real seconds of one minute by the cloud's clock.
const MINUTE: f64 = 0.05;
/// The time between two polls.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// A state machine of the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    /// `onboard.asl.yaml`.
    Onboard,
    /// `offboard.asl.yaml`.
    Offboard,
    /// `reconcile.asl.yaml`.
    Reconcile,
}

impl Machine {
    /// All state machines.
    pub const ALL: [Self; 3] = [Self::Onboard, Self::Offboard, Self::Reconcile];
}

/// An execution that has ended.
#[derive(Debug)]
pub struct Ended {
    pub arn: String,
    pub status: String,
    pub input: Value,
    pub output: Value,
    /// The error's name and the cause.
    pub failure: String,
}

impl Ended {
    /// Fails unless the execution succeeded.
    pub fn succeeded(self) -> Result<Self> {
        ensure!(
            self.status == "SUCCEEDED",
            "{} {}: {}",
            self.arn,
            self.status,
            self.failure
        );
        Ok(self)
    }
}

/// The deployed cloud whose accounts forward their events to the hub.
#[derive(Debug)]
pub struct Wired {
    pub cloud: Cloud,
    /// The default workspace in [`REGION`], for clusters that no rule matches.
    pub workspace: String,
    machines: deploy::Hub,
    number: AtomicUsize,
}

/// Readers are tests that use the default route and count nothing. A writer has exclusive use of the cloud.
static IN_USE: RwLock<()> = RwLock::const_new(());

/// The cloud, shared with other tests.
pub struct Shared(&'static Wired, #[allow(dead_code)] RwLockReadGuard<'static, ()>);

/// The cloud for one test only: the routing table, the dead-letter queue and the alarms are in their initial state.
pub struct Exclusive(&'static Wired, #[allow(dead_code)] RwLockWriteGuard<'static, ()>);

impl Deref for Shared {
    type Target = Wired;

    fn deref(&self) -> &Wired {
        self.0
    }
}

impl Deref for Exclusive {
    type Target = Wired;

    fn deref(&self) -> &Wired {
        self.0
    }
}

impl Drop for Exclusive {
    fn drop(&mut self) {
        // The next test that shares the cloud relies on the default route.
        let cleared = self.0.clear_routes();
        assert!(cleared.is_ok() || thread::panicking(), "{cleared:?}");
    }
}

/// Waits until no test has exclusive use of the cloud.
pub async fn shared() -> Shared {
    let guard = IN_USE.read().await;
    Shared(wired(), guard)
}

/// Waits until no other test uses the cloud, and removes events and alarms that are left.
pub async fn exclusive() -> Result<Exclusive> {
    let exclusive = Exclusive(wired(), IN_USE.write().await);
    exclusive.reset().await?;
    Ok(exclusive)
}

fn wired() -> &'static Wired {
    static WIRED: OnceLock<Wired> = OnceLock::new();
    WIRED.get_or_init(|| {
        // The cloud outlives the runtime of the test that starts it.
        let started = thread::spawn(|| tokio::runtime::Runtime::new()?.block_on(Wired::start()));
        started
            .join()
            .expect("the start of the cloud panicked")
            .expect("the wired cloud could not be deployed")
    })
}

impl Wired {
    async fn start() -> Result<Self> {
        let project = Project::here()?;
        project.build()?;
        let python = project.python(&Report::new())?;
        let options = Options {
            minute: MINUTE,
            ..Options::default()
        };
        let cloud = Cloud::start(&project, &python, options)?;
        let workspace = demo::workspace(&cloud.account(TARGET, REGION), "default").await?;
        let accounts = deploy::Accounts {
            stack: STACK.to_owned(),
            sources: sources().map(str::to_owned).collect(),
            // AMP's service-linked role writes only to workspaces of its account.
            targets: vec![TARGET.to_owned(), FLEET[0].to_owned()],
            ..deploy::Accounts::default()
        };
        let wiring = Wiring {
            regions: REGIONS.map(str::to_owned).to_vec(),
            management: Some(MANAGEMENT.to_owned()),
            untrusted_senders: vec![OUTSIDER.to_owned()],
            parameters: vec![
                format!("DefaultWorkspaceArn={workspace}"),
                "DefaultWorkspaceAnyAccount=yes".to_owned(),
                "OrganizationsAccess=yes".to_owned(),
                format!("ReconcileAccounts={SCHEDULED}"),
                format!("ReconcileRegions={}", REGIONS.join(",")),
                format!("ManagementAccountId={MANAGEMENT}"),
                format!("AftAccountId={AFT}"),
            ],
            allowed_accounts: Vec::new(),
            account_parameters: vec![format!("ReaderPrincipalArns={PEOPLE}")],
            source_parameters: vec![
                "MayPrepareClusters=yes".to_owned(),
                "CollectorLogs=yes".to_owned(),
                format!(
                    "AdoptableRoleArns={}",
                    super::adoption::ROLES
                        .map(|path| format!("arn:aws:iam::*:role{path}"))
                        .join(",")
                ),
            ],
            ..Wiring::default()
        };
        let machines = deploy::deploy_wired(&project, &python, &cloud, &accounts, &wiring).await?;
        let units = json!({ "ou-abcd-workloads": "r-abcd", "ou-abcd-production": "ou-abcd-workloads" });
        let parents: BTreeMap<&str, &str> = sources().map(|id| (id, unit_of(id))).collect();
        cloud.tell(
            "organization",
            &json!({
                "management": MANAGEMENT,
                "administrators": [HUB],
                "root": "r-abcd",
                "units": units,
                "accounts": parents,
            }),
        )?;
        Ok(Self {
            cloud,
            workspace,
            machines,
            number: AtomicUsize::new(0),
        })
    }

    /// The hub's account.
    pub fn hub(&self) -> Account {
        self.cloud.account(HUB, REGION)
    }

    /// A new number at each call.
    pub fn number(&self) -> usize {
        self.number.fetch_add(1, Ordering::Relaxed)
    }

    /// The root user of an account, in a Region.
    pub fn account(&self, id: &str, region: &str) -> Account {
        self.cloud.account(id, region)
    }

    /// A new workspace in a Region.
    pub async fn workspace_in(&self, region: &str) -> Result<String> {
        demo::workspace(&self.cloud.account(TARGET, region), "another").await
    }

    /// Writes the routing table.
    pub fn set_routes(&self, table: &str) -> Result<()> {
        let body = json!({ "Name": routes(), "Value": table, "Type": "String", "Overwrite": true });
        self.hub().json_api("ssm", "AmazonSSM.PutParameter", &body)?;
        Ok(())
    }

    /// Offboards the pair of a request. An account has a quota of scrapers, which other tests need.
    pub async fn offboard(&self, request: &Value) -> Result<()> {
        let pair = json!({ "clusterArn": request["clusterArn"], "workspaceArn": request["workspaceArn"] });
        self.run(Machine::Offboard, &pair).await?.succeeded()?;
        Ok(())
    }

    /// Replaces the routing table, so that no event of a cluster starts an execution.
    pub fn ignore_events(&self) -> Result<()> {
        self.set_routes(r#"{"rules": [{"ignore": "the test starts the executions"}]}"#)
    }

    /// Removes the routing table, so that every cluster goes to the default workspace.
    pub fn clear_routes(&self) -> Result<()> {
        let body = json!({ "Names": [routes()] });
        self.hub().json_api("ssm", "AmazonSSM.DeleteParameters", &body)?;
        Ok(())
    }

    /// Puts an event of AWS onto an account's bus, unchanged.
    pub fn put(&self, account: &str, region: &str, event: &Value) -> Result<()> {
        let body = json!({ "account": account, "region": region, "event": event });
        self.cloud.tell("events", &body)?;
        Ok(())
    }

    /// The ARN of a state machine.
    pub fn arn(&self, machine: Machine) -> &str {
        match machine {
            Machine::Onboard => &self.machines.onboard_arn,
            Machine::Offboard => &self.machines.offboard_arn,
            Machine::Reconcile => &self.machines.reconcile_arn,
        }
    }

    /// The executions of a state machine.
    pub async fn executions(&self, machine: Machine) -> Result<BTreeSet<String>> {
        let list = self.hub().sfn().list_executions().state_machine_arn(self.arn(machine));
        let found = list.into_paginator().items().send().try_collect().await?;
        Ok(found.into_iter().map(|one| one.execution_arn).collect())
    }

    /// The executions of all state machines.
    pub async fn all_executions(&self) -> Result<BTreeSet<String>> {
        let mut all = BTreeSet::new();
        for machine in Machine::ALL {
            all.extend(self.executions(machine).await?);
        }
        Ok(all)
    }

    /// Waits for an execution of a state machine whose name contains a text, and for its end.
    pub async fn started(&self, machine: Machine, named: &str) -> Result<Ended> {
        let what = format!("execution of {machine:?} with {named} in its name");
        let arn = self
            .until(&what, async || {
                let all = self.executions(machine).await?;
                Ok(all.into_iter().find(|arn| name_of(arn).contains(named)))
            })
            .await?;
        self.ended(&arn).await
    }

    /// Waits for the end of an execution.
    pub async fn ended(&self, arn: &str) -> Result<Ended> {
        let what = format!("end of {arn}");
        let now = self
            .until(&what, async || {
                let now = self.hub().sfn().describe_execution().execution_arn(arn).send().await?;
                Ok((now.status.as_str() != "RUNNING").then_some(now))
            })
            .await?;
        let json = |text: Option<&str>| {
            text.and_then(|text| serde_json::from_str(text).ok())
                .unwrap_or_default()
        };
        Ok(Ended {
            arn: arn.to_owned(),
            status: now.status.as_str().to_owned(),
            input: json(now.input.as_deref()),
            output: json(now.output.as_deref()),
            failure: format!("{}: {}", now.error.unwrap_or_default(), now.cause.unwrap_or_default()),
        })
    }

    /// Starts a state machine and waits for the end of the execution.
    pub async fn run(&self, machine: Machine, input: &Value) -> Result<Ended> {
        let arn = execution::start(&self.hub(), self.arn(machine), input).await?;
        self.ended(&arn).await
    }

    /// Fails if `action` starts an execution whose name contains a text: the cluster's name or the event's id. Events
    /// start executions whose names contain these texts.
    ///
    /// Afterwards it puts an event that is known to start an execution. When that execution has ended, every earlier
    /// event has been handled.
    pub async fn starts_nothing(&self, named: &str, action: impl AsyncFnOnce() -> Result<()>) -> Result<()> {
        let before = self.all_executions().await?;
        action().await?;
        let id = format!("last-event-{}", self.number());
        let event = super::examples::delete_event("no-such-cluster", &id)?;
        self.put(SOURCE, REGION, &event)?;
        self.started(Machine::Offboard, &id).await?;
        // Lambda retries a failed function twice, within this time.
        tokio::time::sleep(self.cloud.minutes(4.0)).await;
        let after = self.all_executions().await?;
        let started: Vec<&String> = after
            .difference(&before)
            .filter(|arn| name_of(arn).contains(named))
            .collect();
        ensure!(started.is_empty(), "executions were started: {started:?}");
        Ok(())
    }

    /// The scrapers of an account and Region, by cluster: their ARNs and workspaces.
    pub async fn scrapers(&self, account: &str, region: &str) -> Result<BTreeMap<String, (String, String)>> {
        let list = self.cloud.account(account, region).amp().list_scrapers();
        let found = list.into_paginator().items().send().try_collect().await?;
        let mut scrapers = BTreeMap::new();
        for scraper in found {
            let cluster = scraper.source().and_then(|source| source.as_eks_configuration().ok());
            let workspace = scraper
                .destination()
                .and_then(|destination| destination.as_amp_configuration().ok());
            let cluster = cluster.context("a scraper without a cluster")?.cluster_arn().to_owned();
            let workspace = workspace
                .context("a scraper without a workspace")?
                .workspace_arn()
                .to_owned();
            scrapers.insert(cluster, (scraper.arn().to_owned(), workspace));
        }
        Ok(scrapers)
    }

    /// The ARNs of a pair's roles and scrapers that exist.
    pub fn left_of(&self, cluster: &str, workspace: &str) -> Result<Vec<String>> {
        let pair = Pair {
            cluster: cluster.parse().map_err(|why| anyhow::anyhow!("{why}"))?,
            workspace: workspace.parse().map_err(|why| anyhow::anyhow!("{why}"))?,
        };
        let account = |arn: &str| arn.split(':').nth(4).unwrap_or_default().to_owned();
        let (source, target) = (account(cluster), account(workspace));
        let resources = |id: &str| self.cloud.look(&format!("accounts/{id}"));
        let (in_source, in_target) = (resources(&source)?, resources(&target)?);
        let mut left = Vec::new();
        for (existing, arn) in [
            (&in_source, pair.source_role_arn()),
            (&in_target, pair.target_role_arn()),
        ] {
            if existing["roles"].get(&arn).is_some() {
                left.push(arn);
            }
        }
        let scrapers = in_source["scrapers"].as_object().context("no scrapers")?;
        let of_pair = |scraper: &&Value| {
            scraper["source"]["eksConfiguration"]["clusterArn"] == cluster
                && scraper["destination"]["ampConfiguration"]["workspaceArn"] == workspace
        };
        left.extend(
            scrapers
                .iter()
                .filter(|(_, one)| of_pair(one))
                .map(|(arn, _)| arn.clone()),
        );
        Ok(left)
    }

    /// Waits until samples of a cluster arrive in a workspace; returns the number of series.
    pub async fn samples(&self, workspace: &str, cluster: &str) -> Result<usize> {
        let (region, id) = (
            workspace.split(':').nth(3).unwrap_or_default(),
            workspace.rsplit('/').next().unwrap_or_default(),
        );
        let (target, promql) = (
            self.cloud.account(TARGET, region),
            format!("up{{clusterArn=\"{cluster}\"}}"),
        );
        self.until(&format!("samples of {cluster}"), async || {
            let found = target.query(id, &promql)?.len();
            Ok((found > 0).then_some(found))
        })
        .await
    }

    /// The number of events in the hub's dead-letter queue.
    pub async fn undelivered(&self) -> Result<u64> {
        depth(&self.hub(), &self.resource("FailedEvents")?)
    }

    /// Waits until the dead-letter queue holds this number of events, and empties it.
    pub async fn take_undelivered(&self, expected: u64) -> Result<()> {
        let found = self
            .until(&format!("{expected} events in the dead-letter queue"), async || {
                let found = self.undelivered().await?;
                Ok((found >= expected).then_some(found))
            })
            .await?;
        let body = json!({ "QueueUrl": self.resource("FailedEvents")? });
        self.hub().json_api("sqs", "AmazonSQS.PurgeQueue", &body)?;
        ensure!(
            found == expected,
            "{found} events in the dead-letter queue, not {expected}"
        );
        Ok(())
    }

    /// Removes undelivered events, and waits until no alarm is in ALARM.
    async fn reset(&self) -> Result<()> {
        let body = json!({ "QueueUrl": self.resource("FailedEvents")? });
        self.hub().json_api("sqs", "AmazonSQS.PurgeQueue", &body)?;
        self.until_no_alarm().await
    }

    /// Waits until no alarm is in ALARM.
    pub async fn until_no_alarm(&self) -> Result<()> {
        self.until("state of all alarms other than ALARM", async || {
            let in_alarm = self.hub().cloudwatch("DescribeAlarms", &[("StateValue", "ALARM")])?;
            Ok((!in_alarm.contains("<AlarmName>")).then_some(()))
        })
        .await
    }

    /// The messages of the alerts topic, oldest first.
    pub fn alerts(&self) -> Result<Vec<String>> {
        let topic = self.output("AlertsTopicArn")?;
        let sent = self.cloud.look(&format!("messages?topicArn={topic}"))?;
        let messages = sent["messages"].as_array().context("no messages")?;
        let text = |message: &Value| message["message"].as_str().unwrap_or_default().to_owned();
        Ok(messages.iter().map(text).collect())
    }

    /// An output of the hub's stack.
    pub fn output(&self, name: &str) -> Result<String> {
        let xml = self.hub().cloudformation("DescribeStacks", &[("StackName", STACK)])?;
        let found = xml
            .split("<member>")
            .find(|one| demo::element(one, "OutputKey").as_deref() == Some(name));
        let value = found.and_then(|one| demo::element(one, "OutputValue"));
        value.with_context(|| format!("the hub's stack has no output {name}"))
    }

    /// The name of the hub's only resource of a type.
    pub fn only(&self, kind: &str) -> Result<String> {
        let xml = self
            .hub()
            .cloudformation("DescribeStackResources", &[("StackName", STACK)])?;
        let found = xml
            .split("<member>")
            .find(|one| demo::element(one, "ResourceType").as_deref() == Some(kind));
        let name = found.and_then(|one| demo::element(one, "PhysicalResourceId"));
        name.with_context(|| format!("the hub's stack has no {kind}"))
    }

    /// The name of a resource of the hub's stack.
    pub fn resource(&self, logical: &str) -> Result<String> {
        resource(&self.hub(), STACK, logical)
    }

    /// The running executions and the states they are in.
    async fn running(&self) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for arn in self.all_executions().await? {
            let run = execution::look(&self.hub(), &arn).await?;
            if run.status == ExecutionStatus::Running {
                let inside = run.states.iter().filter(|state| state.left.is_none());
                found.push(format!(
                    "{arn} in {}",
                    inside.map(|state| state.name.as_str()).collect::<Vec<_>>().join(", ")
                ));
            }
        }
        Ok(found)
    }

    /// Polls until `poll` returns a value; `what` names the value in the error after the timeout.
    pub async fn until<T>(&self, what: &str, mut poll: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
        let end = Instant::now() + DEADLINE;
        loop {
            if let Some(answer) = poll().await? {
                return Ok(answer);
            }
            if Instant::now() > end {
                let runs = self.running().await?;
                bail!("no {what} after {} s; still running: {runs:#?}", DEADLINE.as_secs());
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}

/// The physical name of a resource of an account's stack.
pub fn resource(account: &Account, stack: &str, logical: &str) -> Result<String> {
    let parameters = [("StackName", stack), ("LogicalResourceId", logical)];
    let xml = account.cloudformation("DescribeStackResource", &parameters)?;
    demo::element(&xml, "PhysicalResourceId").with_context(|| format!("the stack {stack} has no {logical}"))
}

/// The number of messages in a queue.
pub fn depth(account: &Account, queue: &str) -> Result<u64> {
    let body = json!({ "QueueUrl": queue, "AttributeNames": ["ApproximateNumberOfMessages"] });
    let answer = account.json_api("sqs", "AmazonSQS.GetQueueAttributes", &body)?;
    let count = answer["Attributes"]["ApproximateNumberOfMessages"].as_str();
    Ok(count.context("a queue without a depth")?.parse()?)
}

/// The source accounts in which the product's template is deployed.
fn sources() -> impl Iterator<Item = &'static str> {
    [SOURCE, SCHEDULED].into_iter().chain(FLEET)
}

/// The organizational unit of an account.
pub fn unit_of(account: &str) -> &'static str {
    if account == FLEET[0] {
        "ou-abcd-production"
    } else {
        "ou-abcd-workloads"
    }
}

/// The name of the parameter that holds the routing table.
fn routes() -> String {
    format!("/{STACK}/routes")
}

/// The last part of an execution's ARN.
pub fn name_of(execution: &str) -> &str {
    execution.rsplit(':').next().unwrap_or_default()
}
