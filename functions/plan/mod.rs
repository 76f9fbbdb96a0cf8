//! The plan of an onboarding or offboarding: what an execution would create, update, replace and delete.
//!
//! The comparisons are those of the steps that write ([`roles`], [`scraper`]), so that a plan and an execution agree.

mod removal;

pub use removal::{Input as RemovalInput, removal};

use crate::{
    arn::ScraperArn,
    aws::{Account, s3::Bucket},
    cluster,
    difference::Difference,
    error::Error,
    names,
    request::{FINGERPRINT_DIGITS, Preparation},
    roles::{self, EnsureInput},
    scraper,
    task::Task,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What the plan is for.
#[derive(Debug, Default, Deserialize)]
pub struct Input {
    /// The name of the execution that a reconciliation would start. `None`: the execution plans for itself.
    pub onboarding: Option<String>,
}

/// What an execution would do.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// The changes, in the order in which an execution makes them. A resource that matches has the action `NONE`.
    pub changes: Vec<Change>,
    /// The prerequisites that are not met, each with the command that fixes it, if one exists.
    pub prerequisites: Vec<String>,
    /// The name of the error with which an execution would end.
    pub would_fail_as: Option<&'static str>,
    /// The running execution that holds the lock of the cluster, if it is another one.
    pub in_progress: Option<String>,
    /// Differences that an execution does not change.
    pub warnings: Vec<String>,
    /// The changes of the cluster, which are also in `changes`.
    pub preparations: Vec<Preparation>,
    /// The fingerprint of the changes: equal changes of the same pair have equal fingerprints.
    pub plan: String,
}

/// The change of a resource.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// What is done.
    pub action: Action,
    /// The resource: `cluster`, `source role`, `target role` or `scraper`.
    pub resource: &'static str,
    /// The account of the resource.
    pub account_id: String,
    /// Its ARN. `None` if AWS has not assigned it yet.
    pub arn: Option<String>,
    /// The parts that change.
    pub differences: Vec<Difference>,
}

/// What is done to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Action {
    /// It is created.
    Create,
    /// It is changed in place.
    Update,
    /// It is changed in place, and ampxa did not create it.
    Adopt,
    /// It is deleted.
    Delete,
    /// It matches.
    None,
}

/// The clients of this step. They are those of readers.
#[derive(Debug)]
pub struct Clients {
    /// Those of the checks.
    pub checks: cluster::Clients,
    /// The bucket of the hub.
    pub bucket: Bucket,
}

impl Clients {
    /// Clients with the readers of both accounts.
    pub fn new(hub: &Account, source: &Account, target: &Account, bucket: &str) -> Self {
        Self {
            checks: cluster::Clients::new(hub, source, target),
            bucket: hub.bucket(bucket),
        }
    }
}

/// Plans an onboarding. Read-only.
///
/// # Errors
/// `Transient` and `NotVisibleYet`. All other errors are prerequisites that are not met.
pub async fn onboarding(clients: &Clients, task: &Task<Input>, settings: &cluster::Settings) -> Result<Output, Error> {
    let task = &as_executed(task)?;
    let (checked, mut problems) = cluster::examine(&clients.checks, task, settings).await?;
    let (pair, source_account) = (&task.pair, task.pair.cluster.account());
    let scraper_change = |action, arn: Option<String>, differences| Change {
        action,
        resource: "scraper",
        account_id: source_account.to_string(),
        arn,
        differences,
    };
    // AMP already deletes a scraper that is DELETING.
    let stale_scrapers = checked.stale_scrapers.iter().filter(|stale| !stale.is_deleting);
    let preparations = checked.preparations.iter().map(|preparation| Change {
        action: Action::Update,
        resource: "cluster",
        account_id: source_account.to_string(),
        arn: Some(pair.cluster.to_string()),
        differences: vec![preparation.difference()],
    });
    let stale_scrapers = stale_scrapers.map(|stale| {
        let reason = Difference {
            path: "reason",
            before: json!(stale.reason),
            after: Value::Null,
        };
        scraper_change(Action::Delete, Some(stale.scraper_arn.clone()), vec![reason])
    });
    let mut changes: Vec<Change> = preparations.chain(stale_scrapers).collect();
    let adoption = checked.scraper.as_ref().and_then(|scraper| scraper.adoption.as_ref());
    let is_adopted = adoption.is_some();
    let mut warnings = adoption.map_or(Vec::new(), |adoption| adoption.warnings(pair));
    let arn = checked.scraper.map(|scraper| scraper.scraper_arn);
    let existing: Option<ScraperArn> = arn.as_ref().and_then(|arn| arn.parse().ok());
    let ensure = task.with_input(EnsureInput {
        scraper_arn: existing.clone(),
    });
    for (resource, role, iam, account, arn) in [
        (
            "source role",
            roles::source(&ensure),
            &clients.checks.source_iam,
            source_account,
            pair.source_role_arn(),
        ),
        (
            "target role",
            roles::target(&ensure),
            &clients.checks.consent.target_iam,
            pair.workspace.account(),
            pair.target_role_arn(),
        ),
    ] {
        if let Some(comparison) = problems.note(roles::compare(iam, &role).await)? {
            changes.push(Change {
                action: action(comparison.exists, &comparison.differences),
                resource,
                account_id: account.to_string(),
                arn: Some(arn),
                differences: comparison.differences,
            });
        }
    }
    let amp = &clients.checks.source_amp;
    let planned = scraper::plan(amp, &clients.bucket, task, existing.as_ref(), checked.network.as_ref());
    warnings.extend(checked.preparations.iter().map(|preparation| match preparation {
        Preparation::PrivateEndpoint => format!(
            "With private access, all clients in the VPC of the cluster {} use its private endpoint. The cluster's security \
             groups must allow them port 443.",
            pair.cluster
        ),
        Preparation::AccessEntries => format!(
            "EKS cannot revert the change of the authentication mode of the cluster {}.",
            pair.cluster
        ),
    }));
    if let Some(comparison) = problems.note(planned.await)? {
        let mut paths = comparison.differences.iter().map(|difference| difference.path);
        if is_adopted && task.request.configuration().is_none() && paths.any(|path| path == scraper::CONFIGURATION) {
            warnings.push(
                "The labels that ampxa adds change the identity of each series of the scraper: alerts and dashboards see new \
                 series. \"labels\": \"KEEP\" keeps its configuration as it is."
                    .to_owned(),
            );
        }
        warnings.extend(comparison.warnings);
        let action = match is_adopted {
            true => Action::Adopt,
            false => action(arn.is_some(), &comparison.differences),
        };
        changes.push(scraper_change(action, arn, comparison.differences));
    }
    let would_fail_as = problems.all().first().map(Error::name);
    Ok(Output {
        plan: fingerprint(
            &[pair.cluster.to_string(), pair.workspace.to_string()],
            &changes,
            would_fail_as,
        ),
        changes,
        prerequisites: problems.all().iter().map(Error::to_string).collect(),
        would_fail_as,
        in_progress: None,
        warnings,
        preparations: checked.preparations,
    })
}

/// The longest text that an output contains, in bytes. Two scrape configurations must fit into Step Functions' payload of
/// 256 KiB.
const MAX_SHOWN: usize = 40 * 1024;

/// The same for a line of a report, of which a fleet has thousands.
const MAX_SHOWN_IN_REPORT: usize = 1024;

impl Output {
    /// Replaces texts that are too long by their size and SHA-256.
    #[must_use]
    pub fn shortened(mut self, input: &Input) -> Self {
        let max = match input.onboarding {
            Some(_) => MAX_SHOWN_IN_REPORT,
            None => MAX_SHOWN,
        };
        let differences = self.changes.iter_mut().flat_map(|change| &mut change.differences);
        for value in differences.flat_map(|difference| [&mut difference.before, &mut difference.after]) {
            if let Value::String(text) = value
                && text.len() > max
            {
                *value = json!({ "bytes": text.len(), "sha256": names::hash(&[text], 64) });
            }
        }
        self
    }
}

/// The task of the execution that would make the changes: the origin of a pair follows from its name ([`crate::tags`]).
fn as_executed(task: &Task<Input>) -> Result<Task<Input>, Error> {
    let mut executed = task.with_input(Input::default());
    if let (Some(name), Some((machine, _))) = (&task.input.onboarding, task.execution.rsplit_once(':')) {
        let arn = format!("{machine}:{name}");
        executed.execution = arn.parse().map_err(|why| Error::invalid("onboarding", why))?;
    }
    Ok(executed)
}

fn action(exists: bool, differences: &[Difference]) -> Action {
    match (exists, differences.is_empty()) {
        (false, _) => Action::Create,
        (true, false) => Action::Update,
        (true, true) => Action::None,
    }
}

/// The fingerprint of the changes of pairs. `arns` are those of the cluster and of its workspaces.
fn fingerprint(arns: &[String], changes: &[Change], would_fail_as: Option<&str>) -> String {
    let text = json!([arns, changes, would_fail_as]).to_string();
    names::hash(&[&text], FINGERPRINT_DIGITS)
}
